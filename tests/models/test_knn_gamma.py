"""Neighbours with gamma rates: planted genes that follow their neighbourhood are averaged, others keep their value."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.models.knn_gamma import N_NEIGHBORS
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells

N = 400


@pytest.fixture(scope="module")
def planted():
    """Rates of two kinds of cells: genes 0-19 are the same within a kind, 20-29 vary by themselves in each cell."""
    rng = np.random.default_rng(0)
    kind = np.arange(N) % 2
    mean = np.where(np.arange(30) < 20, 8.0 * rng.dirichlet(np.ones(30), 2) * 30, 8.0)[kind]
    rates = np.where(np.arange(30) < 20, mean, mean * rng.gamma(1, 1, (N, 30)))
    return rates, rng.poisson(rates).astype(np.float32)


@pytest.fixture(scope="module")
def model(planted):
    source = open_data(AnnData(planted[1]))
    model = build("knn_gamma", source.schema, n_latent=3)
    fit(model, source, split=random_split(N, validation=0), progress=False)
    return model


def over(model, planted, answer):
    generator = torch.Generator().manual_seed(0)
    return over_cells(lambda m: answer(m, generator), open_data(AnnData(planted[1])))


def test_rates_are_nearer_than_counts_and_than_the_mean_in_both_sorts_of_genes(model, planted):
    rates, counts = planted
    expected = over(model, planted, model.impute)
    follow, vary = slice(20), slice(20, 30)
    error, of_counts, of_mean = (((x - rates) ** 2).mean(axis=0) for x in (expected, counts, counts.mean(axis=0)))
    assert error[follow].mean() < 0.3 * of_counts[follow].mean()
    assert error[vary].mean() < min(of_counts[vary].mean(), 0.3 * of_mean[vary].mean())
    # the variance of the posterior, which nobody beats: (theta + mean) / (theta / mean + 1)^2
    assert error[vary].mean() == pytest.approx((1 + 8) / (1 / 8 + 1) ** 2, rel=0.15)


def test_theta_says_which_genes_follow_their_neighbours(model):
    theta = model.rates.log_theta.exp()
    assert theta[:20].min() > 3 * theta[20:].max()
    assert theta[20:].median() == pytest.approx(1, rel=0.5)  # as planted


def test_the_number_of_neighbours_is_one_of_those_tried(model):
    assert int(model.n_neighbors) in N_NEIGHBORS


def test_a_draw_varies_as_the_rates_do_around_their_expectation(model, planted):
    """Of what varies by itself, drawn rates have the variance of the rates; expectations have less."""
    rates, _ = planted
    drawn, expected = over(model, planted, model.draw), over(model, planted, model.impute)
    genes = slice(20, 30)
    assert drawn[:, genes].var() == pytest.approx(rates[:, genes].var(), rel=0.25)
    assert expected[:, genes].var() < drawn[:, genes].var()
