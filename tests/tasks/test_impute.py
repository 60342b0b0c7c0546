"""Imputation: which values, on which scale, with what uncertainty; in memory and on disk."""

import anndata
import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import AbilityError, DataError, DataFileError, OptionError, UnsuitableValues
from cellwright.models import build
from cellwright.tasks import impute as module
from cellwright.tasks.impute import ImputeOptions, impute, impute_to
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

N, N_VARS = 90, 25
SHORT = FitOptions(max_epochs=2, batch_size=32)


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=N, n_vars=N_VARS, n_latent=3), seed=0).adata


@pytest.fixture(scope="module")
def counts(cells):
    return sparse.csr_matrix(cells.X).toarray()


@pytest.fixture(scope="module")
def model(cells):
    source = open_data(cells)
    model = build("vae", source.schema, n_latent=3)
    fit(model, source, SHORT, progress=False)
    return model


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 40)


def layer(model, cells, key="imputed", seed=0, **options):
    return impute(model, cells, ImputeOptions(**options), seed=seed).layers[key]


def test_values_stay_in_x_and_what_is_expected_is_a_layer(model, cells, counts):
    before = cells.copy()
    found = impute(model, cells)
    assert np.array_equal(found.X.toarray(), counts)
    assert found.layers["imputed"].dtype == np.float32
    assert found.layers["imputed"].shape == (N, N_VARS)
    assert found.obs_names.equals(cells.obs_names)
    assert found.uns["cellwright"]["model"] == "vae"
    assert found.uns["imputed"] == {**ImputeOptions().model_dump(mode="json"), "seed": 0}
    assert cells.obs.equals(before.obs)
    assert np.array_equal(cells.X.toarray(), before.X.toarray())
    assert not cells.layers


def test_the_layer_is_what_the_model_expects(model, cells):
    source = open_data(cells)
    generator, blocks = torch.Generator().manual_seed(5), []
    from cellwright.data.source import in_order

    for minibatch in in_order(source, None, 40):
        blocks.append(model.impute(minibatch, generator).numpy())
    np.testing.assert_array_equal(layer(model, cells, seed=5), np.concatenate(blocks))


def test_a_seed_repeats_and_another_differs(model, cells):
    assert np.array_equal(layer(model, cells, seed=1), layer(model, cells, seed=1))
    assert not np.array_equal(layer(model, cells, seed=1), layer(model, cells, seed=2))


def test_zeros_only_leaves_measured_values_as_they_are(model, cells, counts):
    every, zeros = layer(model, cells), layer(model, cells, values="zeros")
    assert np.array_equal(zeros, np.where(counts > 0, counts, every))


def test_scales_are_per_ten_thousand_and_its_logarithm(model, cells, counts):
    every = layer(model, cells)
    normalised = every * 1e4 / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(layer(model, cells, scale="normalised"), normalised, rtol=1e-5)
    np.testing.assert_allclose(layer(model, cells, scale="log"), np.log1p(normalised), rtol=1e-5)


def test_a_threshold_makes_it_sparse_and_takes_nothing_that_is_larger(model, cells):
    every = layer(model, cells)
    found = layer(model, cells, threshold=0.5)
    assert sparse.isspmatrix_csr(found) or isinstance(found, sparse.csr_array)
    np.testing.assert_array_equal(found.toarray(), np.where(every < 0.5, 0, every))


def test_draws_are_counts_whose_mean_is_what_is_expected(model, cells):
    drawn = np.stack([layer(model, cells, seed=seed, fill="draw") for seed in range(60)])
    assert np.array_equal(drawn, np.round(drawn))
    assert drawn.min() >= 0
    expected = layer(model, cells)
    error = np.abs(drawn.mean(axis=0) - expected).sum() / expected.sum()
    assert error < 0.15  # of 60 draws of counts of about 3


def test_the_spread_of_draws_is_another_layer_kept_where_its_value_is(model, cells):
    found = impute(model, cells, ImputeOptions(n_draws=40, threshold=0.5))
    spread, value = found.layers["imputed_sd"].toarray(), found.layers["imputed"].toarray()
    assert np.array_equal(spread > 0, value > 0)
    # of a rate that is Gamma(theta + x, theta / mean + 1), and a little more, because z varies too
    theta = model.decoder.head.log_theta.exp().detach().numpy()
    counts = sparse.csr_matrix(cells.X).toarray()
    of_rate = value / np.sqrt(theta + counts)
    there = value > 0
    assert 0.9 < np.median(spread[there] / of_rate[there]) < 1.5


def test_a_zero_that_stays_as_measured_has_no_spread(model, cells, counts):
    found = impute(model, cells, ImputeOptions(values="zeros", n_draws=5)).layers["imputed_sd"]
    assert (found[counts > 0] == 0).all()
    assert (found[counts == 0] > 0).mean() > 0.9


