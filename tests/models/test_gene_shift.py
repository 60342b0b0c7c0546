"""The gene shift adds a shift of means to every cell, and is told nothing by what is held out."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import DataError, OptionError, UnsuitableValues
from cellwright.models.gene_shift import GeneShift, GeneShiftOptions
from cellwright.train.fit import fit

KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}
MEAN_SHIFTS = ("raw", "balanced", "shared", "similar", "linear")
HELD_OUT = 3  # `conftest.split` holds out its treated cells
N = 300


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(
        n_obs=N, n_vars=15, n_latent=3, treated_share=0.5, label_shares=(0.4, 0.3, 0.2, 0.1), library_mean=300
    )
    return simulate(options, seed=0).adata


def fitted(data, split, **options):
    model = GeneShift(data.schema, GeneShiftOptions(**options))
    fit(model, data, split=split, progress=False)
    return model


def asked(model, data, rows, condition=1):
    minibatch = next(iter(in_order(data, rows, len(rows))))
    return model.perturb(minibatch, torch.full_like(minibatch.condition, condition), torch.Generator()).numpy()


def test_shared_is_the_cell_plus_the_mean_change_and_at_least_zero(data, split, logs):
    label, condition = data.annotation.label, data.annotation.condition

    def mean(code, side):
        return logs[split.train[(label[split.train] == code) & (condition[split.train] == side)]].mean(axis=0)

    shift = np.mean([mean(code, 1) - mean(code, 0) for code in range(HELD_OUT)], axis=0)
    rows = np.flatnonzero((label == HELD_OUT) & (condition == 0))
    found = asked(fitted(data, split), data, rows)
    assert (logs[rows] + shift < 0).any()
    np.testing.assert_allclose(found, np.maximum(logs[rows] + shift, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", MEAN_SHIFTS)
def test_control_cells_asked_for_under_control_do_not_change(data, split, logs, shift):
    rows = np.arange(N)
    np.testing.assert_allclose(asked(fitted(data, split, shift=shift), data, rows, 0), logs, rtol=1e-5)


@pytest.mark.parametrize("shift", MEAN_SHIFTS)
def test_values_and_number_of_the_held_out_treated_cells_change_nothing(cells, data, split, shift):
    changed = cells.copy()
    values = changed.X.toarray()
    values[split.test] = values[split.test][:, ::-1] * 50 + 7
    changed.X = type(cells.X)(values)
    fewer = np.delete(np.arange(N), split.test[1:])
    first = fitted(data, split, shift=shift)
    for other, its_split in (
        (open_data(changed, **KEYS), split),
        (open_data(cells[fewer].copy(), **KEYS), type(split).of_names(split.names()[fewer])),
    ):
        second = fitted(other, its_split, shift=shift)
        for name, value in first.state_dict().items():
            assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("shift", ["regression", "transport"])
def test_a_shift_that_needs_a_latent_is_refused(data, shift):
    with pytest.raises(
        OptionError, match=rf"shift of GeneShift must be.*linear\); it is '{shift}'.*pca_shift or scgen"
    ):
        GeneShift(data.schema, GeneShiftOptions(shift=shift))


def test_values_that_have_no_logarithm_are_refused_and_shifted_unclipped_without_it(cells):
    scaled = AnnData(cells.X.toarray() - 3, obs=cells.obs)
    data = open_data(scaled, **KEYS)
    with pytest.raises(UnsuitableValues, match="transform='none'"):
        fitted(data, None)
    model = fitted(data, None, transform="none")
    assert not model.takes_logarithms
    rows = np.arange(N)
    control = rows[data.annotation.condition == 0]
    found = asked(model, data, control)
    label = data.annotation.label[control]
    expected = scaled.X[control] + model.shift.table[label, 1].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (found < 0).any()


@pytest.mark.parametrize("missing", ["label_key", "condition_key", "control"])
def test_without_labels_conditions_or_control_it_cannot_be_built(cells, missing):
    keys = {key: value for key, value in KEYS.items() if key != missing}
    if missing == "condition_key":
        del keys["control"]
    with pytest.raises(DataError, match=missing):
        GeneShift(open_data(cells, **keys).schema)
