"""The PCA shift is arithmetic in components: with all of them, that in gene space."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from sklearn.decomposition import PCA as SklearnPCA

from cellwright.data.balance import BALANCES
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.errors import UnsuitableValues
from cellwright.models.gene_shift import GeneShift, GeneShiftOptions
from cellwright.models.pca_shift import PCAShift, PCAShiftOptions
from cellwright.train.fit import fit

KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}
HELD_OUT = 3  # `conftest.split` holds out its treated cells
N_VARS = 15


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(
        n_obs=300, n_vars=N_VARS, n_latent=3, treated_share=0.5, label_shares=(0.4, 0.3, 0.2, 0.1), library_mean=300
    )
    return simulate(options, seed=0).adata


def fitted(model, data, split):
    fit(model, data, split=split, progress=False)
    return model


def pca_shift(data, split, **options):
    return fitted(PCAShift(data.schema, PCAShiftOptions(**options)), data, split)


def asked(model, data, rows=None, condition=1):
    rows = np.arange(data.n_obs) if rows is None else rows
    minibatch = next(iter(in_order(data, rows, len(rows))))
    return model.perturb(minibatch, torch.full_like(minibatch.condition, condition), torch.Generator()).numpy()


# `similar` correlates control means over their coordinates, which depends on the axes
@pytest.mark.parametrize("shift", ["raw", "balanced", "shared", "linear"])
def test_with_as_many_components_as_genes_it_is_the_gene_shift(data, split, shift):
    """Rows of an orthogonal matrix keep differences of means and products of centred ones."""
    wide = pca_shift(data, split, n_latent=N_VARS, shift=shift)
    genes = fitted(GeneShift(data.schema, GeneShiftOptions(shift=shift)), data, split)
    np.testing.assert_allclose(asked(wide, data), asked(genes, data), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("decoding", ["published", "residual"])
def test_it_is_the_arithmetic_of_scikit_learns_components(data, split, logs, decoding):
    label, condition = data.annotation.label[split.train], data.annotation.condition[split.train]
    pca = SklearnPCA(4).fit(logs[split.train])
    z = pca.transform(logs[split.train])
    sides = [[z[(label == a) & (condition == b)].mean(axis=0) for a in range(HELD_OUT)] for b in (0, 1)]
    shift = (np.array(sides[1]) - np.array(sides[0])).mean(axis=0)
    rows = np.flatnonzero((data.annotation.label == HELD_OUT) & (data.annotation.condition == 0))
    before = pca.transform(logs[rows])
    after = pca.inverse_transform(before + shift)
    expected = after if decoding == "published" else np.maximum(logs[rows] + after - pca.inverse_transform(before), 0)
    found = asked(pca_shift(data, split, n_latent=4, decoding=decoding), data, rows)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_residual_decoding_gives_cells_back_that_do_not_change(data, split, logs):
    model = pca_shift(data, split, n_latent=3)
    np.testing.assert_allclose(asked(model, data, condition=0), logs, rtol=1e-5)
    published = pca_shift(data, split, n_latent=3, decoding="published")
    assert np.abs(asked(published, data, condition=0) - logs).max() > 1


@pytest.mark.parametrize("balance", [name for name in BALANCES if name != "none"])
def test_a_remedy_in_the_shift_leaves_the_components_alone(data, split, balance):
    without, with_it = (pca_shift(data, split, n_latent=3, shift="raw", shift_balance=b) for b in ("none", balance))
    assert torch.equal(without.pca.components, with_it.pca.components)
    assert not torch.equal(without.response.shift.table, with_it.response.shift.table)


def test_values_below_zero_are_refused_where_zero_is_taken_for_the_least(cells):
    data = open_data(AnnData(cells.X.toarray() - 3, obs=cells.obs), **KEYS)
    split = random_split(data.n_obs, validation=0)
    with pytest.raises(UnsuitableValues, match=r"X holds -.*PCAShift needs numbers that are not negative"):
        pca_shift(data, split, n_latent=3, transform="none")
    model = pca_shift(data, split, n_latent=3, transform="none", decoding="published")
    assert not model.takes_logarithms
    assert (asked(model, data) < 0).any()


@pytest.mark.parametrize("shift", ["raw", "similar", "regression", "transport"])
def test_values_of_the_held_out_treated_cells_change_nothing(cells, data, split, shift):
    changed = cells.copy()
    values = changed.X.toarray()
    values[split.test] = values[split.test][:, ::-1] * 50 + 7
    changed.X = type(cells.X)(values)
    first, second = (pca_shift(d, split, n_latent=3, shift=shift) for d in (data, open_data(changed, **KEYS)))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
