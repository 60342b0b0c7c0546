"""Translation by neighbours against scikit-learn's neighbours."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.train.fit import fit


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    made = {
        "a": AnnData(rng.normal(size=(80, 6)).astype(np.float32)),
        "b": AnnData(rng.poisson(3, (80, 4)).astype(np.float32)),
    }
    for part in made.values():
        part.obs_names = [f"cell{i}" for i in range(80)]
    return made


def fitted(source, **options):
    model = build("knn_translation", source.schema, real_valued=["a"], n_components=6, **options)
    fit(model, source, split=random_split(source.n_obs, validation=0), progress=False)
    return model


def neighbours(model, source, k):
    block = model.joint(next(in_order(source)))[0][0].numpy()
    return NearestNeighbors(n_neighbors=k).fit(block).kneighbors(return_distance=False)  # without the cell itself


def test_it_is_the_mean_of_the_nearest_other_cells(parts):
    source = open_data(parts)
    model = fitted(source, n_neighbors=5)
    found = model.translate(next(in_order(source)), "b", torch.Generator())
    np.testing.assert_allclose(found, parts["b"].X[neighbours(model, source, 5)].mean(axis=1), rtol=1e-5)


def test_a_draw_is_the_measurement_of_one_of_them(parts):
    source = open_data(parts)
    model = fitted(source, n_neighbors=5)
    drawn = model.draw_modality(next(in_order(source)), "b", torch.Generator().manual_seed(0)).numpy()
    candidates = parts["b"].X[neighbours(model, source, 5)]  # (n_obs, 5, 4)
    is_one = (candidates == drawn[:, None]).all(axis=2)
    assert is_one.any(axis=1).all()
    assert len(np.unique(is_one.argmax(axis=1))) == 5


def test_only_cells_that_have_both_lend_theirs(parts):
    """And of cells without another modality nothing is said."""
    some = {"a": parts["a"][:60].copy(), "b": parts["b"][20:].copy()}
    source = open_data(some)
    model = fitted(source, n_neighbors=40)
    found = model.translate(next(in_order(source)), "b", torch.Generator())
    both = parts["b"].X[20:60]
    outside = [source.annotation.obs.index.get_loc(f"cell{i}") for i in range(20)]
    np.testing.assert_allclose(found[outside], np.tile(both.mean(axis=0), (20, 1)), rtol=1e-5)
    alone = [source.annotation.obs.index.get_loc(f"cell{i}") for i in range(60, 80)]
    assert found[alone].isnan().all()


def test_modalities_that_no_cell_has_together_are_not_translated(parts):
    source = open_data({"a": parts["a"][:40].copy(), "b": parts["b"][40:].copy()})
    model = fitted(source)
    for modality in "ab":
        assert model.translate(next(in_order(source)), modality, torch.Generator()).isnan().all()


def test_at_most_so_many_cells_are_kept(parts):
    source = open_data(parts)
    model = fitted(source, max_references=30)
    assert model._rows("b").csr.shape == (30, 4)
