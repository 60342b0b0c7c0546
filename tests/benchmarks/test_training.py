"""The benchmark's own arithmetic, from made-up results; neither peer nor training is needed."""

import importlib
from pathlib import Path
from types import ModuleType

import anndata
import numpy as np
import pytest
import torch
from scipy import stats

import cellwright as cw

FOLDER = Path(__file__).parents[2] / "benchmarks"
N_VARS, N_HIDDEN, N_LATENT = 7, 5, 3


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("training")


@pytest.fixture
def sides(training):
    """Two repeats of two sides: the peer takes 4 and 2 s per epoch, ours 1 s; our ELBO is 1 % off, up and down."""
    peer = [training.Trained([9, 4, 5], [200, 150, 100]), training.Trained([9, 3, 2], [200, 150, 100])]
    ours = [training.Trained([9, 1, 2], [200, 150, 101]), training.Trained([9, 1, 1], [200, 150, 99])]
    limits = [{"training_fp32": 0.5 / 8, "training_bf16": 0.25 / 8}] * 2
    return {training.PEER: peer, "ours": ours}, limits


def test_ratios_are_of_the_same_repeat_and_leave_the_first_epoch_out(training, sides):
    peer, ours = training.summary(training.CASES[0], 8, *sides)
    assert (ours["ratio_min"], ours["ratio_median"], ours["ratio_max"]) == (2, 3, 4)
    assert peer["ratio_min"] == peer["ratio_max"] == 1
    assert (peer["cells_per_cpu_second"], ours["cells_per_cpu_second"]) == (3, 8)


def test_the_limit_is_compared_with_the_time_per_cell(training, sides):
    peer, ours = training.summary(training.CASES[0], 8, *sides)
    assert (ours["share_of_limit_fp32"], ours["share_of_limit_bf16"]) == (0.5, 0.25)
    assert peer["limit_ratio_fp32"] == np.median([16 / 2, 16 / 4])


def test_curves_are_compared_as_means_and_as_pairs(training, sides):
    _, ours = training.summary(training.CASES[0], 8, *sides)
    assert ours["elbo_difference"] == ours["elbo_difference_of_means"] == 0
    assert ours["elbo_difference_largest_pair"] == pytest.approx(0.01)
    assert ours["elbo_spread"] == pytest.approx(0.02)


def test_every_minibatch_is_full(training):
    assert all(training.SIZES[case.n_vars, case.batch_size].n_train % case.batch_size == 0 for case in training.CASES)


def peer_weights(rng):
    """A state dict with the peer's names."""
    encoder, decoder = "z_encoder.encoder.fc_layers.Layer 0", "decoder.px_decoder.fc_layers.Layer 0"
    linear = {
        f"{encoder}.0": (N_HIDDEN, N_VARS),
        "z_encoder.mean_encoder": (N_LATENT, N_HIDDEN),
        "z_encoder.var_encoder": (N_LATENT, N_HIDDEN),
        f"{decoder}.0": (N_HIDDEN, N_LATENT),
        "decoder.px_scale_decoder.0": (N_VARS, N_HIDDEN),
        "decoder.px_dropout_decoder": (N_VARS, N_HIDDEN),
    }
    weights = {"px_r": rng.normal(size=N_VARS)}
    for name, shape in linear.items():
        weights |= {f"{name}.weight": 0.4 * rng.normal(size=shape), f"{name}.bias": rng.normal(size=shape[0])}
    for name in (f"{encoder}.1", f"{decoder}.1"):
        weights |= {f"{name}.{part}": rng.normal(size=N_HIDDEN) for part in ("weight", "bias", "running_mean")}
        weights |= {f"{name}.running_var": rng.uniform(1, 2, N_HIDDEN), f"{name}.num_batches_tracked": np.array(1)}
    return {name: value.astype(np.float32) if value.ndim else value for name, value in weights.items()}


def layer(weights, name, x):
    """Linear, batch norm in evaluation mode, ReLU: the formulas of the peer."""
    h = x @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"]
    h = (h - weights[f"{name}.1.running_mean"]) / np.sqrt(weights[f"{name}.1.running_var"] + 1e-3)
    return np.maximum(h * weights[f"{name}.1.weight"] + weights[f"{name}.1.bias"], 0)


def test_with_the_weights_of_the_peer_the_elbo_is_that_of_its_formulas(training):
    rng = np.random.default_rng(0)
    x, w = rng.poisson(2, (20, N_VARS)).astype(np.float32), peer_weights(rng)
    ours = training.our_side()
    source = cw.open_data(anndata.AnnData(x))
    options = cw.VAEOptions(n_latent=N_LATENT, n_hidden=N_HIDDEN)
    model = ours.WatchedVAE(source.schema, options)
    model.load_state_dict({**model.state_dict(), **ours.weights_of_peer(w, "nb")})

    h = layer(w, "z_encoder.encoder.fc_layers.Layer 0", np.log1p(x))
    mean = h @ w["z_encoder.mean_encoder.weight"].T + w["z_encoder.mean_encoder.bias"]
    variance = np.exp(h @ w["z_encoder.var_encoder.weight"].T + w["z_encoder.var_encoder.bias"]) + 1e-4
    z = mean + np.sqrt(variance) * ours.validation_noise(np.arange(20), N_LATENT)
    logits = layer(w, "decoder.px_decoder.fc_layers.Layer 0", z) @ w["decoder.px_scale_decoder.0.weight"].T
    share = torch.softmax(torch.from_numpy(logits + w["decoder.px_scale_decoder.0.bias"]).double(), dim=1).numpy()
    theta = np.exp(w["px_r"])
    mu = x.sum(axis=1, keepdims=True) * share
    reconstruction = -stats.nbinom.logpmf(x, theta, theta / (theta + mu)).sum(axis=1)
    kl = (0.5 * (mean**2 + variance - 1 - np.log(variance))).sum(axis=1)
    assert ours.negative_elbo(model, source, np.arange(20)) == pytest.approx((reconstruction + kl).mean(), rel=1e-5)
