"""Reduce places every cell, by name, and leaves the input alone."""

import numpy as np
import pytest
from anndata import AnnData

from cellwright.core.abilities import Encodes
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import AbilityError, DataError, SchemaMismatch, UnsuitableValues
from cellwright.models import build
from cellwright.models.model import Model
from cellwright.models.pca import PCA, PCAOptions
from cellwright.tasks.ask import needs
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=90, n_vars=30), seed=0).adata


@pytest.fixture(scope="module")
def model(cells):
    data = open_data(cells, label_key="label")
    made = PCA(data.schema, PCAOptions(n_latent=3))
    fit(made, data, progress=False)
    return made


def test_the_result_has_the_inputs_cells_in_their_order_and_nothing_else(cells, model):
    result = reduce(model, cells)
    assert result.obs_names.tolist() == cells.obs_names.tolist()
    assert result.obs.equals(cells.obs)
    assert result.X is None
    assert list(result.obsm) == ["X_pca"]
    assert result.obsm["X_pca"].dtype == np.float32


def test_the_input_is_left_alone(cells, model):
    before = cells.copy()
    reduce(model, cells)
    assert (before.X != cells.X).nnz == 0
    assert list(cells.obsm) == list(before.obsm)
    assert list(cells.uns) == list(before.uns)


def test_permuted_genes_give_the_same_latent(cells, model):
    order = np.random.default_rng(0).permutation(cells.n_vars)
    np.testing.assert_array_equal(
        reduce(model, cells[:, order].copy()).obsm["X_pca"], reduce(model, cells).obsm["X_pca"]
    )


def test_missing_genes_are_zeros_are_listed_and_warned_of_above_a_fifth(cells, model):
    with pytest.warns(UserWarning, match="10 of"):
        result = reduce(model, cells[:, 10:].copy())
    values = cells.X.toarray()
    values[:, :10] = 0
    expected = reduce(model, AnnData(values, obs=cells.obs, var=cells.var)).obsm["X_pca"]
    np.testing.assert_allclose(result.obsm["X_pca"], expected, atol=1e-5)
    assert list(result.uns["cellwright"]["filled_features"]) == cells.var_names[:10].tolist()


def test_no_gene_in_common_is_refused(cells, model):
    other = AnnData(cells.X, var={"name": [f"other{i}" for i in range(cells.n_vars)]})
    other.var_names = [f"other{i}" for i in range(cells.n_vars)]
    with pytest.raises(SchemaMismatch):
        reduce(model, other)


def test_an_unfitted_model_is_refused(cells):
    data = open_data(cells)
    with pytest.raises(DataError, match=r"must have a fitted model.*Call fit first"):
        reduce(PCA(data.schema), data)


def test_values_that_the_model_cannot_use_are_refused(cells, model):
    negative = cells.copy()
    negative.X = -negative.X
    with pytest.raises(UnsuitableValues):
        reduce(model, negative)


def test_a_model_without_the_ability_is_refused_with_those_that_have_it(cells):
    class Mute(Model):
        support = PCA.support

    sentence = r"cannot do `reduce`: it must have the ability 'encodes'; it has nothing .*pca, pca_unscaled.*ae.* can\."
    with pytest.raises(AbilityError, match=sentence):
        needs(Mute(open_data(cells).schema, PCAOptions()), Encodes, "reduce")


@pytest.fixture(params=["pca_centred", "harmony", "vae", "mmd_vae", "aae", "semi_vae"])
def integrator(request, cells):
    """Models that take a batch off, after a training too short to be good."""
    cells = cells.copy()
    cells.obs["batch"] = np.array(["one", "two"])[np.arange(cells.n_obs) % 2]
    data = open_data(cells, batch_key="batch", label_key="label")
    made = build(request.param, data.schema, n_latent=3)
    fit(made, data, FitOptions(max_epochs=1), progress=False)
    return made, cells, np.asarray(reduce(made, data).obsm[f"X_{request.param}"])


def latent_of(made, cells):
    return np.asarray(next(iter(reduce(made, cells).obsm.values())))


def test_new_cells_are_matched_to_a_reference_by_the_names_of_their_genes(integrator):
    made, cells, there = integrator
    order = np.random.default_rng(0).permutation(cells.n_vars)
    np.testing.assert_allclose(latent_of(made, cells[:, order].copy()), there, atol=1e-5)


def test_a_batch_that_the_reference_does_not_know_is_placed_and_moves_no_other_cell(integrator):
    made, cells, there = integrator
    new = cells.copy()
    new.obs["batch"] = np.where(np.arange(cells.n_obs) < 20, "three", new.obs["batch"])
    placed = latent_of(made, new)
    assert np.isfinite(placed).all()
    np.testing.assert_allclose(placed[20:], there[20:], atol=1e-5)
    # without a column for the batch every cell is of an unknown one
    np.testing.assert_allclose(latent_of(made, new[:20, :].copy()), placed[:20], atol=1e-5)
    del new.obs["batch"]
    np.testing.assert_allclose(latent_of(made, new)[:20], placed[:20], atol=1e-5)


def test_an_encoder_that_is_not_told_the_batch_places_a_cell_the_same_whatever_it_is(integrator):
    made, cells, there = integrator
    told = {"pca_centred", "harmony"}
    new = cells.copy()
    new.obs["batch"] = "three"
    same = np.allclose(latent_of(made, new), there, atol=1e-5)
    assert same == (made.name not in told)
