"""Interactions against what can be counted by hand, and against what permutations must give."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.stats import false_discovery_control

from cellwright.core.abilities import Attends, Attention
from cellwright.core.options import Options
from cellwright.core.support import Support
from cellwright.data.open import open_data
from cellwright.errors import AbilityError, DataError, OptionError
from cellwright.models import build
from cellwright.models.model import Model
from cellwright.tasks.interactions import COLUMNS, InteractionOptions, interactions
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions


class Beside(Model, Attends):
    """Cells stand in a row, sections one after the other; each attends to the one before it and the one behind it."""

    def __init__(self, schema, label, batch, weights=(0.5, 0.5)):
        super().__init__(schema, Options())
        self.label, self.batch, self.weights, self.fitted = label, batch, weights, True

    @property
    def support(self):
        return Support.real

    def attend(self, minibatch):
        n = len(self.label)
        places = minibatch.coordinates[:, 0].long()
        neighbours = torch.stack([(places - 1) % n, (places + 1) % n], dim=1)
        weights = torch.tensor(self.weights).expand(len(places), 2)
        return Attention(neighbours, weights, self.label, self.batch, places)


def planted(names, sections=None, weights=(0.5, 0.5)):
    n = len(names)
    obs = pd.DataFrame({"label": names}, index=[f"c{i}" for i in range(n)])
    adata = AnnData(np.ones((n, 2), dtype=np.float32), obs=obs, obsm={"place": np.arange(n)[:, None]})
    source = open_data(adata, label_key="label", coordinates_key="place")
    batch = torch.zeros(n, dtype=torch.int64) if sections is None else torch.as_tensor(sections)
    return Beside(source.schema, torch.from_numpy(source.annotation.label), batch, weights), source


def table_of(model, source, **options):
    table = interactions(model, source, InteractionOptions(**options)).uns["interactions"]
    return table.set_index(["target", "neighbour"])


def test_mean_attention_and_share_are_counted():
    model, source = planted(["a", "b", "b", "c"] * 10, weights=(0.9, 0.1))
    table = table_of(model, source)
    # before and behind: a is between c and b, the first b between a and b, the second between b and c
    expected = {"a": [0, 0.1, 0.9], "b": [0.45, 0.5, 0.05], "c": [0.1, 0.9, 0]}
    for target, weights in expected.items():
        np.testing.assert_allclose(table.loc[target, "attention"], weights, atol=1e-7)
        np.testing.assert_allclose(table.loc[target, "attention"].sum(), 1)
    np.testing.assert_allclose(table.loc["a", "share"], [0, 0.5, 0.5])
    assert table.loc["b", "n_cells"].tolist() == [20, 20, 20]


def test_the_expectation_is_the_share_of_a_type_and_the_effect_its_ratio():
    model, source = planted(["a", "b", "b", "c"] * 50)
    table = table_of(model, source, n_permutations=4000)
    for neighbour, share in {"a": 0.25, "b": 0.5, "c": 0.25}.items():
        # the mean of 50 or 100 cells with two neighbours each, over 4,000 permutations
        np.testing.assert_allclose(table.xs(neighbour, level="neighbour")["expected"], share, atol=0.005)
    expected = np.log2((table["attention"] + 1e-3) / (table["expected"] + 1e-3))
    np.testing.assert_allclose(table["effect"], expected)


def test_what_is_planted_is_as_significant_as_permutations_can_say():
    model, source = planted(["a", "b"] * 100)
    table = table_of(model, source, n_permutations=199)
    assert (table["p_value"] == 1 / 200).all()
    assert table.loc[("a", "b"), "z"] > 5
    assert table.loc[("a", "a"), "z"] < -5
    np.testing.assert_allclose(table["p_adjusted"], false_discovery_control(table["p_value"]))


def test_p_values_of_labels_without_a_pattern_are_uniform():
    """All pairs of neighbours hear each other: p-values hold only if a cell's label is the same in both its roles."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(200):
        model, source = planted(rng.permutation(["a"] * 200 + ["b"] * 200))
        found.append(table_of(model, source, n_permutations=99, seed=seed).loc[("a", "b"), "p_value"])
    # five standard errors of a share of 200; p is at most uniform, because ties count
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(found) <= level) < level + 5 * np.sqrt(level * (1 - level) / 200)
    assert np.mean(np.array(found) <= 0.5) > 0.3


