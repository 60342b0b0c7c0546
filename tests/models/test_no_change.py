"""No change gives cells back as they are, on the scale of responses."""

import numpy as np
import pytest
import torch

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import Split
from cellwright.errors import DataError
from cellwright.models.no_change import NoChange, NoChangeOptions
from cellwright.train.fit import fit


@pytest.fixture(scope="module")
def data():
    cells = simulate(SimulateOptions(n_obs=90, n_vars=12, n_latent=2, treated_share=0.5), seed=0).adata
    return open_data(cells, label_key="label", condition_key="condition", control="control")


def predicted(data, condition=1, rows=None, **options):
    model = NoChange(data.schema, NoChangeOptions(**options))
    rows = np.arange(data.n_obs) if rows is None else rows
    fit(model, data, split=Split(rows, rows[:0], np.setdiff1d(np.arange(data.n_obs), rows)), progress=False)
    minibatch = next(iter(in_order(data, np.arange(data.n_obs), data.n_obs)))
    wanted = torch.full_like(minibatch.condition, condition)
    return model.perturb(minibatch, wanted, torch.Generator()).numpy()


def test_cells_come_back_log_normalised(data):
    values = data.read("X", np.arange(data.n_obs)).toarray()
    expected = np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))
    for condition in (0, 1):
        np.testing.assert_allclose(predicted(data, condition), expected, rtol=1e-5)


def test_without_logarithms_they_come_back_as_they_are(data):
    assert np.array_equal(predicted(data, transform="none"), data.read("X", np.arange(data.n_obs)).toarray())
    assert not NoChange(data.schema, NoChangeOptions(transform="none")).takes_logarithms


def test_what_no_other_model_could_predict_it_does_not_either(data):
    """A label without control cells in training, a treatment that was not trained on."""
    label, condition = data.annotation.label, data.annotation.condition
    with pytest.raises(DataError, match="label 'type_1' under 'treated' is none of these"):
        predicted(data, rows=np.flatnonzero((label != 0) | (condition == 1)))
    with pytest.raises(DataError, match="under 'treated' is none of these"):
        predicted(data, rows=np.flatnonzero(condition == 0))