def test_of_a_model_in_which_nothing_varies_there_is_no_spread(cells):
    """Neither a latent, which is a point, nor rates, which a Gaussian has not: 0 does not mean that it is sure."""
    source = open_data(cells)
    model = build("ae", source.schema, n_latent=3)
    fit(model, source, SHORT, progress=False)
    assert (impute(model, cells, ImputeOptions(n_draws=3)).layers["imputed_sd"] == 0).all()


def test_a_store_on_disk_holds_what_memory_holds(model, cells, tmp_path):
    for number, settings in enumerate(({"n_draws": 3}, {"threshold": 0.3}, {"fill": "draw"})):
        path, options = tmp_path / f"{number}.zarr", ImputeOptions(**settings)
        seen: list[tuple[int, int]] = []
        impute_to(model, cells, path, options, seed=4, progress=lambda *at, seen=seen: seen.append(at))
        here, there = impute(model, cells, options, seed=4), anndata.read_zarr(path)
        assert seen == [(40, N), (80, N), (N, N)]
        assert np.array_equal(sparse.csr_matrix(there.X).toarray(), sparse.csr_matrix(here.X).toarray())
        assert here.layers.keys() == there.layers.keys()
        for name in here.layers:
            ours, theirs = here.layers[name], there.layers[name]
            assert sparse.issparse(ours) == sparse.issparse(theirs)
            assert np.array_equal(sparse.csr_matrix(ours).toarray(), sparse.csr_matrix(theirs).toarray())
        assert there.obs_names.tolist() == cells.obs_names.tolist()
        assert there.uns["imputed"]["fill"] == options.fill


def test_a_store_that_is_there_stays(model, cells, tmp_path):
    path = tmp_path / "there.zarr"
    path.mkdir()
    with pytest.raises(DataFileError, match="must not be there"):
        impute_to(model, cells, path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_that_fails_midway_leaves_nothing(model, cells, tmp_path, monkeypatch):
    calls = []

    def fails(minibatch, generator):
        calls.append(minibatch)
        if len(calls) > 1:
            raise DataError("no more.")
        return minibatch.x.dense()

    monkeypatch.setattr(model, "impute", fails)
    with pytest.raises(DataError, match="no more"):
        impute_to(model, cells, tmp_path / "half.zarr")
    assert not list(tmp_path.iterdir())


def test_a_cell_without_molecules_gets_nothing(cells):
    counts = np.array([[0.0, 0.0], [3.0, 1.0], [1.0, 2.0], [5.0, 2.0]], np.float32)
    source = open_data(AnnData(counts))
    model = build("gene_mean", source.schema)
    from cellwright.data.split import random_split

    fit(model, source, split=random_split(4, validation=0), progress=False)
    for scale in ("data", "normalised", "log"):
        assert (impute(model, source, ImputeOptions(scale=scale)).layers["imputed"][0] == 0).all()


def test_what_cannot_impute_or_draw_is_refused_with_those_that_can(cells):
    source = open_data(cells)
    pca, mean = build("pca", source.schema, n_latent=3), build("gene_mean", source.schema)
    for one in (pca, mean):
        fit(one, source, progress=False)
    with pytest.raises(AbilityError, match="vae"):
        impute(pca, cells)
    for options in (ImputeOptions(n_draws=2), ImputeOptions(fill="draw")):
        with pytest.raises(AbilityError, match="knn_gamma"):
            impute(mean, cells, options)


def test_a_draw_of_a_model_that_is_none_of_counts_is_refused(cells):
    logs = cells.copy()
    logs.X = np.log1p(sparse.csr_matrix(cells.X).toarray())
    source = open_data(logs)
    model = build("vae", source.schema, n_latent=3, likelihood="gaussian", transform="none")
    fit(model, source, SHORT, progress=False)
    with pytest.raises(OptionError, match="no model of counts"):
        impute(model, logs, ImputeOptions(fill="draw"))


def test_a_logarithm_of_what_is_expected_below_zero_is_zero(cells):
    source = open_data(cells)
    model = build("vae", source.schema, n_latent=3, likelihood="gaussian", transform="none")
    fit(model, source, SHORT, progress=False)
    found = impute(model, cells, ImputeOptions(scale="log")).layers["imputed"]
    assert np.isfinite(found).all()
    assert (found >= 0).all()


def test_one_draw_has_no_spread_and_is_refused():
    with pytest.raises(OptionError, match="0, or 2 or more"):
        ImputeOptions(n_draws=1)


def test_a_scale_that_negative_values_have_not_is_refused():
    values = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    source = open_data(AnnData(values))
    model = build("as_measured", source.schema)
    fit(model, source, progress=False)
    assert np.array_equal(impute(model, source).layers["imputed"], values)
    with pytest.raises(UnsuitableValues, match="scale='log'"):
        impute(model, source, ImputeOptions(scale="log"))


def test_a_result_that_does_not_fit_in_memory_is_refused_before_it_is_made(model, cells, monkeypatch):
    class Memory:
        available = 1000

    monkeypatch.setattr(module.psutil, "virtual_memory", Memory)
    with pytest.raises(DataError, match=r"\.zarr"):
        impute(model, cells)
    assert sparse.issparse(layer(model, cells, threshold=1.0))
