"""Maximum mean discrepancy: how far apart two samples are, for a kernel that sees several distances at once.

    x_real, x_generated (n_obs, n_vars) -> principal components of both together (n_obs, <= 30)
    -> k(x, y) = mean over bandwidths of exp(-|x - y|^2 / (2 bandwidth^2))
    -> mean k(real, real') + mean k(generated, generated') - 2 mean k(real, generated)

Among thousands of features all cells are about equally far apart, and the kernel would tell little.
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.two_samples import components, two_samples

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # bandwidths, in median distances


def mmd(x_real: np.ndarray, x_generated: np.ndarray) -> float:
    """The squared discrepancy MMD^2 [Gretton12], 0 if no difference is found, by its unbiased estimate.

    The estimate lies around zero where the distributions are equal (`unbiased_mmd`); below zero it becomes 0. The
    bandwidths are a quarter to four times the median distance between cells of both sides [Gretton12, section 8].
    Compare with real cells against real cells. Give log-normalised values. At most 2,000 cells of each side are used.

    Raises `DataError` for fewer than two cells of a side, or where most cells are equal.
    """
    return max(0.0, unbiased_mmd(x_real, x_generated))


def unbiased_mmd(x_real: np.ndarray, x_generated: np.ndarray) -> float:
    """The estimate itself [Gretton12, equation 3]: its expectation is 0 where the distributions are equal."""
    real, generated = components(*two_samples(x_real, x_generated, "mmd", at_least=2))
    within_real, within_generated = _squared_distances(real, real), _squared_distances(generated, generated)
    between = _squared_distances(real, generated)
    of_pairs = [square[np.triu_indices(len(square), k=1)] for square in (within_real, within_generated)]
    typical = float(np.median(np.concatenate([*of_pairs, between.ravel()])))
    if typical == 0:
        raise DataError("mmd needs cells that differ; most pairs of them are equal. Give other cells or features.")
    return (
        _mean_without_self(_kernel(within_real, typical))
        + _mean_without_self(_kernel(within_generated, typical))
        - 2 * float(_kernel(between, typical).mean())
    )


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squares, 0.0)


def _kernel(squared: np.ndarray, typical: float) -> np.ndarray:
    total = np.zeros_like(squared)
    for factor in FACTORS:
        total += np.exp(squared / (-2 * factor**2 * typical))
    return total / len(FACTORS)


def _mean_without_self(kernel: np.ndarray) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


MMD = Metric(
    function=mmd,
    title="Maximum mean discrepancy (squared, RBF)",
    task="generate",
    better="lower",
    bounds=(0.0, 2.0),
    needs=("x_real", "x_generated"),
    citation="Gretton12",
    by_label=within_labels(mmd),
)
