"""Two samples of cells, real and generated, as the metrics of generation compare them.

x_real (n_real, n_vars), x_generated (n_generated, n_vars) -> checked, at most `AT_MOST_CELLS` each, in their own order
and the `AT_MOST_FEATURES` that vary most among the real cells -> the principal components of both together

The order of the cells comes from a digest of their values: as good as random, and the same however the cells were
given. So which cells are left out, and which are held out together, depends on nothing but the values.
"""

import hashlib

import numpy as np

from cellwright.errors import DataError, UnsuitableValues

AT_MOST_CELLS = 2000  # of each side: distances between 2,000 and 2,000 cells take 32 MB
AT_MOST_FEATURES = 2000  # values of both sides then take 64 MB
N_COMPONENTS = 30
CELLS_PER_COMPONENT = 4  # fewer components where there are few cells


def two_samples(
    x_real: np.ndarray, x_generated: np.ndarray, metric: str, at_least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 in the order of their digests, cut to `AT_MOST_CELLS` and, if need be, to `AT_MOST_FEATURES`.

    Raises `DataError` where the features differ in number or a side has fewer than `at_least` cells,
    `UnsuitableValues` where values are not finite.
    """
    if x_real.ndim != 2 or x_generated.ndim != 2 or x_real.shape[1] != x_generated.shape[1] or not x_real.shape[1]:
        raise DataError(
            f"x_real and x_generated must be (n_obs, n_vars) with the same features; their shapes are {x_real.shape} "
            f"and {x_generated.shape}. Give the same features in the same order."
        )
    for role, values in (("x_real", x_real), ("x_generated", x_generated)):
        if len(values) < at_least:
            raise DataError(
                f"{metric} needs at least {at_least} cells on either side; {role} has {len(values)}. "
                "Hold out more cells, or score several labels together."
            )
        if not np.isfinite(values).all():
            raise UnsuitableValues(f"{role} must be finite; it holds NaN or infinity. Generate again, or fit again.")
    real, generated = in_own_order(x_real, AT_MOST_CELLS), in_own_order(x_generated, AT_MOST_CELLS)
    if real.shape[1] > AT_MOST_FEATURES:
        features = np.sort(np.argsort(-real.var(axis=0, dtype=np.float64), kind="stable")[:AT_MOST_FEATURES])
        real, generated = real[:, features], generated[:, features]
    return real.astype(np.float64), generated.astype(np.float64)


def most_variable(real: np.ndarray, at_most: int) -> np.ndarray:
    """The features that vary most among the real cells, in descending order; none that does not vary at all."""
    order = np.argsort(-real.var(axis=0), kind="stable")[:at_most]
    # a feature of equal values may have a variance of rounding errors
    return order[np.ptp(real[:, order], axis=0) > 0]


def components(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides in the leading principal components of both together; these do not know which side a cell is on.

    With those of the real cells alone, other real cells would lie further in than they do: they did not choose them.
    """
    from sklearn.decomposition import PCA  # takes two seconds, and a report needs only the titles

    both = np.concatenate([real, generated])
    if (both == both[0]).all():
        return np.zeros((len(real), 1)), np.zeros((len(generated), 1))
    n_components = max(1, min(N_COMPONENTS, len(both) // CELLS_PER_COMPONENT, both.shape[1]))
    placed = PCA(n_components, svd_solver="randomized", random_state=0).fit_transform(both)
    return placed[: len(real)], placed[len(real) :]


def in_own_order(values: np.ndarray, at_most: int) -> np.ndarray:
    """At most so many rows in the order of a digest of their values; which ones does not depend on the given order."""
    plain = np.ascontiguousarray(values) + 0.0  # -0.0 has other bytes than 0.0
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in plain]
    return plain[sorted(range(len(plain)), key=digests.__getitem__)[:at_most]]
