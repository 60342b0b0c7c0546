"""Permuted: an observed number against what it is when labels are permuted within each section.

observed (...), null (n_permutations, ...) -> expected, z, p-value, each of the shape of the observed

References: [Phipson10] p-values of permutations.
"""

from collections.abc import Iterator

import numpy as np

ROUNDING = 1e-9  # a permutation that leaves the labels as they were is as extreme as they are


def permutations(label: np.ndarray, section: np.ndarray, n: int, seed: int) -> Iterator[np.ndarray]:
    """`n` permutations of the labels `(n_obs,)`, within each section."""
    rng = np.random.default_rng(seed)
    sections = [np.flatnonzero(section == name) for name in np.unique(section)]
    for _ in range(n):
        permuted = label.copy()
        for rows in sections:
            permuted[rows] = label[rng.permutation(rows)]
        yield permuted


def against(observed: np.ndarray, null: np.ndarray) -> dict[str, np.ndarray]:
    """`expected`, the mean of the null; `z`, in its standard deviations, NaN where it does not vary; `p_value`.

    The p-value is two-sided: (1 + permutations at least as far from expected) / (1 + permutations).
    """
    expected, sd = null.mean(axis=0), null.std(axis=0, ddof=1)
    off = np.abs(observed - expected)
    p_value = (1 + (np.abs(null - expected) >= off - ROUNDING).sum(axis=0)) / (1 + len(null))
    z = np.divide(observed - expected, sd, out=np.full(observed.shape, np.nan), where=sd > ROUNDING)
    return {"expected": expected, "z": z, "p_value": p_value}
