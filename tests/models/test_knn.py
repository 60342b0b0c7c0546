"""Nearest neighbours are scikit-learn's, on components; how many references are kept."""

import numpy as np
import pytest
from anndata import AnnData
from sklearn.neighbors import KNeighborsClassifier

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells
from cellwright.train.saved import load_run


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=200, n_vars=40, n_latent=3, label_shares=(0.5, 0.3, 0.2)), seed=0).adata


def fitted(source, split, **options):
    model = build("knn", source.schema, **options)
    fit(model, source, split=split, progress=False)
    return model


@pytest.mark.parametrize(("n_latent", "n_neighbors"), [(6, 1), (6, 5), (40, 7)])
def test_shares_of_labels_are_the_references(cells, n_latent, n_neighbors):
    source, split = open_data(cells, label_key="label"), random_split(200, validation=0, test=0.3)
    model = fitted(source, split, n_latent=n_latent, n_neighbors=n_neighbors)
    latent, labels = over_cells(model.components.encode, source).astype(float), source.annotation.label
    reference = KNeighborsClassifier(n_neighbors).fit(latent[split.train], labels[split.train])
    # of training cells as well: a cell is its own nearest neighbour
    np.testing.assert_allclose(over_cells(model.classify, source), reference.predict_proba(latent), atol=1e-6)


def test_a_reference_of_the_same_values_has_a_say():
    values = np.repeat(np.random.default_rng(0).poisson(3, (20, 8)) + 1, 2, axis=0).astype("f4")
    labels = np.tile(["a", "b"], 20)  # the two cells of the same values differ in their label
    source = open_data(AnnData(X=values, obs={"type": labels}), label_key="type")
    model = fitted(source, random_split(40, validation=0), n_latent=3, n_neighbors=2)
    np.testing.assert_allclose(over_cells(model.classify, source), 0.5)


def test_at_most_so_many_references_are_kept_and_saved(cells, tmp_path):
    source, split = open_data(cells, label_key="label"), random_split(200, validation=0)
    model = build("knn", source.schema, n_latent=6, max_references=50)
    fit(model, source, split=split, run=tmp_path / "run", progress=False)
    assert model.references.latent.shape == (50, 6)
    again = load_run(tmp_path / "run")
    assert np.array_equal(over_cells(again.classify, source), over_cells(model.classify, source))


def test_fewer_references_than_neighbours_share_the_vote(cells):
    source, split = open_data(cells, label_key="label"), random_split(200, validation=0)
    model = fitted(source, split, n_latent=6, n_neighbors=9, max_references=3)
    np.testing.assert_allclose(over_cells(model.classify, source).sum(axis=1), 1, atol=1e-6)
