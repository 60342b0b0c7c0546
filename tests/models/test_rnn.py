"""Recurrent models: what they are given, what their losses count, how a forecast rolls out."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from torch.nn import functional

from cellwright.core.minibatch import SparseRows
from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import DataError, OptionError, UnsuitableValues
from cellwright.models import MODELS, build
from cellwright.models.rnn import SequenceClassifier
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

SEQUENCE_MODELS = [name for name, entry in MODELS.items() if "steps" in entry.model.needs]
NETWORKS = [name for name in SEQUENCE_MODELS if not MODELS[name].model.is_baseline]
EVERY = pytest.mark.parametrize("name", SEQUENCE_MODELS)
EVERY_NETWORK = pytest.mark.parametrize("name", NETWORKS)
TIMES = {"heat": [0, 10, 20, 40], "cold": [0, 5, 10]}
VAR = pd.DataFrame(
    [(experiment, time) for experiment, times in TIMES.items() for time in times], columns=["experiment", "time"]
).set_axis([f"t{i}" for i in range(7)])
KEYS = {"step_key": "time", "sequence_key": "experiment", "label_key": "label"}
STEP = Step(0, NoiseKey(0))


def values(n_obs=12):
    rows = np.random.default_rng(0).normal(5, 3, (n_obs, 7)).astype(np.float32)
    rows[0, 1] = rows[1, :4] = rows[2, 4:] = rows[3] = np.nan
    return rows


def source_of(rows, **keys):
    obs = pd.DataFrame({"label": ["up", "down", "down", None] * (len(rows) // 4)})
    return open_data(AnnData(rows, obs=obs.set_axis([f"g{i}" for i in range(len(rows))]), var=VAR), **(keys or KEYS))


@pytest.fixture
def source():
    return source_of(values())


def made(name, source, **options):
    torch.manual_seed(0)
    small = {"n_hidden": 8} if name in NETWORKS else {}
    model = build(name, source.schema, **small, **options).eval()
    rows = np.arange(source.n_obs), np.random.default_rng(0)
    model.prepare(0, source, *rows)
    model.learn(source, *rows)
    return model


def minibatch_of(source):
    return next(iter(in_order(source)))


def loss_of(model, minibatch):
    (((objective,),)) = model.stages()
    return objective.loss(minibatch, STEP).per_cell


@torch.no_grad()
def said_by(model, minibatch):
    asked = {"classifies": "classify", "encodes": "encode"}
    ability = next(entry.abilities for entry in MODELS.values() if entry.model is type(model))[0]
    return model.forecast(minibatch, 3) if ability == "forecasts" else getattr(model, asked[ability])(minibatch)


def test_the_presets_are_the_three_cells_and_their_layers_128_and_64():
    assert {name: MODELS[name].preset["cell"] for name in ("rnn", "gru", "lstm")} == {
        "rnn": "tanh",
        "gru": "gru",
        "lstm": "lstm",
    }
    options = MODELS["lstm"].options()
    assert [layer.hidden_size for layer in options.stack(3).layers] == [128, 64]
    assert options.dropout == 0.2


@EVERY
def test_data_without_steps_are_refused(name):
    with pytest.raises(DataError, match=r"must have rows that are sequences of steps; .* without step_key\. Give it"):
        build(name, source_of(values(), label_key="label").schema)


@EVERY
def test_missing_values_are_taken_and_infinite_ones_are_not(name, source):
    short = FitOptions(max_epochs=1, validation=0.3)
    fit(build(name, source.schema), source, short, progress=False)
    rows = values()
    rows[5, 5] = np.inf
    with pytest.raises(UnsuitableValues, match=r"holds inf .* finite numbers, or NaN for what was not measured"):
        fit(build(name, source.schema), source_of(rows), short, progress=False)


def test_a_model_of_cells_still_refuses_missing_values(source):
    with pytest.raises(UnsuitableValues, match=r"holds nan .*feature 't1'.* needs finite numbers; fill such"):
        fit(build("ae", source.schema, transform="none"), source, FitOptions(max_epochs=1), progress=False)


@EVERY
def test_steps_are_read_in_the_order_of_time_whatever_the_file_has(name):
    rows, order = values(), np.array([5, 3, 0, 6, 1, 2, 4])
    obs = pd.DataFrame({"label": ["up", "down"] * 6}, index=[f"g{i}" for i in range(12)])
    adata = AnnData(rows, obs=obs, var=VAR)
    found = []
    for cells in (adata, adata[:, order].copy()):
        data = open_data(cells, **KEYS)
        model = made(name, data)
        found.append(said_by(model, minibatch_of(data)))
    torch.testing.assert_close(*found, equal_nan=True, rtol=1e-5, atol=1e-6)


@EVERY
def test_a_row_says_the_same_beside_longer_ones(name, source):
    """Padding changes nothing: a row without its last steps, alone and in a minibatch of whole rows."""
    model, minibatch = made(name, source), minibatch_of(source)
    rows = values()
    rows[4, [2, 3, 6]] = np.nan
    beside = said_by(model, minibatch_of(source_of(rows)))
    alone = said_by(model, minibatch_of(source_of(np.repeat(rows[4:5], 4, axis=0))))
    torch.testing.assert_close(beside[4], alone[0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(beside[4], said_by(model, minibatch)[4])


@EVERY_NETWORK
def test_the_loss_counts_measured_values_only(name, source):
    """The loss of a row without a value is zero, but for the classifier, which then answers by the bias alone."""
    model = made(name, source)
    loss = loss_of(model, minibatch_of(source))
    assert torch.isfinite(loss).all()
    if not isinstance(model, SequenceClassifier):
        assert loss[3] == 0
        assert (loss[[0, 1, 2, 4]] != 0).all()


def test_a_row_without_a_value_gets_the_answer_of_the_bias(source):
    model = made("gru", source)
    found = said_by(model, minibatch_of(source))
    torch.testing.assert_close(found[3], model.head.bias.softmax(0))


def test_the_cross_entropy_is_that_of_the_labelled_rows(source):
    model, minibatch = made("lstm", source), minibatch_of(source)
    label = minibatch.label
    assert label.tolist() == [1, 0, 0, -1] * 3
    expected = -said_by(model, minibatch).log()[torch.arange(12), label.clamp(min=0)]
    torch.testing.assert_close(loss_of(model, minibatch), torch.where(label >= 0, expected, 0.0))


def test_balanced_weights_make_every_label_count_the_same(source):
    model = made("lstm", source, class_weight="balanced")
    n = np.array([6, 3])
    np.testing.assert_allclose(model.class_weight, 9 / (2 * n))
    minibatch = minibatch_of(source)
    logits = model.logits(minibatch)
    known = minibatch.label >= 0
    expected = functional.cross_entropy(logits[known], minibatch.label[known], weight=model.class_weight)
    torch.testing.assert_close(
        loss_of(model, minibatch)[known].sum() / model.class_weight[minibatch.label[known]].sum(), expected
    )


def test_balanced_weights_are_those_of_the_training_rows(source):
    model = build("lstm", source.schema, class_weight="balanced")
    model.prepare(0, source, np.array([0, 1, 3]), np.random.default_rng(0))
    assert model.class_weight.tolist() == [1, 1]


def test_a_forecaster_that_learned_nothing_says_no_change(source):
    """Its head predicts the difference from the last measured value; with weights of zero that is persistence."""
    model = made("forecaster", source)
    for parameter in model.next.change.parameters():
        torch.nn.init.zeros_(parameter)
    found = said_by(model, minibatch_of(source))
    rows = values()
    # sequences are sorted by name: cold, heat
    assert found.shape == (12, 2, 3, 1)
    np.testing.assert_allclose(found[4, 0, :, 0], rows[4, 6], rtol=1e-5)
    np.testing.assert_allclose(found[4, 1, :, 0], rows[4, 3], rtol=1e-5)
    assert torch.isnan(found[1, 1]).all()
    assert torch.isnan(found[2, 0]).all()
    assert torch.isfinite(found[1, 0]).all()


def test_the_loss_of_no_change_is_the_mean_squared_step(source):
    model = made("forecaster", source)
    for parameter in model.next.change.parameters():
        torch.nn.init.zeros_(parameter)
    heat = (values()[:, :4] - model.grid.mean[1, 0].item()) / model.grid.scale[1, 0].item()
    cold = (values()[:, 4:] - model.grid.mean[0, 0].item()) / model.grid.scale[0, 0].item()
    steps = np.concatenate([np.diff(heat, axis=1), np.diff(cold, axis=1)], axis=1)
    # of row 0 the step at 10 is missing, so that 20 follows upon 0
    steps[0, :3] = heat[0, 2] - heat[0, 0], np.nan, heat[0, 3] - heat[0, 2]
    steps[3] = 0
    terms = model.next_step(minibatch_of(source), STEP).terms
    np.testing.assert_allclose(terms["squared_error"].detach(), np.nanmean(steps**2, axis=1), rtol=1e-4)


def test_a_forecast_of_two_steps_is_one_of_one_step_twice(source):
    """Feeding the first forecast in as a measured step at its time gives the second."""
    model = made("forecaster", source)
    both = said_by(model, minibatch_of(source))
    # a schema in which that step exists: 10 after the last one, the median gap of heat; cold goes on by 5
    var = pd.concat([VAR, pd.DataFrame({"experiment": ["heat", "cold"], "time": [50, 15]}, index=["t7", "t8"])])
    first = torch.stack([both[:, 1, 0, 0], both[:, 0, 0, 0]], dim=1).numpy()
    longer = open_data(AnnData(np.hstack([values(), first]), var=var), step_key="time", sequence_key="experiment")
    again = build("forecaster", longer.schema, n_hidden=8).eval()
    state = model.state_dict()
    again.load_state_dict(state)
    torch.testing.assert_close(
        again.forecast(minibatch_of(longer), 2), both[:, :, 1:], equal_nan=True, rtol=1e-4, atol=1e-4
    )


def test_a_forecast_of_no_steps_is_refused(source):
    with pytest.raises(OptionError, match="n_steps must be 1 or more; it is 0"):
        made("forecaster", source).forecast(minibatch_of(source), 0)


def test_the_decoder_of_the_autoencoder_sees_the_latent_and_the_times_only(source):
    """Rows with the same latent and the same measured times are given back alike, whatever their values."""
    model, minibatch = made("sequence_ae", source), minibatch_of(source)
    seen = []
    model.to_values.register_forward_hook(lambda module, inputs, output: seen.append(output))
    torch.nn.init.zeros_(model.to_latent.weight)
    loss_of(model, minibatch)
    sequences = model.grid(minibatch.x)
    whole = [i for i, row in enumerate(sequences.row) if row > 3 and sequences.sequence[i] == 1]
    assert len(whole) == 8
    torch.testing.assert_close(seen[0][whole], seen[0][whole[:1]].expand(8, -1, -1))


def test_values_under_a_mask_change_nothing_in_training(source):
    """NaN enters no gradient."""
    for name in NETWORKS:
        model, minibatch = made(name, source), minibatch_of(source)
        loss_of(model, minibatch).sum().backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert torch.isnan(SparseRows.of(values()).dense()).any()


def test_a_quantity_that_a_sequence_does_not_have_stays_out_of_its_forecast():
    """What the head says of it was never trained; a forecast that fed it back as measured would depend on it."""
    var = pd.DataFrame(
        {"experiment": ["a"] * 4 + ["b"] * 2, "time": [0, 1, 0, 1, 0, 1], "what": ["x", "x", "y", "y", "x", "x"]},
        index=list("abcdef"),
    )
    rows = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    keys = {"step_key": "time", "sequence_key": "experiment", "quantity_key": "what"}
    source = open_data(AnnData(rows, var=var), **keys)
    model, minibatch = made("forecaster", source), minibatch_of(source)
    before = said_by(model, minibatch)
    with torch.no_grad():
        model.next.change[-1].bias[1] += 5
    after = said_by(model, minibatch)
    assert torch.equal(before[:, 1, :, 0], after[:, 1, :, 0])
    assert torch.isnan(after[:, 1, :, 1]).all()
    assert not torch.equal(before[:, 0, :, 0], after[:, 0, :, 0])
