"""A planted chain: its states, its transitions and what follows from them."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models import build
from cellwright.train.fit import fit

CHAIN = np.array([[0.6, 0.4, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]])
CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    states = np.zeros((400, 6), dtype=int)
    for step in range(1, 6):
        states[:, step] = [rng.choice(3, p=CHAIN[s]) for s in states[:, step - 1]]
    values = CENTRES[states] + rng.normal(0, 0.3, (400, 6, 2))
    var = pd.DataFrame({"t": np.repeat(np.arange(6), 2), "q": ["x", "y"] * 6}, index=[f"v{i}" for i in range(12)])
    adata = AnnData(values.reshape(400, 12).astype(np.float32), var=var)
    return open_data(adata, step_key="t", quantity_key="q"), states


@pytest.fixture(scope="module")
def model(planted):
    model = build("markov_chain", planted[0].schema, n_states=3)
    fit(model, planted[0], progress=False)
    return model


def test_transitions_are_those_that_were_planted(model):
    means = model.means[0] * model.grid.scale[0] + model.grid.mean[0]
    order = [int((means - torch.tensor(centre)).square().sum(dim=1).argmin()) for centre in CENTRES]
    np.testing.assert_allclose(means[order], CENTRES, atol=0.1)
    np.testing.assert_allclose(model.transitions[0][order][:, order], CHAIN, atol=0.05)


def test_what_is_expected_is_the_mean_of_the_states_after_as_many_steps(model, planted):
    source, states = planted
    with torch.no_grad():
        found = model.forecast(next(iter(in_order(source, None, 400))), 3)[:, 0].numpy()
    for step in range(3):
        reached = np.linalg.matrix_power(CHAIN, step + 1)[states[:, -1]]
        np.testing.assert_allclose(found[:, step], reached @ CENTRES, atol=0.8)


def test_a_draw_is_a_training_step_of_a_state_that_can_be_reached(model, planted):
    source, states = planted
    minibatch = next(iter(in_order(source, None, 400)))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        drawn = torch.stack([model.draw_forecast(minibatch, 2, generator)[:, 0] for _ in range(40)]).numpy()
    near = ((drawn[..., None, :] - CENTRES) ** 2).sum(axis=-1)
    assert near.min(axis=-1).max() < 4
    state = near.argmin(axis=-1)
    assert (state[:, states[:, -1] == 2] == 2).all()
    middle = states[:, -1] == 1
    assert (state[:, middle, 0] == 2).mean() == pytest.approx(0.3, abs=0.05)
    # a path goes on from the state that it drew: who is at the end stays there
    assert (state[:, :, 1][state[:, :, 0] == 2] == 2).all()


def test_fewer_different_steps_than_states_are_as_many_states():
    rows = np.tile(np.array([[0.0, 1.0, 0.0]], dtype=np.float32), (20, 1))
    source = open_data(AnnData(rows, var=pd.DataFrame({"t": [0, 1, 2]}, index=list("abc"))), step_key="t")
    model = build("markov_chain", source.schema, n_states=8)
    fit(model, source, progress=False)
    with torch.no_grad():
        found = model.forecast(next(iter(in_order(source))), 3)[0, 0, :, 0]
    np.testing.assert_allclose(found, [1, 0, 1], atol=1e-5)


def test_a_rare_state_is_drawn_too_where_few_training_steps_are_kept():
    # a single row of many goes to a state of its own, and stays there
    rows = np.tile(np.array([[0.0, 1.0, 0.0, 1.0]], dtype=np.float32), (300, 1))
    rows[7] = 50.0
    var = pd.DataFrame({"t": range(4)}, index=list("abcd"))
    source = open_data(AnnData(rows, var=var), step_key="t")
    for seed in range(3):
        model = build("markov_chain", source.schema, n_states=3)
        model.n_members = 50
        model.members = model.members[:, :50].clone()
        model.learn(source, np.arange(300), np.random.default_rng(seed))
        minibatch = next(iter(in_order(source, np.array([7]))))
        drawn = model.draw_forecast(minibatch, 2, torch.Generator().manual_seed(0))
        np.testing.assert_allclose(drawn.flatten(), 50.0, rtol=1e-4)
