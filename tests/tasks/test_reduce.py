"""Reduce places every cell, by name, and leaves the input alone."""

import numpy as np
import pytest
from anndata import AnnData

from cellwright.core.abilities import Encodes
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import AbilityError, DataError, SchemaMismatch, UnsuitableValues
from cellwright.models.model import Model
from cellwright.models.pca import PCA, PCAOptions
from cellwright.tasks.ask import needs
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit


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

    sentence = r"cannot do `reduce`: it must have the ability 'encodes'; it has nothing .*pca, pca_unscaled, ae.* can\."
    with pytest.raises(AbilityError, match=sentence):
        needs(Mute(open_data(cells).schema, PCAOptions()), Encodes, "reduce")
