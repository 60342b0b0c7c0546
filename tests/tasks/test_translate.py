"""What is translated is named and in order; what cannot be is said; scores are of measured cells against the rest."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.errors import AbilityError, DataError, SchemaMismatch
from cellwright.metrics.feature_pearson import feature_pearson
from cellwright.models import build
from cellwright.tasks.translate import AT_MOST_CELLS, score_translation, translate
from cellwright.train.fit import fit

N = 120


@pytest.fixture(scope="module")
def parts():
    """Cells 0 to 39 have RNA only, 80 to 119 proteins only; proteins follow the RNA of the same cell."""
    rng = np.random.default_rng(0)
    rna = rng.poisson(rng.gamma(1, 5, (3, 12))[np.arange(N) % 3]).astype(np.float32)
    protein = rng.poisson(5 + 40 * np.eye(3, 4)[np.arange(N) % 3]).astype(np.float32)
    made = {"rna": AnnData(sparse.csr_matrix(rna)), "protein": AnnData(protein)}
    for name, part in made.items():
        part.obs_names = [f"cell{i}" for i in range(N)]
        part.var_names = [f"{name}{i}" for i in range(part.n_vars)]
        part.obs["kind"] = [f"k{i % 3}" for i in range(N)]
    return {"rna": made["rna"][:80].copy(), "protein": made["protein"][40:].copy()}


@pytest.fixture(scope="module")
def source(parts):
    return open_data(parts, label_key="kind")


@pytest.fixture(scope="module")
def model(source):
    made = build("knn_translation", source.schema, n_components=3, n_neighbors=5)
    fit(made, source, split=random_split(source.n_obs, validation=0), progress=False)
    return made


def test_cells_are_the_inputs_in_order_and_say_what_they_were_translated_from(model, source, parts):
    cells = translate(model, parts, "protein")
    assert list(cells.obs_names) == list(source.annotation.obs.index)
    assert list(cells.var_names) == [f"protein{i}" for i in range(4)]
    origin = cells.obs["translated_from"].to_numpy()
    assert (origin[source.measured("rna")] == "rna").all()
    assert (origin[~source.measured("rna")] == "nothing").all()
    assert np.isnan(cells.X[origin == "nothing"]).all()
    assert np.isfinite(cells.X[origin == "rna"]).all()
    assert cells.uns["cellwright"]["modality"] == "protein"
    minibatch = next(in_order(source, batch_size=N))
    expected = model.translate(minibatch, "protein", torch.Generator().manual_seed(0))
    np.testing.assert_allclose(cells.X, expected, rtol=1e-6)


def test_a_draw_repeats_under_its_seed(model, source):
    first, again, other = (translate(model, source, "protein", draw=True, seed=seed).X for seed in (3, 3, 4))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_draws_of_all_cells_are_sparse(model, parts):
    cells = translate(model, {"rna": parts["rna"]} | {"protein": parts["protein"][:40].copy()}, "protein", draw=True)
    assert sparse.issparse(cells.X)


def test_what_cannot_be_translated_is_refused_in_a_sentence(model, source, parts):
    with pytest.raises(SchemaMismatch, match="must be one of rna, protein; it is 'atac'"):
        translate(model, source, "atac")
    alone = open_data(parts["rna"])
    pca = build("pca", alone.schema, n_latent=2)
    fit(pca, alone, progress=False)
    with pytest.raises(AbilityError, match=r"pca cannot do `translate`.*joint_pca, knn_translation, .* can"):
        translate(pca, parts["rna"], "rna")
    linear = build("joint_pca", source.schema, n_components=3)
    fit(linear, source, progress=False)
    with pytest.raises(AbilityError, match="joint_pca cannot do `translate with draw`"):
        translate(linear, source, "protein", draw=True)


def test_a_column_that_says_where_cells_came_from_is_not_replaced(model, parts):
    again = {name: part.copy() for name, part in parts.items()}
    for part in again.values():
        part.obs["translated_from"] = "elsewhere"
    with pytest.raises(DataError, match="obs must not have 'translated_from'"):
        translate(model, again, "protein")


def test_scores_are_of_cells_that_have_both_by_modality_and_label(model, source):
    rows = np.arange(source.n_obs)
    table = score_translation(model, source, rows, held_out=True, seed=0)
    assert set(table["group"]) == {m + g for m in ("rna", "protein") for g in ("", ": k0", ": k1", ": k2")}
    assert table["held_out"].all()
    both = np.flatnonzero(source.measured("rna") & source.measured("protein"))
    minibatch = next(in_order(source, both, N))
    predicted = model.translate(minibatch, "protein", torch.Generator()).numpy()
    logs = [
        np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))
        for x in (minibatch.views["protein"].dense().numpy(), predicted)
    ]
    value = table.query("group == 'protein'")["value"].item()
    assert value == pytest.approx(feature_pearson(*logs), abs=1e-5)
    # the three planted proteins are told; shuffled cells tell nothing
    assert value > 0.5
    assert abs(feature_pearson(logs[0], np.random.default_rng(0).permutation(logs[1]))) < 0.3


def test_cells_without_both_have_no_score(model, source):
    assert not len(score_translation(model, source, np.flatnonzero(~source.measured("rna")), held_out=True))
    assert AT_MOST_CELLS < 5000
