"""Views lack the chosen share of a cell's genes, each another; every encoder can be taught by them."""

import numpy as np
import pytest
import torch

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.losses.contrastive import nt_xent
from cellwright.models.contrastive import STREAMS, Contrastive, ContrastiveOptions
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions


@pytest.fixture(scope="module")
def data():
    return open_data(simulate(SimulateOptions(n_obs=200, n_vars=100), seed=0).adata)


def minibatch_of(data):
    return next(iter(in_order(data)))


def views(data, share, key=NoiseKey(0)):  # noqa: B008  frozen
    model = Contrastive(data.schema, ContrastiveOptions(masked_share=share))
    minibatch = minibatch_of(data)
    inputs = model.encoder.inputs(minibatch)
    found = [model.view(inputs, minibatch, Step(0, key), stream).dense() for stream in STREAMS]
    return inputs.dense(), *found


def test_a_view_lacks_the_chosen_share_of_the_genes_and_has_the_others(data):
    whole, first, second = views(data, 0.4)
    stored = whole != 0
    n = int(stored.sum())
    for view in (first, second):
        gone = stored & (view == 0)
        assert torch.equal(view[~gone], whole[~gone])
        # five standard errors of a binomial share
        assert abs(int(gone.sum()) / n - 0.4) < 5 * np.sqrt(0.4 * 0.6 / n)


def test_the_views_of_a_cell_are_independent(data):
    whole, first, second = views(data, 0.5)
    stored = whole != 0
    n = int(stored.sum())
    both = int(((first == 0) & (second == 0) & stored).sum()) / n
    assert abs(both - 0.25) < 5 * np.sqrt(0.25 * 0.75 / n)


def test_views_change_from_step_to_step_and_not_in_validation(data):
    model, minibatch = Contrastive(data.schema).eval(), minibatch_of(data)
    with torch.no_grad():
        losses = [model.contrast(minibatch, Step(0, NoiseKey(0, 0, index))).per_cell for index in (0, 1)]
        validations = [model.contrast(minibatch, Step.evaluation(0)).per_cell for _ in range(2)]
    assert not torch.equal(*losses)
    assert torch.equal(*validations)


def test_the_loss_is_that_of_the_projected_views(data):
    model, minibatch = Contrastive(data.schema, ContrastiveOptions(temperature=0.3)).eval(), minibatch_of(data)
    inputs, step = model.encoder.inputs(minibatch), Step(0, NoiseKey(0))
    with torch.no_grad():
        first, second = (
            model.projection(model.encoder(model.view(inputs, minibatch, step, s), minibatch)) for s in STREAMS
        )
        torch.testing.assert_close(model.contrast(minibatch, step).per_cell, nt_xent(first, second, 0.3))


@pytest.mark.parametrize("encoder", ["mlp", "tokens"])
def test_every_encoder_is_taught_by_it(data, encoder):
    model = Contrastive(data.schema, ContrastiveOptions(encoder=encoder, n_hidden=16))
    history = fit(model, data, FitOptions(max_epochs=6, validation=0.2, batch_size=32), progress=False)
    losses = history.table.query("split == 'validation' and term == 'loss'")["value"].to_numpy()
    assert losses[-1] < losses[0]
