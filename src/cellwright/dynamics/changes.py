"""Changes: which features rise and fall along a lineage.

    values (n_obs, n_vars), pseudotime, weight of each cell in the lineage -> cubic spline of each feature, by weighted
    least squares -> F against a constant, p, the fitted curve on a grid

All features share one design, so that one sparse product fits them all. The F test counts cells as
(sum of weights)^2 / sum of squared weights. Pseudotime was made from the same values: p says that a feature follows it,
and is too small for a proof that the feature changes in time; rank by it and look at the size.

References: [SongLi21] on that p; [VandenBerge20] splines along lineages; [Benjamini95].
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from cellwright.dynamics.fates import lineage_end

N_SPLINES = 5  # of the basis, the constant among them
DEGREE = 3
GRID = 50  # pseudotimes at which a curve is given


@dataclass(frozen=True, eq=False)
class Changes:
    """What each feature does along one lineage; arrays are `(n_vars,)` but for `curves (n_vars, GRID)`."""

    grid: np.ndarray  # (GRID,) pseudotimes
    curves: np.ndarray
    statistic: np.ndarray  # F; NaN for a feature that is constant
    p: np.ndarray  # 1 for a feature that is constant
    explained: np.ndarray  # share of the weighted variance that the curve has

    @property
    def size(self) -> np.ndarray:
        """From the lowest to the highest point of the curve."""
        return np.ptp(self.curves, axis=1)

    @property
    def peak(self) -> np.ndarray:
        """The pseudotime of the highest point."""
        return self.grid[self.curves.argmax(axis=1)]


def changes(values: np.ndarray | sparse.spmatrix, pseudotime: np.ndarray, weight: np.ndarray) -> Changes | None:
    """The curves of all features; None where too few cells have a weight for a curve to mean anything.

    `values (n_obs, n_vars)` on a scale on which differences mean the same at every height: log-normalised counts. Cells
    that come after the end of the lineage are left out.
    """
    used = np.flatnonzero((weight > 0) & np.isfinite(pseudotime))
    if not len(used):
        return None
    used = used[pseudotime[used] <= lineage_end(pseudotime[used], weight[used])]
    weight, pseudotime = weight[used], pseudotime[used]
    n = weight.sum() ** 2 / (weight**2).sum()
    if n < 3 * N_SPLINES or np.ptp(pseudotime) == 0:
        return None
    knots = _knots(pseudotime, weight)
    design = _basis(pseudotime, knots)
    values = values[used]
    weighted = design * weight[:, None]
    gram, cross = weighted.T @ design, np.asarray(values.T @ weighted).T  # (n_splines, n_vars)
    coefficients = np.linalg.lstsq(gram, cross, rcond=None)[0]
    total, squares = _sums(values, weight)
    around_mean = np.maximum(squares - total**2 / weight.sum(), 0)
    around_curve = np.clip(squares - (coefficients * cross).sum(axis=0), 0, around_mean)
    grid = np.linspace(pseudotime.min(), pseudotime.max(), GRID)
    curves = (_basis(grid, knots) @ coefficients).T
    return Changes(grid, curves, *_tested(around_mean, around_curve, n))


def adjusted(p: np.ndarray) -> np.ndarray:
    """Benjamini's and Hochberg's p over all that were asked."""
    return stats.false_discovery_control(p.ravel()).reshape(p.shape) if p.size else p


def _tested(around_mean: np.ndarray, around_curve: np.ndarray, n: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F, p, and the share explained, of each feature."""
    varies = around_mean > 1e-12 * max(around_mean.max(initial=0), np.finfo(np.float64).tiny)
    of_curve, of_rest = N_SPLINES - 1, n - N_SPLINES
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = ((around_mean - around_curve) / of_curve) / (around_curve / of_rest)
        explained = 1 - around_curve / around_mean
    statistic = np.where(varies, statistic, np.nan)
    p = np.where(varies, stats.f.sf(statistic, of_curve, of_rest), 1.0)
    return statistic, p, np.where(varies, explained, 0.0)


def _knots(pseudotime: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Inner knots with as much weight between them, and the ends as often as the degree asks."""
    order = np.argsort(pseudotime, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    n_inner = N_SPLINES - DEGREE - 1
    at = np.searchsorted(share, np.arange(1, n_inner + 1) / (n_inner + 1))
    inner = pseudotime[order][np.minimum(at, len(order) - 1)]
    low, high = pseudotime.min(), pseudotime.max()
    return np.concatenate([[low] * (DEGREE + 1), np.clip(inner, low, high), [high] * (DEGREE + 1)])


def _basis(at: np.ndarray, knots: np.ndarray) -> np.ndarray:
    from scipy.interpolate import BSpline

    return BSpline.design_matrix(at, knots, DEGREE).toarray()


def _sums(values: np.ndarray | sparse.spmatrix, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the values, and of their squares, of each feature."""
    squared = values**2 if isinstance(values, np.ndarray) else values.multiply(values)
    return np.asarray(values.T @ weight).ravel(), np.asarray(squared.T @ weight).ravel()
