"""Halves: what real cells score against real cells, the most that a prediction can be asked for.

x_treated (n_treated, n_vars) -> two halves -> a score of one against the other -> as if both were of full size
"""

import numpy as np

from cellwright.errors import DataError

AT_LEAST_CELLS = 4  # two in each half, so that either has a variance


def half_split(x_treated: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random half of the cells and the others, in their order; of an odd number the second half has one more.

    Raises `DataError` for fewer than four cells.
    """
    if len(x_treated) < AT_LEAST_CELLS:
        raise DataError(
            f"half_split needs at least {AT_LEAST_CELLS} cells; there are {len(x_treated)}. "
            "Give more treated cells of this type, or do without the ceiling."
        )
    rows = np.random.default_rng(seed).permutation(len(x_treated))
    first, second = (np.sort(part) for part in np.split(rows, [len(rows) // 2]))
    return x_treated[first], x_treated[second]


def corrected_to_full(r: float) -> float:
    """The correlation that two samples of full size would have, 2r / (1 + r) of the correlation of two halves.

    The Spearman-Brown formula [Spearman10, Brown10]. A squared correlation has to be corrected before it is squared.
    Raises `DataError` for -1, of which there is none.
    """
    if not -1 < r <= 1:
        raise DataError(f"corrected_to_full needs a correlation above -1, up to 1; it is {r:g}. Split other halves.")
    return 2 * r / (1 + r)
