"""Thinning: a measurement of counts becomes two, so that one can be predicted and the other be asked.

    counts x, share -binomial, entry by entry-> kept ~ Binomial(x, share), hidden = x - kept
    counts x, share -some entries above zero, gene by gene-> those are zero in kept; hidden holds what they were

If x is Poisson with rate r, the two parts are independent Poisson counts with rates share r and (1 - share) r
[Batson19]: what predicts one part from the other cannot have seen its noise. Hidden entries are no second measurement:
that an entry was above zero is known of all that are asked, which favours methods that predict too much.

References: [Batson19] molecular cross-validation; [Neufeld24] what thinning does to counts that are not Poisson.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cellwright.data.memory import MemoryStore
from cellwright.data.source import Annotation, Source, StoredSource, in_order
from cellwright.errors import OptionError


@dataclass(frozen=True, eq=False)
class Thinned:
    """Cells in two parts: what a model may see, and what it is asked for."""

    kept: StoredSource  # in memory, one modality; rows as asked for
    hidden: sparse.csr_matrix  # (n_obs, n_vars) float32, row i is of cell i of `kept`; stored where it was hidden

    def of_cells(self, rows: np.ndarray) -> "Thinned":
        """Both parts of some of the cells (ascending positions)."""
        return Thinned(in_memory(self.kept, rows, _counts(self.kept, rows)), self.hidden[rows])


def thinned(source: Source, rows: np.ndarray, share: float, rng: np.random.Generator) -> Thinned:
    """The molecules of these cells (ascending rows) divided at random, `share` of them kept; memory is that of `rows`.

    The values must be counts. Raises `OptionError` for a share that is not between 0 and 1.
    """
    _check(share, "molecules")
    x = _counts(source, rows)
    kept = x.copy()
    kept.data = rng.binomial(x.data.astype(np.int64), share).astype(np.float32)
    return _divided(source, rows, kept, x - kept)


def without_entries(source: Source, rows: np.ndarray, share: float, rng: np.random.Generator) -> Thinned:
    """`share` of the entries above zero of each feature are kept, the others set to zero; at least one of each stays.

    Raises `OptionError` for a share that is not between 0 and 1.
    """
    _check(share, "entries")
    x = _counts(source, rows).tocsc()
    n_stored = np.diff(x.indptr)
    feature = np.repeat(np.arange(x.shape[1]), n_stored)
    # the place of each entry within its feature, in random order
    order = np.lexsort((rng.random(x.nnz), feature))
    place = np.empty(x.nnz, dtype=np.int64)
    place[order] = np.arange(x.nnz) - x.indptr[:-1].repeat(n_stored)
    n_hidden = np.minimum(np.round((1 - share) * n_stored), n_stored - 1)
    is_hidden = place < n_hidden[feature]
    kept = x.copy()
    kept.data = np.where(is_hidden, 0, x.data).astype(np.float32)
    return _divided(source, rows, kept.tocsr(), (x - kept).tocsr())


def permuted(source: Source, rows: np.ndarray, rng: np.random.Generator) -> StoredSource:
    """These cells with no gene knowing of another: the shares of each are dealt to the cells anew, gene by gene.

    A gene's counts in all cells are drawn from its shares x / library in random order, times the library of the cell
    that gets it, by Poisson: what a cell has more molecules of, because it has more altogether, stays as it is, and is
    the only thing that genes still have in common.
    """
    x = _counts(source, rows).tocsc()
    library = np.asarray(x.sum(axis=1)).ravel()
    n_obs = x.shape[0]
    made = []
    for feature in range(x.shape[1]):
        stored = slice(x.indptr[feature], x.indptr[feature + 1])
        lender = x.indices[stored]
        to = rng.choice(n_obs, len(lender), replace=False)
        rate = x.data[stored] / np.maximum(library[lender], 1) * library[to]
        made.append((rng.poisson(rate).astype(np.float32), to))
    values, columns = (np.concatenate(parts) for parts in zip(*made, strict=True))
    matrix = sparse.csc_matrix((values, columns, x.indptr), shape=x.shape).tocsr()
    return in_memory(source, rows, matrix)


def in_memory(
    source: Source, rows: np.ndarray, values: sparse.csr_matrix, features: tuple[str, ...] | None = None
) -> StoredSource:
    """These cells of a source with other values (n_rows, n_vars) of its first modality; others are left out.

    With `features` the values are of these, else of the source's own.
    """
    values.eliminate_zeros()
    values.sort_indices()
    cells, modality = source.annotation, source.schema.modalities[0]
    coded = ("batch", "label", "condition", "time", "covariates", "coordinates")
    return StoredSource(
        schema=source.schema.model_copy(update={"features": {modality: features or source.schema.var_names}}),
        stores={modality: MemoryStore(values, "X")},
        annotation=Annotation(obs=cells.obs.iloc[rows], **{name: getattr(cells, name)[rows] for name in coded}),
    )


def _counts(source: Source, rows: np.ndarray) -> sparse.csr_matrix:
    """In memory, (n_rows, n_vars) float32."""
    return sparse.vstack([minibatch.x.csr() for minibatch in in_order(source, rows)], format="csr")


def _check(share: float, role: str) -> None:
    if not 0 < share < 1:
        raise OptionError(f"the share of {role} that is kept must be between 0 and 1; it is {share}. Give e.g. 0.9.")


def _divided(source: Source, rows: np.ndarray, kept: sparse.csr_matrix, hidden: sparse.csr_matrix) -> Thinned:
    hidden = sparse.csr_matrix(hidden, dtype=np.float32)
    hidden.eliminate_zeros()
    return Thinned(in_memory(source, rows, kept), hidden)
