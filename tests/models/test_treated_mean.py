"""The treated mean is the mean of the treated training cells, for every cell."""

import numpy as np
import pytest
import torch

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import held_out_combination_split
from cellwright.errors import DataError
from cellwright.models.treated_mean import TreatedMean, TreatedMeanOptions
from cellwright.train.fit import fit


@pytest.fixture(scope="module")
def data():
    cells = simulate(SimulateOptions(n_obs=150, n_vars=12, n_latent=2, treated_share=0.5), seed=0).adata
    return open_data(cells, label_key="label", condition_key="condition", control="control")


@pytest.fixture(scope="module")
def split(data):
    return held_out_combination_split(data.annotation.label, data.annotation.condition, label=2, condition=1, seed=0)


def asked(data, split, condition, **options):
    model = TreatedMean(data.schema, TreatedMeanOptions(**options))
    fit(model, data, split=split, progress=False)
    minibatch = next(iter(in_order(data, np.arange(data.n_obs), data.n_obs)))
    return model.perturb(minibatch, condition(minibatch), torch.Generator()).numpy()


@pytest.mark.parametrize("transform", ["log_normalise", "none"])
def test_every_cell_is_the_mean_of_the_training_cells_of_its_condition(data, split, transform):
    values = data.read("X", np.arange(data.n_obs)).toarray()
    if transform == "log_normalise":
        values = np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))
    for code in (0, 1):
        found = asked(data, split, lambda cells, code=code: torch.full_like(cells.condition, code), transform=transform)
        training = split.train[data.annotation.condition[split.train] == code]
        np.testing.assert_allclose(
            found, np.broadcast_to(values[training].mean(axis=0), found.shape), rtol=1e-5, atol=1e-6
        )


def test_an_unknown_condition_is_refused(data, split):
    with pytest.raises(DataError, match="under None is none of these"):
        asked(data, split, lambda cells: cells.condition * 0 - 1)


def test_the_held_out_treated_cells_are_in_no_mean(data, split):
    found = asked(data, split, lambda cells: torch.ones_like(cells.condition), transform="none")[0]
    treated = data.annotation.condition == 1
    everything = data.read("X", np.flatnonzero(treated)).toarray().mean(axis=0)
    assert treated[split.test].all()
    assert np.abs(found - everything).max() > 0.01
