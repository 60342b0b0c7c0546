"""What a graph network must find that lies in the neighbourhood; slow."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.linear_model import LogisticRegression

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.tasks.interactions import InteractionOptions, interactions
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow


def tissue(seed=0):
    """1,500 cells in four domains, which shift the rates a little; each domain has the same cell types.

    A cell has 150 counts over 120 genes: by itself it says little of its domain, its neighbours together say it.
    """
    rng = np.random.default_rng(seed)
    places = rng.random((1500, 2))
    domain = (places[:, 0] > 0.5) * 2 + (places[:, 1] > 0.5)
    kind = rng.choice(3, 1500)
    log_rate = rng.normal(0, 1, 120) + rng.normal(0, 1, (3, 120))[kind] + rng.normal(0, 0.1, (4, 120))[domain]
    rate = np.exp(log_rate) / np.exp(log_rate).sum(axis=1, keepdims=True)
    obs = pd.DataFrame({"domain": domain.astype(str), "kind": kind.astype(str)}, index=[f"c{i}" for i in range(1500)])
    adata = AnnData(sparse.csr_matrix(rng.poisson(150 * rate).astype(np.float32)), obs=obs)
    adata.obsm["spatial"] = places
    return adata


def held_out_accuracy(name, data, split, truth, **options):
    """Of a linear classifier of the domain on the latent, trained on the training cells."""
    model = build(name, data.schema, **options)
    fit(model, data, split=split, progress=False)
    latent = reduce(model, data).obsm[f"X_{name}"]
    classifier = LogisticRegression(max_iter=1000).fit(latent[split.train], truth[split.train])
    return classifier.score(latent[split.test], truth[split.test])


def test_where_the_signal_is_in_the_neighbourhood_the_graph_finds_it_and_an_mlp_does_not():
    adata = tissue()
    data = open_data(adata, coordinates_key="spatial")
    split = random_split(data.n_obs, validation=0.1, test=0.3, seed=0)
    truth = adata.obs["domain"].to_numpy()
    mlp = held_out_accuracy("vae", data, split, truth)
    # what the counts themselves say of one cell: no encoder of a cell by itself can do much better
    counts = adata.X.toarray()
    classifier = LogisticRegression(max_iter=2000, C=0.01).fit(np.log1p(counts[split.train]), truth[split.train])
    alone = classifier.score(np.log1p(counts[split.test]), truth[split.test])
    graph = held_out_accuracy("vgae", data, split, truth, graph="space")
    # they reach .29 and .51 of four equal classes, the graph .97
    assert graph > max(mlp, alone) + 0.25


@pytest.mark.parametrize("part", ["seen", "held out"])
def test_neighbours_give_the_means_of_sparse_counts_back_better_than_a_cell_by_itself(part):
    """Over the true log means, in cells of 100 counts."""
    options = SimulateOptions(n_obs=2000, n_vars=300, n_latent=4, library_mean=100, label_distance=3.0)
    truth = simulate(options, seed=0)
    data = open_data(truth.adata)
    split = random_split(data.n_obs, validation=0.1, test=0.2, seed=0)
    rows = split.test if part == "held out" else split.train
    log_mean = np.log1p(truth.mean(rows) / truth.library[rows, None] * 1e4)
    errors = {}
    for name in ("vae", "gae"):
        model = build(name, data.schema)
        fit(model, data, split=split, progress=False)
        minibatch = next(in_order(data, rows))
        with torch.no_grad():
            mean = model.decode(model.encode(minibatch), minibatch) / minibatch.library
        errors[name] = float(np.sqrt(np.mean((np.log1p(mean.numpy() * 1e4) - log_mean) ** 2)))
    assert errors["gae"] < errors["vae"]


@pytest.fixture(scope="module")
def pairs():
    """Types a to d at random places, but each b beside an a; and a model of them with attention."""
    rng = np.random.default_rng(0)
    kind = np.repeat(list("abcd"), 200)
    places = rng.random((800, 2))
    places[kind == "b"] = places[kind == "a"] + rng.normal(0, 0.005, (200, 2))
    rate = rng.gamma(1.0, 1.0, (4, 60))[np.repeat(np.arange(4), 200)]
    obs = pd.DataFrame({"kind": kind}, index=[f"c{i}" for i in range(800)])
    adata = AnnData(rng.poisson(2 * rate).astype(np.float32), obs=obs, obsm={"spatial": places})
    data = open_data(adata, label_key="kind", coordinates_key="spatial")
    model = build("gae", data.schema, graph="space", convolution="gat", n_components=20)
    fit(model, data, FitOptions(max_epochs=40), progress=False)
    return adata, data, model


def test_a_planted_interaction_is_found_with_its_direction(pairs):
    adata, data, model = pairs
    # two neighbours each: those that were planted, and not what happens to lie around
    assert (cKDTree(adata.obsm["spatial"]).query(adata.obsm["spatial"], 2)[0][:, 1] > 0).all()
    table = interactions(model, data).uns["interactions"].set_index(["target", "neighbour"])
    for pair in (("a", "b"), ("b", "a")):
        assert table.loc[pair, "p_adjusted"] < 0.01
        assert table.loc[pair, "effect"] > 0
    for pair in (("c", "d"), ("d", "c"), ("c", "c"), ("d", "d")):
        assert abs(table.loc[pair, "z"]) < abs(table.loc[("a", "b"), "z"]) / 2


def test_in_labels_without_relation_to_places_nothing_is_found(pairs):
    """20 times labels drawn at random: by chance one of 20 has a pair below .05; over five is one in 10,000."""
    adata, _, model = pairs
    kept = model.encoder.references
    position = cKDTree(adata.obsm["spatial"].astype(np.float32)).query(kept.places.numpy())[1]
    before, found = kept.label.clone(), 0
    for seed in range(20):
        shuffled = adata.copy()
        shuffled.obs["kind"] = np.random.default_rng(seed).permutation(adata.obs["kind"].to_numpy())
        source = open_data(shuffled, schema=model.schema)
        kept.set(label=torch.from_numpy(source.annotation.label[position]))
        table = interactions(model, source, InteractionOptions(n_permutations=499)).uns["interactions"]
        found += bool((table["p_adjusted"] < 0.05).any())
    kept.set(label=before)
    assert found <= 5
