"""Synthetic cells: rows between cells of a class [Chawla02, Lemaitre17], and a source with such rows behind its own.

    cells of a class, kind by kind (label, condition and batch) -> log-normalised
    -> x + u (neighbour - x), u ~ uniform(0, 1) -> scale of the data -> rows >= n_obs

Both ends are of one kind, so that the new cell is of it too: a point between a control and a treated cell is neither.
Neighbours and points between them are imbalanced-learn's. Ours is the way to logarithms and back: counts stay counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import sparse

from cellwright.data.preprocess import log_normalised
from cellwright.data.source import Annotation, Matrix, Store, StoredSource
from cellwright.errors import DataError

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

Space = Literal["expression", "components"]
# principal components that neighbours are found in, and density is looked at: in so many, nearest neighbours told rare
# labels best (see `models/knn.py`). A class of fewer cells has fewer: its neighbours are those in expression
N_COMPONENTS = 20
_PCA_ROWS = 20_000  # cells that components are estimated from, at most; 20,000 x 2,000 values, 8.5 % stored, are 27 MB
_BLOCK_ROWS = 4_096


@dataclass(frozen=True, eq=False)
class Enlarged:
    """A class that gets new cells: its name for errors, its rows (ascending), and how many are made of them.

    `n_neighbours` is among how many nearest cells the other end of each is drawn; 0 makes copies.
    """

    name: str
    rows: np.ndarray
    n_new: int
    n_neighbours: int


def with_synthetic(
    source: StoredSource, classes: Sequence[Enlarged], space: Space, rng: np.random.Generator
) -> StoredSource:
    """The source with the new cells of each class behind its own: rows `n_obs` and up, class after class.

    Each new cell lies between two cells of one kind: of one label, condition and batch, as far as these are known. The
    kinds of a class get new cells in proportion to their cells; one of fewer than its `n_neighbours` + 1 cells gets
    none, and its share goes to the others.

    Values of the first modality are made; the others count as not measured. Time, covariates and coordinates are those
    of a random cell of the kind; where the data are counts, its library is the new cell's expectation. Only the rows of
    `classes` are read, once; the new cells are held in memory.

    Raises `DataError` for sequences, and for a class of which no kind has `n_neighbours` + 1 measured cells.
    """
    _refuse_sequences(source, "smote")
    first = source.schema.modalities[0]
    if first in source.row_of:
        classes = [replace(one, rows=one.rows[source.row_of[first][one.rows] >= 0]) for one in classes]
    if not classes:
        return source
    by_kind = [part for one in classes for part in _by_kind(one, source.annotation)]
    read = np.sort(np.concatenate([one.rows for one in classes]))
    block = source.read(first, read)
    scale, like, parts = _scale_of(block), [], []
    for one in by_kind:
        of_kind = block[np.searchsorted(read, one.rows)]
        new = smote(_logarithms(of_kind, scale), one.n_new, one.n_neighbours, space, rng)
        chosen = rng.integers(len(one.rows), size=one.n_new)
        parts.append(_on_scale(new, np.asarray(of_kind.sum(axis=1)).ravel()[chosen], scale, rng))
        like.append(one.rows[chosen])
    values = np.concatenate(parts) if isinstance(block, np.ndarray) else sparse.vstack(parts, format="csr")
    return appended(source, values, np.concatenate(like))


def smote(values: Matrix, n_new: int, n_neighbours: int, space: Space, rng: np.random.Generator) -> Matrix:
    """`n_new` points, each between a random row of `values` and one of its `n_neighbours` nearest; sparse stays sparse.

    `space`: where neighbours are near: in the values themselves, or in their 20 principal components. Without
    neighbours they are copies.
    """
    if not n_neighbours:
        return values[rng.integers(values.shape[0], size=n_new)]
    from imblearn.over_sampling import SMOTE

    from cellwright.data.component_neighbours import ComponentNeighbours

    near = n_neighbours if space == "expression" else ComponentNeighbours(n_neighbours=n_neighbours + 1)
    sampler = SMOTE(
        sampling_strategy={1: values.shape[0] + n_new}, k_neighbors=near, random_state=int(rng.integers(2**32))
    )
    # it refuses to work on a single class; the other one, a row of zeros, is looked at by nothing
    other = np.zeros((1, values.shape[1]), dtype=values.dtype)
    both = _stacked(values, other if isinstance(values, np.ndarray) else sparse.csr_matrix(other))
    made, _ = sampler.fit_resample(both, np.repeat([1, 0], [values.shape[0], 1]))
    return made[values.shape[0] + 1 :]


def most_alike(cells: Annotation, rows: np.ndarray) -> int:
    """Of how many cells the largest kind among `rows` is: of one label, condition and batch."""
    return int(max(_kinds(cells, rows)[1], default=0))


def _kinds(cells: Annotation, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kind of each of `rows` (n_rows,), and how many cells each kind has."""
    codes = np.stack([cells.label[rows], cells.condition[rows], cells.batch[rows]], axis=1)
    _, kind, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return kind.ravel(), sizes


