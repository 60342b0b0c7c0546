"""Known answers for what learns from a cell's genes by themselves: masked values, other genes, two views; slow."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import Split
from cellwright.models import build
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

SIZES = {"n_hidden": 32}


@pytest.fixture(scope="module")
def cells():
    """Sparse, a third of the genes in each: which genes go together is what few labelled cells do not show."""
    options = SimulateOptions(n_obs=2000, n_vars=120, n_latent=4, label_shares=(0.4, 0.3, 0.3), library_mean=150.0)
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def split():
    return Split(np.arange(1200), np.arange(1200, 1400), np.arange(1400, 2000))


@pytest.fixture(scope="module")
def transformer(cells, split, tmp_path_factory):
    """Fitted on these cells, and its run folder."""
    data = open_data(cells)
    model, folder = build("transformer", data.schema, **SIZES), tmp_path_factory.mktemp("runs") / "transformer"
    fit(model, data, FitOptions(max_epochs=30, batch_size=64), split=split, run=folder, progress=False)
    return model, folder


def asked_of(model, data, rows, key):
    """Genes asked for of cells, which of them truly are, their values, and the errors per cell of the two terms."""
    minibatch = next(iter(in_order(data, rows)))
    values = model.encoder.inputs(minibatch).dense()
    draw = key.uniform(minibatch.rows, data.schema.n_vars, 4)
    hidden = (values != 0) & (draw < model.options.masked_share)
    asked, is_asked = model.asked(draw, hidden, values == 0)
    with torch.no_grad():
        loss = model.masked_values(minibatch, Step(0, key))
    return values, hidden | (values == 0), asked, is_asked, loss.terms


def test_masked_values_are_told_better_than_by_the_mean_of_the_gene(cells, split, transformer):
    """The means are those of the same genes asked for, or unseen, in the training cells: they know the proportion."""
    model, data = transformer[0], open_data(cells)
    n_vars = data.schema.n_vars
    total, n, unseen_total, unseen_n = (
        torch.zeros(n_vars),
        torch.zeros(n_vars),
        torch.zeros(n_vars),
        torch.zeros(n_vars),
    )
    for index in range(10):
        values, unseen, asked, is_asked, _ = asked_of(model, data, split.train, NoiseKey(1, 0, index))
        total.index_add_(0, asked[is_asked], values.gather(1, asked)[is_asked])
        n.index_add_(0, asked[is_asked], torch.ones(int(is_asked.sum())))
        unseen_total += (values * unseen).sum(dim=0)
        unseen_n += unseen.sum(dim=0)
    values, unseen, asked, is_asked, terms = asked_of(model, data, split.test, NoiseKey(2))
    by_mean = (values.gather(1, asked) - (total / n.clamp(min=1))[asked]).square()
    gained = {
        "masked": (by_mean * is_asked).sum(dim=1) / is_asked.sum(dim=1) - terms["masked"],
        "cell": ((values - unseen_total / unseen_n) ** 2 * unseen).sum(dim=1) / unseen.sum(dim=1) - terms["cell"],
    }
    for name, of_cell in gained.items():
        # five standard errors above nothing gained
        assert of_cell.mean() > 5 * of_cell.std() / np.sqrt(len(of_cell)), name


def accuracy(cells, seed, **options):
    """On cells 1,400 and later, of a classifier that learned from five labelled cells of each type."""
    rng = np.random.default_rng(seed)
    label = cells.obs["label"].to_numpy()
    few = np.concatenate([rng.choice(np.flatnonzero(label[:1400] == kind), 5, replace=False) for kind in set(label)])
    data = open_data(cells, label_key="label")
    model = build("transformer_classifier", data.schema, **SIZES, **options)
    rest = np.setdiff1d(np.arange(cells.n_obs), few)
    options_of_fit = FitOptions(max_epochs=40, seed=seed)
    fit(model, data, options_of_fit, split=Split(few, np.array([], int), rest), progress=False)
    rows = np.arange(1400, cells.n_obs)
    return (over_cells(model.classify, data, rows).argmax(axis=1) == data.annotation.label[rows]).mean()


def test_a_run_on_other_and_permuted_genes_helps_where_labels_are_few(cells, transformer):
    """A quarter of the genes are unknown to the run; the others are in another order."""
    rng = np.random.default_rng(0)
    order = rng.permutation(cells.n_vars)
    other = cells[:, order].copy()
    other.var_names = [f"new_{name}" if i < 30 else name for i, name in enumerate(other.var_names)]
    scratch, started = (
        np.array([accuracy(other, seed, **options) for seed in range(3)])
        for options in ({}, {"pretrained": str(transformer[1])})
    )
    assert started.mean() > scratch.mean() + 2 * (started - scratch).std() / np.sqrt(3)


def test_features_in_another_order_give_the_same_classes(cells):
    data = open_data(cells, label_key="label")
    model = build("transformer_classifier", data.schema, n_hidden=16)
    fit(model, data, FitOptions(max_epochs=2), progress=False)
    shuffled = cells[:, np.random.default_rng(0).permutation(cells.n_vars)].copy()
    elsewhere = open_data(shuffled, schema=model.schema)
    first, second = (over_cells(model.classify, source) for source in (data, elsewhere))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def types():
    return simulate(
        SimulateOptions(n_obs=1000, n_vars=120, n_latent=4, label_distance=4.0, library_mean=400.0), seed=0
    ).adata


def agreement(cells, name, **options):
    """ARI of k-means on the latent with the planted types."""
    data = open_data(cells)
    model = build(name, data.schema, **options)
    fit(model, data, FitOptions(max_epochs=30, batch_size=64), progress=False)
    clusters = KMeans(3, n_init=10, random_state=0).fit_predict(reduce(model, data).obsm[f"X_{name}"])
    return adjusted_rand_score(cells.obs["label"], clusters)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("contrastive", {}),
        ("contrastive", {"encoder": "tokens", "n_hidden": 32}),
        ("transformer", {"n_hidden": 32}),
    ],
    ids=["contrastive mlp", "contrastive tokens", "transformer"],
)
def test_planted_types_are_found_without_labels_and_none_in_shuffled_values(types, name, options):
    noise = types.copy()
    rng = np.random.default_rng(0)
    noise.X = sparse.csr_matrix(rng.permuted(types.X.toarray(), axis=0))
    assert agreement(types, name, **options) > 0.9
    assert abs(agreement(noise, name, **options)) < 0.05
