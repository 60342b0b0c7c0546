"""Planted responses are predicted for a label that has no treated cells; slow."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import held_out_combination_split
from cellwright.metrics.change_pearson import change_pearson
from cellwright.metrics.mean_r2 import mean_r2
from cellwright.models import build
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

SHARES = (0.4, 0.25, 0.15, 0.12, 0.08)
KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}


def log_normalised(counts):
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


def scores(name, adata, held_out, **options):
    """R2 of means and correlation of the change, for one label of whose treated cells the model was told nothing."""
    data = open_data(adata, **KEYS)
    label, condition = data.annotation.label, data.annotation.condition
    split = held_out_combination_split(label, condition, label=held_out, condition=1, seed=0)
    model = build(name, data.schema, **options)
    fit(model, data, FitOptions(max_epochs=25, seed=0), split=split, progress=False)
    rows = np.flatnonzero((label == held_out) & (condition == 0))
    minibatch = next(iter(in_order(data, rows, len(rows))))
    with torch.no_grad():
        predicted = model.perturb(minibatch, torch.ones_like(minibatch.condition), torch.Generator()).numpy()
    control, treated = (log_normalised(adata.X[of].toarray()) for of in (rows, split.test))
    return mean_r2(treated, predicted), change_pearson(control, treated, predicted)


@pytest.fixture(scope="module")
def planted():
    """Labels of unequal size, whose responses are for the most part shared."""
    options = SimulateOptions(
        n_obs=1500,
        n_vars=150,
        n_latent=4,
        label_shares=SHARES,
        label_distance=1,
        treated_share=0.5,
        treated_strength=1.0,
        treated_spread=0.3,
    )
    return simulate(options, seed=0).adata


@pytest.mark.parametrize("held_out", [0, 4], ids=["largest label", "smallest label"])
@pytest.mark.parametrize("name", ["gene_shift", "scgen"])
def test_the_response_of_a_label_without_treated_cells_is_predicted(planted, name, held_out):
    r2, pearson = scores(name, planted, held_out)
    floor, _ = scores("no_change", planted, held_out)  # its change is zero, its correlation that of rounding errors
    common, common_pearson = scores("treated_mean", planted, held_out)
    assert r2 > max(floor, common)
    assert pearson > max(0.0, common_pearson)


def responding_by_place(seed):
    """What a label's response has of its own follows its place in the latent: near labels respond alike."""
    options = SimulateOptions(
        n_obs=2400,
        n_vars=200,
        n_latent=3,
        label_shares=(0.25, 0.2, 0.15, 0.1, 0.1, 0.1, 0.05, 0.05),
        label_distance=3,
        treated_share=0.5,
        treated_strength=0.5,
        treated_spread=0.0,
    )
    simulation = simulate(options, seed)
    rng = np.random.default_rng(seed)
    centres = np.stack([simulation.latent[simulation.label == label].mean(axis=0) for label in range(8)])
    responds = simulation.treated_shift[0] != 0
    own = 0.15 * (centres - centres.mean(axis=0)) @ rng.standard_normal((3, options.n_vars)) * responds
    simulation = replace(simulation, treated_shift=simulation.treated_shift + own)
    mean = simulation.mean()
    simulation.adata.X = type(simulation.adata.X)(
        rng.poisson(rng.gamma(simulation.theta, mean / simulation.theta)).astype(np.float32)
    )
    return simulation.adata


def test_similar_labels_tell_more_than_all_labels_where_near_ones_respond_alike():
    """In the mean over all labels, each held out once; in each of three simulations."""
    for seed in range(3):
        cells = responding_by_place(seed)
        found = {
            shift: np.mean([scores("gene_shift", cells, held_out, shift=shift) for held_out in range(8)], axis=0)
            for shift in ("shared", "similar")
        }
        assert (found["similar"] > found["shared"]).all(), seed