def _by_kind(one: Enlarged, cells: Annotation) -> list[Enlarged]:
    """The kinds of a class that get new cells, with how many; the largest remainders are rounded up."""
    kind, sizes = _kinds(cells, one.rows)
    refuse_small_class(one.name, len(one.rows), one.n_neighbours, max(sizes, default=0))
    weights = np.where(sizes > one.n_neighbours, sizes, 0)
    n_new, remainder = np.divmod(one.n_new * weights, weights.sum())
    n_new[np.argsort(-remainder, kind="stable")[: one.n_new - n_new.sum()]] += 1
    return [replace(one, rows=one.rows[kind == at], n_new=int(n)) for at, n in enumerate(n_new) if n]


def refuse_small_class(name: str, n: int, n_neighbours: int, n_alike: int | None = None) -> None:
    """Raise `DataError` where a class has too few cells for each to have that many neighbours.

    `n_alike` of its `n` cells are of one kind at most, and are neighbours of one another only; None: all are.
    """
    if (n if n_alike is None else n_alike) <= n_neighbours:
        alike = "" if n_alike in {None, n} else f", of one label, condition and batch at most {n_alike}"
        raise DataError(
            f"smote with n_neighbours={n_neighbours} needs {n_neighbours + 1} training cells in every class that it "
            f"enlarges; {name} has {n}{alike}. Give fewer neighbours, or balance otherwise (over)."
        )


