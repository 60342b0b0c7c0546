"""Shares and thetas are those of the moments, label by label; cells drawn from them have these moments."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.core.abilities import Wanted
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.errors import UnsuitableValues
from cellwright.models.independent_nb import LARGEST_THETA, IndependentNB
from cellwright.models.parts.kinds import kind_of
from cellwright.train.fit import fit


@pytest.fixture(scope="module")
def cells():
    adata = simulate(SimulateOptions(n_obs=300, n_vars=30, n_batch=2, label_shares=(0.7, 0.3)), seed=0).adata
    adata.obs["label"] = adata.obs["label"].astype(str).where(np.arange(300) % 10 > 0)  # every tenth is unlabelled
    return adata


def fitted(adata, **keys):
    data = open_data(adata, **keys)
    model = IndependentNB(data.schema)
    fit(model, data, split=random_split(data.n_obs, validation=0, seed=0), progress=False)
    return model


def moments(counts):
    """As the header says, with the factor n / (n - 1)."""
    library = counts.sum(axis=1, keepdims=True)
    share = counts.sum(axis=0) / library.sum()
    mean = library * share
    around = ((counts - mean) ** 2).sum(axis=0) * len(counts) / (len(counts) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        theta = (mean**2).sum(axis=0) / (around - mean.sum(axis=0))
    return share, np.where((theta > 0) & (theta < LARGEST_THETA), theta, LARGEST_THETA)


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray], ids=["csr", "dense"])
def test_share_and_theta_are_the_moments_of_a_labels_cells_and_the_last_row_of_all(cells, form):
    counts = cells.X.toarray().astype(np.float64)
    model = fitted(AnnData(form(cells.X.toarray()), obs=cells.obs, var=cells.var), label_key="label")
    groups = [*((cells.obs["label"] == name).to_numpy() for name in model.schema.label.values), np.ones(300, bool)]
    for row, group in enumerate(groups):
        share, theta = moments(counts[group])
        np.testing.assert_allclose(model.share[row], share, rtol=1e-5)
        np.testing.assert_allclose(model.theta[row], theta, rtol=1e-3)


def test_with_conditions_the_moments_are_those_of_each_label_under_each(cells):
    adata = cells.copy()
    adata.obs["dose"] = np.where(np.arange(300) % 3, "low", "high")
    model = fitted(adata, label_key="label", condition_key="dose")
    counts = cells.X.toarray().astype(np.float64)
    for label, name in enumerate(model.schema.label.values):
        for condition, dose in enumerate(["high", "low"]):
            fits = ((adata.obs["label"] == name) & (adata.obs["dose"] == dose)).to_numpy()
            row = kind_of(model.schema, torch.tensor([label]), torch.tensor([condition]))[0]
            share, theta = moments(counts[fits])
            np.testing.assert_allclose(model.share[row], share, rtol=1e-5)
            np.testing.assert_allclose(model.theta[row], theta, rtol=1e-3)


def test_drawn_cells_have_the_mean_and_the_variance_of_their_label(cells):
    model = fitted(cells, label_key="label")
    n = 40_000
    code = torch.ones(n, dtype=torch.int64)
    drawn = model.generate(Wanted(code, code * 0 - 1, code * 0 - 1), torch.Generator().manual_seed(0)).double().numpy()
    of_label = (cells.obs["label"] == model.schema.label.values[1]).to_numpy()
    library = np.asarray(cells.X[of_label].sum(axis=1), dtype=np.float64)
    mean = library * model.share[1].double().numpy()
    # over the libraries of the label: E[Var] + Var[E]
    variance = (mean + mean**2 / model.theta[1].double().numpy()).mean(axis=0) + mean.var(axis=0)
    error = np.sqrt(variance / n)
    assert (np.abs(drawn.mean(axis=0) - mean.mean(axis=0)) < 5 * error).all()
    common = mean.mean(axis=0) > 1  # a rare feature's variance is itself a matter of chance
    np.testing.assert_allclose(drawn.var(axis=0)[common], variance[common], rtol=0.1)


def test_no_feature_of_a_drawn_cell_knows_of_another(cells):
    """Given the library they are independent: shares of the library hardly correlate, those of real cells do."""
    model = fitted(cells, label_key="label")
    code = torch.zeros(5000, dtype=torch.int64)
    drawn = model.generate(Wanted(code, code - 1, code - 1), torch.Generator().manual_seed(0)).numpy()
    real = cells.X[(cells.obs["label"] == model.schema.label.values[0]).to_numpy()].toarray()

    def mean_correlation(counts):
        share = counts / model.share.sum().item() / counts.sum(axis=1, keepdims=True)
        return np.abs(np.corrcoef(share.T)[np.triu_indices(30, k=1)]).mean()

    assert mean_correlation(drawn) < 0.5 * mean_correlation(real)


def test_counts_without_overdispersion_are_poisson():
    counts = np.tile(np.array([[4, 6], [6, 4]], dtype=np.float32), (50, 1))
    model = fitted(AnnData(counts))
    assert (model.theta == LARGEST_THETA).all()


def test_values_that_are_no_counts_are_refused():
    data = open_data(AnnData(np.full((20, 3), 0.5, dtype=np.float32)))
    with pytest.raises(UnsuitableValues, match="IndependentNB needs non-negative integers"):
        fit(IndependentNB(data.schema), data, progress=False)
