"""scGen has the published layers and loss, and does the published arithmetic in its latent."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from torch import nn
from torch.distributions import Normal, kl_divergence

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.core.support import Support
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.errors import UnsuitableValues
from cellwright.models.scgen import ScGen, ScGenOptions
from cellwright.nn.dropout import Dropout
from cellwright.nn.sparse_linear import SparseLinear
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}
HELD_OUT = 2  # `conftest.split` holds out its treated cells
SMALL = {"n_latent": 4, "n_hidden": 16}
SHORT = FitOptions(max_epochs=3, batch_size=32)


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=300, n_vars=20, n_latent=3, treated_share=0.5, library_mean=300)
    return simulate(options, seed=0).adata


def fitted(data, split, **options):
    model = ScGen(data.schema, ScGenOptions(**{**SMALL, **options}))
    fit(model, data, SHORT, split=split, progress=False)
    return model


@torch.no_grad()
def asked(model, data, rows=None, condition=1):
    rows = np.arange(data.n_obs) if rows is None else rows
    minibatch = next(iter(in_order(data, rows, len(rows))))
    return model.perturb(minibatch, torch.full_like(minibatch.condition, condition), torch.Generator()).numpy()


def kinds_of(module):
    """The layers in their order; of linear ones the width of input and output."""
    found = []
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            found.append((layer.in_features, layer.out_features))
        elif isinstance(layer, SparseLinear):
            found.append(tuple(layer.weight.shape))
        elif isinstance(layer, nn.BatchNorm1d | nn.LeakyReLU):
            found.append(type(layer).__name__)
        elif isinstance(layer, Dropout):
            found.append(layer.p)
    return found


def test_the_layers_are_the_published_ones(data):
    """[Lotfollahi19], methods: 800-800, batch normalisation, leaky ReLU, dropout .2; a latent of 100."""
    vae = ScGen(data.schema).vae
    hidden = ["BatchNorm1d", "LeakyReLU", 0.2]
    assert kinds_of(vae.encoder) == [(20, 800), *hidden, (800, 800), *hidden, (800, 200)]
    assert kinds_of(vae.decoder) == [(100, 800), *hidden, (800, 800), *hidden, (800, 20)]


def test_it_is_trained_by_adam_with_the_published_step(data):
    ((objective,),) = ScGen(data.schema).stages()
    assert objective.optimiser.learning_rate == 1e-3
    assert objective.optimiser.weight_decay == 0


def test_the_loss_is_half_the_squared_error_a_constant_and_little_kl(data, logs):
    torch.manual_seed(0)
    model = ScGen(data.schema, ScGenOptions(**SMALL)).eval()
    rows = np.arange(40)
    minibatch = next(iter(in_order(data, rows, 40)))
    step = Step(0, NoiseKey(3))
    ((objective,),) = model.stages()
    found = objective.loss(minibatch, step)
    mean, log_variance = model.vae.encoder(model.vae.encoder.inputs(minibatch), minibatch).chunk(2, dim=1)
    spread = (log_variance.exp() + 1e-4).sqrt()
    z = mean + spread * step.noise.normal(minibatch.rows, SMALL["n_latent"])
    decoder = model.vae.decoder
    decoded = decoder.trunk(z) @ decoder.head.location.weight.T + decoder.head.location.bias
    squares = (torch.from_numpy(logs[rows]).float() - decoded).square().sum(dim=1)
    kl = kl_divergence(Normal(mean, spread), Normal(0.0, 1.0)).sum(dim=1)
    constant = 20 * np.log(2 * np.pi) / 2
    # by terms: in the sum the KL would vanish beside the squares
    assert found.weights == {"kl": 5e-5}
    assert found.terms.keys() == {"reconstruction", "kl"}
    torch.testing.assert_close(found.terms["reconstruction"], 0.5 * squares + constant, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found.terms["kl"], kl, rtol=1e-4, atol=1e-5)


def test_published_balanced_is_the_published_arithmetic(data, split):
    """decode(z + mean over labels of treated z - mean over labels of control z), the held-out one in the second."""
    model = fitted(data, split, shift="balanced", decoding="published")
    label, condition = data.annotation.label, data.annotation.condition
    with torch.no_grad():
        z = torch.cat([model.encode(minibatch) for minibatch in in_order(data)])

        def mean(code, side):
            of = split.train[(label[split.train] == code) & (condition[split.train] == side)]
            return z[of].mean(dim=0)

        control = torch.stack([mean(code, 0) for code in range(3)]).mean(dim=0)
        treated = torch.stack([mean(code, 1) for code in range(2)]).mean(dim=0)
        rows = np.flatnonzero((label == HELD_OUT) & (condition == 0))
        decoder = model.vae.decoder
        expected = decoder.head.location(decoder.trunk(z[rows] + treated - control))
    np.testing.assert_allclose(asked(model, data, rows), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_residual_decoding_adds_the_decoded_change_to_the_cell(data, split, logs):
    published, residual = (fitted(data, split, decoding=decoding) for decoding in ("published", "residual"))
    after, before = asked(published, data), asked(published, data, condition=0)
    np.testing.assert_allclose(asked(residual, data), np.maximum(logs + after - before, 0), rtol=1e-4, atol=1e-4)


def test_residual_decoding_gives_control_cells_back_and_keeps_what_tells_cells_apart(data, split, logs):
    model = fitted(data, split)
    np.testing.assert_allclose(asked(model, data, condition=0), logs, rtol=1e-5)
    rows = np.flatnonzero((data.annotation.label == HELD_OUT) & (data.annotation.condition == 0))
    treated = asked(model, data, rows)
    decoded = asked(fitted(data, split, decoding="published"), data, rows)
    assert (treated >= 0).all()
    # the decoder smooths: only what is kept of each cell has the variance of cells
    assert decoded.var(axis=0).sum() < 0.7 * logs[rows].var(axis=0).sum() < treated.var(axis=0).sum()


def test_neither_labels_nor_conditions_are_seen_by_the_network(cells, data, split):
    """Only the shift knows them: with other labels and conditions the same weights come out."""
    other = cells.copy()
    rng = np.random.default_rng(1)
    for column in ("label", "condition"):
        other.obs[column] = rng.permutation(other.obs[column].to_numpy())
    networks = [fitted(d, split).vae.state_dict() for d in (data, open_data(other, **KEYS))]
    for name, value in networks[0].items():
        assert torch.equal(value, networks[1][name]), name


@pytest.mark.parametrize("shift", ["raw", "balanced", "shared", "similar", "linear", "regression", "transport"])
def test_values_of_the_held_out_treated_cells_change_nothing(cells, data, split, shift):
    changed = cells.copy()
    values = changed.X.toarray()
    values[split.test] = values[split.test][:, ::-1] * 50 + 7
    changed.X = type(cells.X)(values)
    other = open_data(changed, **KEYS)
    first, second = (fitted(d, split, shift=shift) for d in (data, other))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    rows = np.flatnonzero((data.annotation.label == HELD_OUT) & (data.annotation.condition == 0))
    assert np.array_equal(asked(first, data, rows), asked(second, other, rows))


def test_a_prediction_depends_on_its_own_cell_only(data, split):
    model = fitted(data, split, shift="transport")
    rows = np.arange(30)
    np.testing.assert_allclose(asked(model, data, rows)[[7]], asked(model, data, rows[[7]]), rtol=1e-4, atol=1e-5)


def test_values_below_zero_are_refused_where_zero_is_taken_for_the_least(cells):
    data = open_data(AnnData(cells.X.toarray() - 3, obs=cells.obs), **KEYS)
    split = random_split(data.n_obs, validation=0)
    with pytest.raises(UnsuitableValues, match=r"ScGen needs numbers that are not negative.*transform='none'"):
        fitted(data, split, decoding="published")
    with pytest.raises(UnsuitableValues, match="ScGen needs numbers that are not negative"):
        fitted(data, split, transform="none")
    model = fitted(data, split, transform="none", decoding="published")
    assert model.support is Support.real
    assert not model.takes_logarithms
    assert np.isfinite(asked(model, data)).all()
