"""Corruption does what it says, in training only."""

import numpy as np
import pytest
import torch

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.models.autoencoder import Autoencoder, AutoencoderOptions


@pytest.fixture(scope="module")
def data():
    return open_data(simulate(SimulateOptions(n_obs=200, n_vars=100), seed=0).adata)


def corrupted(data, **options):
    model = Autoencoder(data.schema, AutoencoderOptions(**options))
    minibatch = next(iter(in_order(data)))
    inputs = model.encoder.inputs(minibatch)
    return inputs.dense(), model.corrupt(inputs, minibatch, Step(0, NoiseKey(0))).dense(), model, minibatch


def test_a_mask_sets_the_chosen_share_of_values_to_zero_and_leaves_the_others(data):
    before, after, *_ = corrupted(data, corruption="mask", corruption_strength=0.3)
    stored = before != 0
    gone = stored & (after == 0)
    assert torch.equal(after[~gone], before[~gone])
    n = int(stored.sum())
    # five standard errors of a binomial share
    assert abs(int(gone.sum()) / n - 0.3) < 5 * np.sqrt(0.3 * 0.7 / n)


def test_noise_has_the_chosen_standard_deviation_everywhere(data):
    before, after, *_ = corrupted(data, corruption="noise", corruption_strength=0.5)
    difference = (after - before).numpy().ravel()
    n = difference.size
    assert abs(difference.mean()) < 5 * 0.5 / np.sqrt(n)
    assert abs(difference.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * n)


def test_without_corruption_nothing_changes(data):
    before, after, *_ = corrupted(data)
    assert torch.equal(before, after)


def test_validation_sees_whole_cells(data):
    *_, model, minibatch = corrupted(data, corruption="mask", corruption_strength=0.9)
    model.eval()
    losses = [model.reconstruction(minibatch, Step(0, NoiseKey(seed))).per_cell for seed in (0, 1)]
    assert torch.equal(*losses)
