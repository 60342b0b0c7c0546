"""Known answers of recurrent networks: what only the order of steps tells; slow."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.data.split import Split
from cellwright.models import build
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

N, N_STEPS, N_TEST = 1200, 12, 300
SPLIT = Split(np.arange(800), np.arange(800, 900), np.arange(900, N))
OPTIONS = FitOptions(max_epochs=60, batch_size=32)
SMALL = {"n_hidden": 32, "learning_rate": 3e-3}


def two_pulses(seed=0):
    """A high and a low pulse at random steps; the label is which came first. A tenth of the values is missing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.3, (N, N_STEPS))
    at = np.stack([rng.choice(N_STEPS, 2, replace=False) for _ in range(N)])
    rows = np.arange(N)
    values[rows, at[:, 0]], values[rows, at[:, 1]] = 3, -3
    missing = rng.random(values.shape) < 0.1
    missing[rows[:, None], at] = False
    values[missing] = np.nan
    return values.astype(np.float32), np.where(at[:, 0] < at[:, 1], "high first", "low first")


def opened(values, label=None, times=None):
    var = pd.DataFrame({"time": np.arange(values.shape[1]) if times is None else times})
    obs = pd.DataFrame({} if label is None else {"label": label}, index=[f"r{i}" for i in range(len(values))])
    adata = AnnData(values, obs=obs, var=var.set_axis([f"t{i}" for i in range(values.shape[1])]))
    return open_data(adata, step_key="time", label_key=None if label is None else "label")


def accuracy_of(name, values, label, times=None):
    data = opened(values, label, times)
    model = build(name, data.schema, **SMALL)
    fit(model, data, OPTIONS, split=SPLIT, progress=False)
    found = over_cells(model.classify, data, SPLIT.test).argmax(axis=1)
    return (found == data.annotation.label[SPLIT.test]).mean()


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_network_learns_the_order_of_two_pulses_that_a_bag_of_values_cannot(name):
    values, label = two_pulses()
    bag = np.nan_to_num(np.sort(values, axis=1), nan=0.0)
    seen, test = slice(0, 900), slice(900, N)
    by_bag = LogisticRegression(max_iter=1000).fit(bag[seen], label[seen]).score(bag[test], label[test])
    # chance is one half, its standard error with 300 rows .03
    assert by_bag < 0.6
    assert accuracy_of(name, values, label) > 0.95


def test_an_lstm_remembers_what_came_five_steps_before_the_end():
    """A lag: the label is the sign of the value five steps before the last; the values at all steps are alike."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N, N_STEPS)).astype(np.float32)
    label = np.where(values[:, -6] > 0, "up", "down")
    sorted_values = np.sort(values, axis=1)
    bag = LogisticRegression(max_iter=1000).fit(sorted_values[:900], label[:900])
    assert bag.score(sorted_values[900:], label[900:]) < 0.7
    assert accuracy_of("lstm", values, label) > 0.9


def test_shuffled_steps_hurt_where_the_order_is_the_signal():
    """Two oscillations of the row's own phase, under noise of twice their variance; the label is which one leads."""
    rng = np.random.default_rng(0)
    n_steps = 24
    phase, forward = rng.uniform(0, 2 * np.pi, (N, 1)), rng.choice([-1, 1], (N, 1))
    # each step has the same values under both labels: only what follows what tells them apart
    angle = phase + forward * np.arange(n_steps) * 0.5
    values = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 1, (N, 2 * n_steps))
    label = np.where(forward[:, 0] > 0, "leads", "lags")

    def accuracy(steps):
        var = pd.DataFrame({"time": [*steps, *steps], "what": ["x"] * n_steps + ["y"] * n_steps})
        obs = pd.DataFrame({"label": label}, index=[f"r{i}" for i in range(N)])
        adata = AnnData(values.astype(np.float32), obs=obs, var=var.set_axis([f"f{i}" for i in range(2 * n_steps)]))
        data = open_data(adata, step_key="time", quantity_key="what", label_key="label")
        model = build("gru", data.schema, **SMALL)
        # with many rows a network learns any order
        few = Split(SPLIT.train[:100], SPLIT.validation, np.r_[SPLIT.train[100:], SPLIT.test])
        fit(model, data, OPTIONS, split=few, progress=False)
        found = over_cells(model.classify, data, few.test).argmax(axis=1)
        return (found == data.annotation.label[few.test]).mean()

    in_order_of_time, shuffled = accuracy(np.arange(n_steps)), accuracy(rng.permutation(n_steps))
    assert in_order_of_time > 0.9
    assert shuffled < in_order_of_time - 0.1


def test_a_forecaster_beats_persistence_on_an_oscillation():
    """Damped by nothing, of the row's own phase, with noise and a tenth missing; four steps ahead of the last one."""
    rng = np.random.default_rng(0)
    n_ahead, period = 4, 8
    time = np.arange(20 + n_ahead)
    clean = np.sin(2 * np.pi * (time / period + rng.uniform(size=(N, 1))))
    values = (clean + rng.normal(0, 0.1, clean.shape)).astype(np.float32)
    seen = values[:, :20].copy()
    seen[:, :19][rng.random((N, 19)) < 0.1] = np.nan
    data = opened(seen)
    model = build("forecaster", data.schema, **SMALL)
    fit(model, data, OPTIONS, split=SPLIT, progress=False)
    with torch.no_grad():
        minibatch = next(iter(in_order(data, SPLIT.test)))
        found = model.forecast(minibatch, n_ahead)[:, 0, :, 0].numpy()
    truth = clean[SPLIT.test, 20:]
    error = ((found - truth) ** 2).mean(axis=0)
    persistence = ((seen[SPLIT.test, 19:20] - truth) ** 2).mean(axis=0)
    # the planted variance is .5, the noise .01
    assert (error < 0.1).all()
    assert (error < 0.2 * persistence).all()


def test_the_sequence_autoencoder_separates_planted_shapes():
    """Three shapes over two experiments of other times, a third of the values missing; k-means on the latent."""
    rng = np.random.default_rng(0)
    times = {"a": np.arange(0, 10), "b": np.array([0, 1, 3, 6, 7, 9])}
    shape = rng.choice(3, N)
    parts = [np.stack([np.sin(t * 0.7), np.cos(t * 0.7), t / 5 - 1])[shape] for t in times.values()]
    values = np.concatenate(parts, axis=1) + rng.normal(0, 0.3, (N, 16))
    values[rng.random(values.shape) < 0.33] = np.nan
    var = pd.DataFrame([(e, t) for e, steps in times.items() for t in steps], columns=["experiment", "time"])
    obs = pd.DataFrame(index=[f"r{i}" for i in range(N)])
    adata = AnnData(values.astype(np.float32), obs=obs, var=var.set_axis([f"t{i}" for i in range(16)]))
    data = open_data(adata, step_key="time", sequence_key="experiment")
    model = build("sequence_ae", data.schema, n_latent=3, **SMALL)
    fit(model, data, OPTIONS, split=SPLIT, progress=False)
    latent = reduce(model, data).obsm["X_sequence_ae"][SPLIT.test]
    found = KMeans(3, n_init=10, random_state=0).fit_predict(latent)
    assert adjusted_rand_score(shape[SPLIT.test], found) > 0.9
