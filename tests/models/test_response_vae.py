from dataclasses import replace

import numpy as np
import torch
from scipy import stats

from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.models import build

KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}


def source_of(n_obs=60):
    options = SimulateOptions(n_obs=n_obs, n_vars=30, label_shares=(0.5, 0.5), treated_share=0.5)
    return open_data(simulate(options, seed=0).adata, **KEYS)


def prepared(source, **options):
    model = build("response_vae", source.schema, n_latent=3, n_hidden=8, dropout=0.0, **options).eval()
    model.prepare(0, source, np.arange(source.n_obs), np.random.default_rng(0))
    return model


def terms(model, source, rows=None):
    minibatch = next(iter(in_order(source, np.arange(source.n_obs) if rows is None else rows)))
    return model.negative_elbo(minibatch, Step.evaluation(0)), minibatch


def test_the_decoder_is_the_formula_in_the_header():
    source = source_of()
    model = prepared(source)
    minibatch = next(iter(in_order(source, np.arange(20))))
    z = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    share = torch.softmax(model.head.share(model._decoder_input(z, minibatch.condition)), dim=1)
    weight = model.head.share.weight.detach()
    treated = 1 - source.schema.control_code
    w, beta = weight[:, :3], weight[:, 3 + treated]
    v = weight[:, 5 + 3 * treated : 8 + 3 * treated]
    is_treated = (minibatch.condition == treated).float()[:, None]
    wanted = model.head.share.bias + z @ w.T + is_treated * (beta + z @ v.T)
    torch.testing.assert_close(share, torch.softmax(wanted, dim=1))


def test_the_penalties_are_sums_of_squares_of_their_loadings():
    source = source_of()
    model = prepared(source, penalty=2.0, response_penalty=3.0)
    weight = model.head.share.weight.detach()
    wanted = 2 * weight[:, :3].square().sum() + 3 * (0.1 * weight[:, 3:5].square().sum() + weight[:, 5:].square().sum())
    found, _ = terms(model, source)
    torch.testing.assert_close(found.terms["loadings"], wanted.expand(source.n_obs))


def test_the_match_term_is_the_distance_of_mean_latents_by_label():
    source = source_of()
    model = prepared(source)
    found, minibatch = terms(model, source)
    z = model.encode(minibatch)
    wanted = 0.0
    for label in (0, 1):
        sides = [z[(minibatch.label == label) & (minibatch.condition == condition)] for condition in (0, 1)]
        squared = (sides[0].mean(dim=0) - sides[1].mean(dim=0)).square().sum()
        wanted += min(len(side) for side in sides) * squared / source.n_obs
    torch.testing.assert_close(found.terms["match"], wanted.expand(source.n_obs))


def test_cells_of_one_side_only_have_nothing_to_match():
    source = source_of()
    control = np.flatnonzero(source.annotation.condition == source.schema.control_code)
    found, _ = terms(prepared(source), source, control)
    assert found.terms["match"].abs().max() == 0


def test_training_starts_at_the_moments_of_the_cells():
    """At first the mean log-likelihood is about that of a negative binomial with the pooled shares."""
    source = source_of()
    model = prepared(source)
    found, minibatch = terms(model, source)
    counts, library = minibatch.x.dense().numpy(), minibatch.library.numpy()
    mean = library * (counts.sum(axis=0) / counts.sum())
    theta = model.head.log_theta.exp().detach().numpy()
    wanted = stats.nbinom.logpmf(counts, theta, theta / (theta + mean)).sum(axis=1).mean()
    assert abs(float(found.terms["reconstruction"].detach().mean()) + wanted) < 0.02 * abs(wanted)


def test_a_fitted_model_goes_on_from_its_weights():
    source = source_of()
    model = prepared(source)
    model.fitted = True
    with torch.no_grad():
        model.head.log_theta.fill_(0.5)
    model.prepare(0, source, np.arange(source.n_obs), np.random.default_rng(0))
    assert (model.head.log_theta == 0.5).all()


def test_a_cell_of_unknown_condition_trains_nothing():
    """The gradients are those of the other cells alone; the penalties are of no cell."""
    source = source_of()
    model = prepared(source, match_weight=0.0)
    minibatch = next(iter(in_order(source, np.arange(20))))
    unknown = torch.arange(20) < 8
    mixed = replace(minibatch, condition=minibatch.condition.masked_fill(unknown, -1))
    others = next(iter(in_order(source, np.arange(8, 20))))
    gradients = []
    for cells in (mixed, others):
        found = model.negative_elbo(cells, Step.evaluation(0))
        of_cells = found.terms["reconstruction"] + found.terms["kl"]
        gradients.append(torch.autograd.grad(of_cells.sum(), [*model.head.parameters(), *model.encoder.parameters()]))
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)
    assert (model.negative_elbo(mixed, Step.evaluation(0)).terms["reconstruction"][unknown] == 0).all()
