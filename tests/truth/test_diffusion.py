"""Known answers that latent diffusion must find; slow."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from cellwright.core.abilities import Wanted
from cellwright.core.minibatch import SparseRows
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.models.diffusion import Diffusion
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

SHARES = (0.5, 0.3, 0.2)
N_GENERATED = 2000


def log_normalised(counts):
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def planted():
    """Overlapping labels, so that a cell can be more and less typical of its own."""
    options = SimulateOptions(n_obs=4000, n_vars=200, n_latent=4, label_shares=SHARES, label_distance=1.0)
    return simulate(options, seed=0)


@pytest.fixture(scope="module")
def fitted(planted):
    data = open_data(planted.adata[:3000].copy(), label_key="label")
    model = Diffusion(data.schema)
    fit(model, data, FitOptions(seed=0), progress=False)
    return model


@pytest.fixture(scope="module")
def held_out(planted):
    return planted.adata[3000:].X.toarray()


@pytest.fixture(scope="module")
def judge(planted):
    """Knows the labels from real cells."""
    counts = planted.adata[:3000].X.toarray()
    return LogisticRegression(C=0.01, max_iter=2000).fit(log_normalised(counts), planted.label[:3000])


def generated(model, label, guidance):
    model.options = model.options.model_copy(update={"guidance": guidance})
    unknown = torch.full((N_GENERATED,), -1)
    return model.generate(
        Wanted(torch.full((N_GENERATED,), label), unknown, unknown), torch.Generator().manual_seed(0)
    ).numpy()


def judged(judge, counts):
    """The mean probability of each label."""
    return judge.predict_proba(log_normalised(counts)).mean(axis=0)


def test_without_the_label_it_recovers_the_proportions_of_the_mixture(fitted, judge, held_out):
    # asked for one label and told not to heed it; the judge says of real cells what it says of a perfect mixture
    found = judged(judge, generated(fitted, label=2, guidance=0.0))
    np.testing.assert_allclose(found, judged(judge, held_out), atol=0.05)


def test_guidance_moves_the_proportions_from_the_mixture_to_the_label_and_sharpens_it(fitted, judge, planted, held_out):
    real = judged(judge, held_out[planted.label[3000:] == 2])[2]
    none, full, more = (judged(judge, generated(fitted, label=2, guidance=g))[2] for g in (0.0, 1.0, 2.0))
    assert none < 0.3
    assert full == pytest.approx(real, abs=0.05)
    assert full < more


def test_it_recovers_the_correlations_between_genes(fitted, planted, held_out):
    """Nearer to those of other real cells than cells with the right genes, each drawn by itself among its label."""
    rng = np.random.default_rng(0)
    label = planted.label[3000:]
    wanted = Wanted(torch.from_numpy(label), *torch.full((2, len(label)), -1))
    fitted.options = fitted.options.model_copy(update={"guidance": 1.0})
    made = fitted.generate(wanted, torch.Generator().manual_seed(0)).numpy()
    apart = held_out.copy()
    for code in range(3):
        at = np.flatnonzero(label == code)
        for gene in range(apart.shape[1]):
            apart[at, gene] = held_out[rng.permutation(at), gene]
    genes = np.argsort(-held_out.mean(axis=0))[:100]
    truth = np.corrcoef(log_normalised(planted.adata[:3000].X.toarray())[:, genes].T)
    error, independent, floor = (
        np.abs(np.corrcoef(log_normalised(counts)[:, genes].T) - truth).mean() for counts in (made, apart, held_out)
    )
    assert error < 0.5 * independent
    assert error < 2 * floor


def test_imputation_beats_the_gene_mean_on_hidden_molecules(fitted, planted, held_out):
    """A tenth of the molecules is hidden; the mean of a Poisson deviance per hidden molecule, less is better."""
    rng = np.random.default_rng(0)
    shown = rng.binomial(held_out.astype(np.int64), 0.9).astype(np.float32)
    hidden = held_out - shown
    source = open_data(planted.adata[3000:].copy(), schema=fitted.schema)
    minibatch = replace(next(iter(in_order(source))), views={"X": SparseRows.of(sparse.csr_matrix(shown))})
    imputed = fitted.impute(minibatch, torch.Generator().manual_seed(0)).numpy()
    train = planted.adata[:3000].X.toarray()
    gene_mean = shown.sum(axis=1, keepdims=True) * train.sum(axis=0) / train.sum()
    found, baseline = (deviance(hidden, mean / 9) for mean in (imputed, gene_mean))
    truth = deviance(hidden, 0.1 * planted.mean(slice(3000, None)))
    assert found < baseline
    # most of what the planted means are better by
    assert baseline - found > 0.5 * (baseline - truth)


def deviance(counts, means):
    logs = np.log(np.where(counts > 0, counts / np.maximum(means, 1e-12), 1))
    return 2 * (counts * logs - counts + means).sum() / counts.sum()
