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

# cells that are read together; 16,384 cells x 500 stored values x 8 bytes are 65 MB
BUFFER_ROWS = 16_384


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

    def requests(
        self, rows: np.ndarray, batch_size: int, rng: np.random.Generator, world: int = 1
    ) -> Iterator[Request]:
        """Cut one pass into requests of at most about `BUFFER_ROWS` rows, whole minibatches each.

        With `world` processes every one gets two cells of a minibatch at least.
        """
        per_request = max(1, BUFFER_ROWS // batch_size)
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
    cell type then mixes `BUFFER_ROWS / block_rows` places of the file in each buffer.
    """

    block_rows: int = 1
    merges_tail = True

    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        if self.block_rows == 1:
            return rng.permutation(rows)
        blocks = np.array_split(np.sort(rows), np.arange(self.block_rows, len(rows), self.block_rows))
        order = np.concatenate([blocks[i] for i in rng.permutation(len(blocks))]) if len(rows) else rows
        for start in range(0, len(order), buffer_rows):
            order[start : start + buffer_rows] = rng.permutation(order[start : start + buffer_rows])
        return order


@dataclass(frozen=True, eq=False)
class Weighted(Plan):
    """As many rows as there are, drawn with replacement in proportion to `weights (n_obs,)` of the whole source."""

    weights: np.ndarray
    merges_tail = True

    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        weight = self.weights[rows].astype(np.float64)
        if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
            raise DataError(
                f"weights must be finite and not negative, with a sum above zero; those of {len(rows)} cells sum to "
                f"{weight.sum():g} and their smallest is {weight.min(initial=np.inf):g}. Give other weights or cells."
            )
        return rng.choice(rows, size=len(rows), replace=True, p=weight / weight.sum())


@dataclass(frozen=True, eq=False)
class ClassBalanced(Plan):
    """As many rows as have a class, each class equally often in expectation; `codes (n_obs,)`, -1 is no class."""

    codes: np.ndarray
    merges_tail = True

    def order(self, rows: np.ndarray, rng: np.random.Generator, buffer_rows: int = BUFFER_ROWS) -> np.ndarray:
        codes = self.codes[rows]
        rows, codes = rows[codes >= 0], codes[codes >= 0]
        if not len(rows):
            raise DataError("class balance needs labelled cells; none of the given is. Choose another plan.")
        weight = 1.0 / np.bincount(codes)[codes]
        return rng.choice(rows, size=len(rows), replace=True, p=weight / weight.sum())


def minibatch_bounds(n: int, batch_size: int, *, smallest: int = 1) -> np.ndarray:
    """Where to cut `n` rows: ascending, from 0 to n. A tail of less than `smallest` rows joins its neighbour."""
    bounds = np.append(np.arange(0, n, batch_size), n)
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < smallest:
        bounds = np.delete(bounds, -2)
    return bounds