def test_labels_are_permuted_within_sections_only():
    """Each section has one type: within it nothing can be permuted, and nothing is found."""
    names = ["a"] * 50 + ["b"] * 50
    model, source = planted(names, sections=[0] * 50 + [1] * 50)
    table = table_of(model, source)
    np.testing.assert_allclose(table["attention"], table["expected"])
    assert (table["p_value"] == 1).all()
    assert table["z"].isna().all()
    assert table_of(*planted(names)).loc[("a", "a"), "p_value"] < 0.01


def test_cells_and_references_without_a_label_are_no_type():
    names = np.array(["a", "b", None] * 40, dtype=object)
    model, source = planted(names)
    table = table_of(model, source)
    assert sorted(set(table.index.get_level_values("neighbour"))) == ["a", "b"]
    # one of two neighbours of each cell is known
    np.testing.assert_allclose(table.groupby(level="target")["attention"].sum(), 0.5)
    np.testing.assert_allclose(table["expected"], 1 / 3, atol=0.02)


def test_rare_types_are_left_out():
    model, source = planted(["a"] * 30 + ["b"] * 30 + ["rare"] * 5)
    assert set(table_of(model, source).index.get_level_values("target")) == {"a", "b"}
    assert "rare" in table_of(model, source, min_cells=5).index.get_level_values("target")
    with pytest.raises(DataError, match=r"a label with 50 cells.*Lower min_cells"):
        table_of(model, source, min_cells=50)


def test_the_same_seed_repeats_the_columns_are_listed_and_the_input_is_left_alone():
    names = np.random.default_rng(0).permutation(["a"] * 50 + ["b"] * 50)
    model, source = planted(names)
    before = source.annotation.obs.copy()
    first, again = (interactions(model, source).uns["interactions"] for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert first.columns.tolist() == COLUMNS
    other = interactions(model, source, InteractionOptions(seed=1)).uns["interactions"]
    assert not first["expected"].equals(other["expected"])
    pd.testing.assert_frame_equal(source.annotation.obs, before)


def test_the_answer_does_not_depend_on_blocks_of_cells(monkeypatch):
    from cellwright.tasks import interactions as module  # the module, not the function of its name

    model, source = planted(np.random.default_rng(0).permutation(["a"] * 50 + ["b"] * 50))
    whole = interactions(model, source).uns["interactions"]
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    pd.testing.assert_frame_equal(interactions(model, source).uns["interactions"], whole)


def test_data_without_labels_are_refused():
    model, source = planted(["a", "b"] * 20)
    unlabelled = AnnData(np.ones((5, 2), dtype=np.float32), obsm={"place": np.zeros((5, 1))})
    with pytest.raises(DataError, match=r"`interactions` must have labels.*Give label_key"):
        interactions(model, open_data(unlabelled, schema=source.schema))


def test_models_without_attention_are_refused():
    _, source = planted(["a", "b"] * 20)
    pca = build("pca", source.schema)
    with pytest.raises(AbilityError, match=r"must have the ability 'attends'.*gae, vgae can"):
        interactions(pca, source)
    with pytest.raises(OptionError, match="n_permutations of InteractionOptions"):
        InteractionOptions(n_permutations=10)


def test_a_graph_autoencoder_without_attention_is_refused_and_one_with_it_answers(tmp_path):
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"label": rng.choice(["a", "b"], 80)}, index=[f"c{i}" for i in range(80)])
    adata = AnnData(rng.poisson(2.0, (80, 15)).astype(np.float32), obs=obs)
    data = open_data(adata, label_key="label")
    for convolution in ("sage", "gat"):
        model = build("gae", data.schema, convolution=convolution, n_components=5, n_hidden=8)
        fit(model, data, FitOptions(max_epochs=1), progress=False)
        if convolution == "sage":
            with pytest.raises(OptionError, match="convolution='gat'"):
                interactions(model, data)
            continue
        answer = interactions(model, data)
        assert len(answer.uns["interactions"]) == 4
        answer.write_h5ad(tmp_path / "cells.h5ad")
