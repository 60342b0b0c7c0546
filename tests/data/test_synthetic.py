"""Synthetic cells: where they lie, that counts stay counts, what is known of them, and that nobody else is read."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.preprocess import log_normalised
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.synthetic import Enlarged, components, fitted_pca, smote, with_synthetic
from cellwright.errors import DataError


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=120, n_vars=60, n_latent=3, n_batch=2, library_mean=300.0, treated_share=0.5)
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def source(cells):
    return open_data(cells, label_key="label", batch_key="batch", condition_key="condition", covariate_keys=["batch"])


@pytest.fixture(scope="module")
def smallest(source):
    """The rows of the rarest label, but for the last five, which are held out."""
    return np.flatnonzero(source.annotation.label == 2)[:-5]


def opened(values):
    return open_data(AnnData(values))


def rng(seed=0):
    return np.random.default_rng(seed)


def enlarged(source, rows, n_new=50, space="expression", seed=0):
    return with_synthetic(source, [Enlarged("c", rows, n_new, 4)], space, rng(seed))


def new_values(source, wider):
    return wider.read(wider.schema.modalities[0], np.arange(source.n_obs, wider.n_obs))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("space", ["expression", "components"])
def test_new_rows_lie_between_a_row_and_one_of_its_neighbours(cells, form, space):
    """The neighbours are computed here anew: in all dimensions, or in the components of the same rows."""
    values = log_normalised(cells.X[:30]).toarray()
    made = smote(form(values), 40, 4, space, rng())
    assert sparse.issparse(made) == (form is sparse.csr_matrix)
    made = made.toarray() if sparse.issparse(made) else made
    places = values if space == "expression" else fitted_pca(values).transform(values)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    neighbours = np.argsort(distances, axis=1)[:, 1:5]
    starts, along = values[:, None], values[neighbours] - values[:, None]
    for row in made:
        at = ((row - starts) * along).sum(-1) / (along**2).sum(-1)
        off = np.linalg.norm(starts + at.clip(0, 1)[..., None] * along - row, axis=-1)
        assert off.min() < 1e-4 * np.linalg.norm(row)
    assert made.shape == (40, 60)


def test_counts_stay_counts_and_every_cell_has_some(source, smallest):
    values = new_values(source, enlarged(source, smallest))
    assert values.dtype == np.float32
    assert values.shape == (50, 60)
    assert (values.data == np.floor(values.data)).all()
    assert (values.data > 0).all()
    assert (values.sum(axis=1) > 0).all()


def test_the_library_of_a_new_cell_is_that_of_a_training_cell_of_its_class(source, smallest):
    """Rounding at random moves a sum of 60 by a few; the mean over cells by nothing."""
    wider = enlarged(source, smallest, n_new=400)
    library = np.asarray(new_values(source, wider).sum(axis=1)).ravel()
    of_class = np.asarray(source.read(source.schema.modalities[0], smallest).sum(axis=1))
    nearest = np.abs(library[:, None] - of_class.ravel()[None]).min(axis=1)
    assert nearest.max() <= 5 * np.sqrt(60 / 4)
    assert library.mean() == pytest.approx(of_class.mean(), rel=5 * of_class.std() / of_class.mean() / np.sqrt(400))


def test_rounding_keeps_the_expectation(cells):
    """Of cells that are all alike every point between two is the same, and its library is theirs."""
    one = cells[:1].copy()
    source = opened(sparse.csr_matrix(np.repeat(one.X.toarray(), 6, axis=0)))
    made = new_values(source, enlarged(source, np.arange(6), n_new=50))
    assert (np.abs(made.toarray() - one.X.toarray()) <= 1).all()  # float32 logarithms lie just beside a whole number
    np.testing.assert_allclose(made.mean(axis=0), one.X.toarray(), atol=0.01)


def test_a_cell_of_very_few_counts_is_never_left_empty():
    counts = sparse.csr_matrix(np.eye(12, 40, dtype=np.float32) + np.eye(12, 40, 1, dtype=np.float32))
    for matrix in (counts, counts.toarray()):
        source = opened(matrix)
        assert (new_values(source, enlarged(source, np.arange(12), n_new=300)).sum(axis=1) > 0).all()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_rates_are_not_rounded_and_have_the_sum_of_a_cell_of_the_class(cells, form):
    values = (cells.X.toarray() * 0.37).astype(np.float32)
    source = opened(form(values))
    made = new_values(source, enlarged(source, np.arange(20)))
    made = made.toarray() if sparse.issparse(made) else made
    assert (made != np.floor(made)).any()
    sums = values[:20].sum(axis=1)
    assert (np.abs(made.sum(axis=1)[:, None] / sums - 1).min(axis=1) < 1e-5).all()


def test_negative_values_are_interpolated_without_logarithms(cells):
    values = (cells.X.toarray() - 1.0).astype(np.float32)
    source = opened(values)
    made = new_values(source, enlarged(source, np.arange(20), seed=3))
    expected = smote(values[:20], 50, 4, "expression", rng(3))
    np.testing.assert_array_equal(made, expected)


def test_what_is_known_of_a_new_cell_is_what_is_known_of_one_of_its_class(source, smallest):
    wider = enlarged(source, smallest)
    before, after = source.annotation, wider.annotation
    known = ("batch", "label", "condition", "covariates")
    of_class = {tuple(np.concatenate([np.atleast_1d(getattr(before, n)[row]) for n in known])) for row in smallest}
    for row in range(source.n_obs, wider.n_obs):
        assert tuple(np.concatenate([np.atleast_1d(getattr(after, n)[row]) for n in known])) in of_class
    assert (after.label[source.n_obs :] == 2).all()
    assert wider.n_obs == source.n_obs + 50
    assert wider.annotation.obs.index.is_unique


def test_the_cells_of_the_source_stay_what_and_where_they_were(source, smallest):
    wider = enlarged(source, smallest)
    rows = np.array([0, 7, 119])
    mine, theirs = (next(iter(in_order(s, rows))) for s in (wider, source))
    np.testing.assert_array_equal(mine.x.dense(), theirs.x.dense())
    for name in ("batch", "label", "condition", "covariates"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))


def test_minibatches_of_real_and_synthetic_rows_have_the_values_of_both(source, smallest):
    wider = enlarged(source, smallest)
    rows = np.array([3, 119, 120, 150, 169])
    minibatch = next(iter(in_order(wider, rows)))
    expected = [
        *source.read(source.schema.modalities[0], rows[:2]).toarray(),
        *new_values(source, wider)[[0, 30, 49]].toarray(),
    ]
    np.testing.assert_array_equal(minibatch.x.dense(), np.array(expected))


@pytest.mark.parametrize("space", ["expression", "components"])
def test_held_out_values_never_enter(cells, source, smallest, space):
    """Every value of every other cell is changed, and nothing of the synthetic cells is."""
    others = np.setdiff1d(np.arange(120), smallest)
    spoilt = cells.copy()
    dense = spoilt.X.toarray()
    dense[others] = np.random.default_rng(9).poisson(50, (len(others), 60)) + 0.5
    spoilt.X = sparse.csr_matrix(dense)
    other = open_data(spoilt, label_key="label", batch_key="batch", condition_key="condition", covariate_keys=["batch"])
    mine, theirs = (new_values(s, enlarged(s, smallest, space=space)).toarray() for s in (source, other))
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("space", ["expression", "components"])
def test_memory_and_disk_give_the_same_cells(cells, smallest, tmp_path, space):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    made = []
    for flag in (True, False):
        source = open_data(tmp_path / "cells.h5ad", label_key="label", in_memory=flag)
        made.append(new_values(source, enlarged(source, smallest, space=space)))
    for field in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(made[0], field), getattr(made[1], field))


def test_only_the_classes_that_are_enlarged_are_read(source, smallest):
    read = []

    class Watched(type(source.stores[source.schema.modalities[0]])):
        def __init__(self, store):
            self.__dict__.update(store.__dict__)

        def around(self, rows):
            read.append(rows)
            return super().around(rows)

    stores = {name: Watched(store) for name, store in source.stores.items()}
    enlarged(replace(source, stores=stores), smallest)
    np.testing.assert_array_equal(np.concatenate(read), smallest)


def test_the_same_seed_gives_the_same_cells_and_another_does_not(source, smallest):
    first, second, third = (new_values(source, enlarged(source, smallest, seed=s)).toarray() for s in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


def test_cells_on_which_the_modality_was_not_measured_are_no_neighbours(source, smallest):
    """The first modality lies in other rows than the cells, and the first two cells of the class are not in it."""
    name = source.schema.modalities[0]
    row_of = np.arange(120)
    row_of[smallest[:2]] = -1
    partial = replace(source, row_of={name: row_of})
    expected = new_values(source, enlarged(source, smallest[2:])).toarray()
    wider = enlarged(partial, smallest)
    np.testing.assert_array_equal(new_values(source, wider).toarray(), expected)
    assert not wider.read(name, smallest[:2]).toarray().any()


def test_too_few_cells_are_refused(source):
    with pytest.raises(DataError, match="needs 5 training cells in every class that it enlarges; c has 4"):
        enlarged(source, np.arange(4))


def test_without_a_class_to_enlarge_the_source_is_the_same(source):
    assert with_synthetic(source, [], "expression", rng()) is source


def test_components_are_those_of_scikit_learn_of_the_rows_that_are_given(source):
    from sklearn.decomposition import PCA

    rows = np.arange(10, 90)
    logs = log_normalised(source.read(source.schema.modalities[0], rows)).toarray()
    found = components(source, rows, rng())
    assert found.shape == (80, 20)
    expected = PCA(20, svd_solver="full").fit_transform(logs)
    np.testing.assert_allclose(np.abs(found[:, :10]), np.abs(expected[:, :10]), atol=1e-3)


KINDS = ("label", "condition", "batch")


@pytest.fixture(scope="module")
def apart():
    """A class of 76 cells of four kinds, which share no gene; the last kind has 4 cells."""
    sizes = (40, 20, 12, 4)
    kind = np.random.default_rng(0).permutation(np.repeat(np.arange(4), sizes))
    values = np.random.default_rng(1).poisson(20, (76, 40)) * (np.arange(40) % 4 == kind[:, None])
    obs = {"condition": np.array(["control", "treated"])[kind % 2], "batch": np.array(["1", "2"])[kind // 2]}
    obs |= {"label": np.repeat("c", 76), "kind": kind}
    cells = AnnData(
        sparse.csr_matrix(values.astype(np.float32)), obs=pd.DataFrame(obs, index=[f"c{i}" for i in range(76)])
    )
    return open_data(cells, label_key="label", batch_key="batch", condition_key="condition")


@pytest.mark.parametrize("space", ["expression", "components"])
def test_both_ends_of_a_new_cell_are_of_the_kind_that_it_is(apart, space):
    """A cell between two kinds, or of another kind than its ends, has counts in genes that its kind has not."""
    wider = enlarged(apart, np.arange(76), n_new=90, space=space)
    made, new = new_values(apart, wider).toarray(), wider.annotation.obs["kind"].to_numpy()[76:]
    assert (made[np.arange(40) % 4 != new[:, None]] == 0).all()
    for name in KINDS:
        known = getattr(apart.annotation, name)
        first_of = [known[apart.annotation.obs["kind"].to_numpy() == kind][0] for kind in range(4)]
        np.testing.assert_array_equal(getattr(wider.annotation, name)[76:], np.array(first_of)[new])


def test_kinds_get_new_cells_in_proportion_and_a_small_one_leaves_its_share_to_the_others(apart):
    new = enlarged(apart, np.arange(76), n_new=90).annotation.obs["kind"].to_numpy()[76:]
    assert np.bincount(new, minlength=4).tolist() == [50, 25, 15, 0]
    new = enlarged(apart, np.arange(76), n_new=10).annotation.obs["kind"].to_numpy()[76:]
    assert np.bincount(new, minlength=4).tolist() == [5, 3, 2, 0]  # of 5.6, 2.8 and 1.7


def test_cells_whose_condition_is_unknown_are_a_kind_of_their_own(apart):
    condition = np.where(np.arange(76) < 30, -1, apart.annotation.condition)
    wider = enlarged(replace(apart, annotation=replace(apart.annotation, condition=condition)), np.arange(76))
    assert (wider.annotation.condition[76:] == -1).any()


def test_a_class_of_one_kind_is_enlarged_as_imbalanced_learn_does_it(cells):
    """One draw of the seed, one of the cells that the new ones are like, then those of the rounding."""
    source = open_data(cells, label_key="label")
    rows = np.flatnonzero(source.annotation.label == 2)
    wider = enlarged(source, rows, n_new=20)
    generator = rng()
    logs = log_normalised(source.read(source.schema.modalities[0], rows))
    rates = smote(logs, 20, 4, "expression", generator).astype(np.float64).expm1().toarray()
    like = rows[generator.integers(len(rows), size=20)]
    of_like = np.asarray(cells.X[like].sum(axis=1))
    expected = rates / rates.sum(axis=1, keepdims=True) * of_like
    assert (np.abs(new_values(source, wider).toarray() - expected) < 1 + 1e-3).all()
    np.testing.assert_array_equal(wider.annotation.obs["batch"].to_numpy()[120:], cells.obs["batch"].to_numpy()[like])


def test_a_class_without_a_kind_that_is_large_enough_is_refused(apart):
    rows = np.flatnonzero(apart.annotation.obs["kind"].to_numpy() == 3)
    others = np.flatnonzero(apart.annotation.obs["kind"].to_numpy() == 2)[:3]
    sentence = r"needs 5 training cells .* c has 7, of one label, condition and batch at most 4\. Give"
    with pytest.raises(DataError, match=sentence):
        enlarged(apart, np.sort(np.concatenate([rows, others])))
