"""Plan: which rows in which order. Index arithmetic only: no values are touched here.

    rows of a split -> requests (rows to read together, ascending) -> minibatches (positions within the request)

A store reads a request at once; the minibatches are cut from it in memory. So memory and disk give the same minibatches
for one plan and seed, and the order costs a bounded buffer.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cellwright.errors import DataError

# cells that are read together, at least; 4,096 cells x 1,700 stored values (20,000 genes) x 8 bytes are 56 MB
BUFFER_ROWS = 4_096
# places of a file that a buffer mixes, at least. In a file that is sorted by class, the share of a class in a buffer
# then varies by a sixteenth of its standard deviation between cells, as in a sample of 256 cells.
BLOCKS_PER_BUFFER = 256
# cells that are read together, at most: a buffer of the largest blocks that a store asks for, `disk.MAX_BLOCK_ROWS`.
# Of larger blocks, which only a user asks for, it holds fewer.
MAX_BUFFER_ROWS = 262_144


@dataclass(frozen=True, eq=False)
class Request:
    """Rows to read together, ascending and unique; each minibatch is an array of positions into them."""

    rows: np.ndarray
    minibatches: list[np.ndarray]


class Plan(ABC):
    """An order of rows for one pass."""

    @abstractmethod
    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        """The rows of one pass in the order in which they are visited; rows may repeat or be left out.

        `buffer_rows` of them are read together, so within these any order costs the same.
        """

    @property
    @abstractmethod
    def merges_tail(self) -> bool:
        """Whether a last minibatch that is too small joins the one before it (batch normalisation needs two cells)."""

    @property
    def buffer_rows(self) -> int:
        """How many rows are read together."""
        return BUFFER_ROWS

    def requests(
        self, rows: np.ndarray, batch_size: int, rng: np.random.Generator, world: int = 1
    ) -> Iterator[Request]:
        """Cut one pass into requests of at most about `buffer_rows` rows, whole minibatches each.

        With `world` processes every one gets two cells of a minibatch at least.
        """
        per_request = max(1, self.buffer_rows // batch_size)
        order = self.order(np.asarray(rows, dtype=np.int64), rng, per_request * batch_size)
        bounds = minibatch_bounds(len(order), batch_size, smallest=2 * world if self.merges_tail else 1)
        for first in range(0, len(bounds) - 1, per_request):
            cuts = bounds[first : first + per_request + 1]
            wanted = order[cuts[0] : cuts[-1]]
            unique, position = np.unique(wanted, return_inverse=True)
            yield Request(unique, np.split(position, cuts[1:-1] - cuts[0]))


@dataclass(frozen=True)
class Sequential(Plan):
    """Every row once, in the given order: evaluation and inference."""

    merges_tail = False

    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        return rows


@dataclass(frozen=True)
class Shuffled(Plan):
    """Every row once, shuffled: contiguous blocks in random order, then all rows within a buffer of many blocks.

    `block_rows=1` is an exact shuffle. Larger blocks let a file be read in contiguous pieces; a file that is sorted by
    cell type then mixes `BLOCKS_PER_BUFFER` places of the file in each buffer, or more; fewer where so many blocks
    would have more than `MAX_BUFFER_ROWS` rows.
    """

    block_rows: int = 1
    merges_tail = True

    @property
    def buffer_rows(self) -> int:
        return _buffer_rows(self.block_rows)

    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        if self.block_rows == 1:
            return rng.permutation(rows)
        firsts = np.arange(0, len(rows), self.block_rows)
        chosen = rng.permutation(firsts)
        lengths = np.minimum(self.block_rows, len(rows) - chosen)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        order = np.sort(rows)[np.repeat(chosen, lengths) + within]
        return _mixed_within_buffers(order, rng, buffer_rows)


@dataclass(frozen=True)
class Cycled(Plan):
    """`n_rows` rows: shuffles of the given ones, one after the other, the last cut short; each as by `Shuffled`.

    Of fewer rows every one is visited equally often, give or take once. Of more, a pass visits a part, drawn anew.
    """

    n_rows: int
    block_rows: int = 1
    merges_tail = True

    @property
    def buffer_rows(self) -> int:
        return _buffer_rows(self.block_rows)

    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        if not len(rows):
            raise DataError("a plan needs a row to visit; it was given none. Give the rows of the training cells.")
        shuffled, parts, left = Shuffled(self.block_rows), [], self.n_rows
        while left > 0:
            parts.append(shuffled.order(rows, rng, buffer_rows)[:left])
            left -= len(parts[-1])
        return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Weighted(Plan):
    """As many rows as there are, drawn with replacement in proportion to `weights (n_obs,)` of the whole source.

    `block_rows=1` draws every row by itself, from anywhere. With larger blocks, a block of contiguous rows is drawn in
    proportion to the sum of its weights, and then as many of its rows as it has, in proportion to theirs: the
    expectation of every row is the same, and a file is read in contiguous pieces.
    """

    weights: np.ndarray
    block_rows: int = 1
    merges_tail = True

    @property
    def buffer_rows(self) -> int:
        return _buffer_rows(self.block_rows)

    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        weight = self.weights[rows].astype(np.float64)
        if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
            raise DataError(
                f"weights must be finite and not negative, with a sum above zero; those of {len(rows)} cells sum to "
                f"{weight.sum():g} and their smallest is {weight.min(initial=np.inf):g}. Give other weights or cells."
            )
        if self.block_rows == 1:
            return rng.choice(rows, size=len(rows), replace=True, p=weight / weight.sum())
        return _mixed_within_buffers(_drawn_by_block(rows, weight, self.block_rows, rng), rng, buffer_rows)


@dataclass(frozen=True, eq=False)
class ClassBalanced(Plan):
    """As many rows as there are, each class equally often in expectation; `codes (n_obs,)`, -1 is no class: not drawn.

    Blocks are drawn as those of `Weighted`.
    """

    codes: np.ndarray
    block_rows: int = 1
    merges_tail = True

    @property
    def buffer_rows(self) -> int:
        return _buffer_rows(self.block_rows)

    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        codes = self.codes[rows]
        has_class = codes >= 0
        if not has_class.any():
            raise DataError("class balance needs labelled cells; none of the given is. Choose another plan.")
        weights = np.zeros(len(self.codes))
        weights[rows[has_class]] = (1.0 / np.bincount(codes[has_class]).clip(1))[codes[has_class]]
        return Weighted(weights, self.block_rows).order(rows, rng, buffer_rows)


def _buffer_rows(block_rows: int) -> int:
    return min(max(BUFFER_ROWS, BLOCKS_PER_BUFFER * block_rows), MAX_BUFFER_ROWS)


def _mixed_within_buffers(order: np.ndarray, rng: np.random.Generator, buffer_rows: int) -> np.ndarray:
    for start in range(0, len(order), buffer_rows):
        order[start : start + buffer_rows] = rng.permutation(order[start : start + buffer_rows])
    return order


def _drawn_by_block(rows: np.ndarray, weight: np.ndarray, block_rows: int, rng: np.random.Generator) -> np.ndarray:
    """As many rows as there are: blocks in proportion to their weight, rows of a block in proportion to theirs."""
    ascending = np.argsort(rows, kind="stable")
    total = np.append(0.0, np.cumsum(weight[ascending]))
    bounds = np.append(np.arange(0, len(rows), block_rows), len(rows))
    n_draws = -(-len(rows) // block_rows)
    # one draw from each of equal shares of the weight, so that classes that lie together get their shares exactly
    at = (np.arange(n_draws) + rng.random(n_draws)) / n_draws * total[-1]
    block = np.searchsorted(total[bounds[1:-1]], rng.permutation(at), side="right")
    low, high = total[bounds[block], None], total[bounds[block + 1], None]
    place = np.searchsorted(total, low + rng.random((n_draws, block_rows)) * (high - low), side="right") - 1
    return rows[ascending[place.clip(bounds[block, None], bounds[block + 1, None] - 1)]].ravel()[: len(rows)]


def minibatch_bounds(n: int, batch_size: int, *, smallest: int = 1) -> np.ndarray:
    """Where to cut `n` rows: ascending, from 0 to n. A tail of less than `smallest` rows joins its neighbour."""
    bounds = np.append(np.arange(0, n, batch_size), n)
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < smallest:
        bounds = np.delete(bounds, -2)
    return bounds