def components(source: StoredSource, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to 20 principal components of the log-normalised values of `rows`, (n_rows, n) float32; unscaled.

    They are estimated from 20,000 of the rows at most; all of them are read, in blocks. Raises `DataError` for
    sequences, whose values may be missing.
    """
    _refuse_sequences(source, "density")
    modality, unique = source.schema.modalities[0], np.unique(rows)
    sample = unique if len(unique) <= _PCA_ROWS else np.sort(rng.choice(unique, _PCA_ROWS, replace=False))
    block = source.read(modality, sample)
    scale = _scale_of(block)
    pca = fitted_pca(_logarithms(block, scale))
    parts = [unique[start : start + _BLOCK_ROWS] for start in range(0, len(unique), _BLOCK_ROWS)]
    found = [pca.transform(_logarithms(source.read(modality, part), scale)) for part in parts]
    return np.concatenate(found).astype(np.float32)[np.searchsorted(unique, rows)]


def fitted_pca(values: Matrix) -> "PCA":
    """scikit-learn's PCA with 20 components, or as many as there can be."""
    from sklearn.decomposition import PCA

    n_most = min(values.shape)
    if n_most <= N_COMPONENTS:
        # there is nothing to leave out, and ARPACK cannot compute all
        dense = values if isinstance(values, np.ndarray) else values.toarray()
        return PCA(n_most, svd_solver="full").fit(dense)
    return PCA(N_COMPONENTS, svd_solver="arpack", random_state=0).fit(values)


Scale = Literal["counts", "non_negative", "real"]


def _scale_of(values: Matrix) -> Scale:
    stored = values if isinstance(values, np.ndarray) else values.data
    if stored.min(initial=0) < 0:
        return "real"
    return "counts" if (stored == np.floor(stored)).all() else "non_negative"


def _logarithms(values: Matrix, scale: Scale) -> Matrix:
    return values if scale == "real" else log_normalised(values)


def _on_scale(made: Matrix, library: np.ndarray, scale: Scale, rng: np.random.Generator) -> Matrix:
    """Logarithms as values with the sums `library (n_new,)`; counts are rounded up or down at random."""
    if scale == "real":
        return made
    rates = np.expm1(made, dtype=np.float64) if isinstance(made, np.ndarray) else made.astype(np.float64).expm1()
    total = np.asarray(rates.sum(axis=1)).ravel()
    # a mean of logarithms has a sum below 10,000; to divide by 10,000 would make every new cell a shallow one
    factor = np.divide(library, total, out=np.zeros_like(total), where=total > 0)
    if isinstance(rates, np.ndarray):
        expected = rates * factor[:, None]
        return (_whole_dense(expected, rng) if scale == "counts" else expected).astype(np.float32)
    expected = sparse.csr_matrix(sparse.diags_array(factor) @ rates)
    expected.sort_indices()
    return (_whole_sparse(expected, rng) if scale == "counts" else expected).astype(np.float32)


def _whole_dense(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts with that expectation: one of the two beside it. A cell left without any gets its likeliest one."""
    counts = np.floor(expected + rng.random(expected.shape))
    for row in np.flatnonzero((counts.sum(axis=1) == 0) & (expected.sum(axis=1) > 0)):
        counts[row, expected[row].argmax()] = 1
    return counts


def _whole_sparse(expected: sparse.csr_matrix, rng: np.random.Generator) -> sparse.csr_matrix:
    counts = expected.copy()
    counts.data = np.floor(expected.data + rng.random(expected.nnz))
    empty = np.asarray((counts.sum(axis=1) == 0) & (expected.sum(axis=1) > 0)).ravel()
    for row in np.flatnonzero(empty):
        start, stop = expected.indptr[row : row + 2]
        counts.data[start + expected.data[start:stop].argmax()] = 1
    counts.eliminate_zeros()
    return counts


class _AppendedStore(Store):
    """The rows of a store, and those of a matrix in memory behind them."""

    def __init__(self, store: Store, below: Matrix) -> None:
        self._store, self._below = store, below
        self.where, self.n_vars = store.where, store.n_vars
        self.n_obs = store.n_obs + below.shape[0]
        self.preferred_block_rows = store.preferred_block_rows

    def around(self, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        n_own = int(np.searchsorted(rows, self._store.n_obs))
        if n_own == len(rows):
            return self._store.around(rows)
        below = self._below[rows[n_own:] - self._store.n_obs]
        if not n_own:
            return below, np.arange(len(rows))
        return _stacked(self._store.read(rows[:n_own]), below), np.arange(len(rows))


def appended(source: StoredSource, values: Matrix, like: np.ndarray) -> StoredSource:
    """The source with rows behind its own: their `values (n_new, n_vars)` in the first modality, CSR or dense as there.

    `like (n_new,)` are the rows of the cells whose annotation the new ones have; they are called `synthetic-0` and on.
    """
    first, *others = source.schema.modalities
    stores, row_of = dict(source.stores), dict(source.row_of)
    n_new, here = len(like), source.stores[first]
    stores[first] = _AppendedStore(here, values)
    if first in row_of:
        row_of[first] = np.concatenate([row_of[first], here.n_obs + np.arange(n_new)])
    for name in others:
        known = row_of.get(name, np.arange(source.n_obs))
        row_of[name] = np.concatenate([known, np.full(n_new, -1, dtype=known.dtype)])
    return replace(source, stores=stores, row_of=row_of, annotation=_annotation(source.annotation, like))


def _annotation(cells: Annotation, like: np.ndarray) -> Annotation:
    names = [f"synthetic-{number}" for number in range(len(like))]
    obs = cells.obs.iloc[np.concatenate([np.arange(len(cells.obs)), like])].set_axis([*cells.obs.index, *names])
    fields = ("batch", "label", "condition", "time", "covariates", "coordinates")
    known = {name: getattr(cells, name) for name in fields}
    return Annotation(obs, **{name: np.concatenate([array, array[like]]) for name, array in known.items()})


def _stacked(above: Matrix, below: Matrix) -> Matrix:
    if isinstance(above, np.ndarray):
        return np.concatenate([above, below])
    return sparse.vstack([above, below], format="csr")


def _refuse_sequences(source: StoredSource, name: str) -> None:
    if source.schema.steps is not None:
        raise DataError(
            f"balance={name!r} works on cells; these data are sequences, of which values may be missing. Choose "
            "another remedy (over, weights)."
        )
