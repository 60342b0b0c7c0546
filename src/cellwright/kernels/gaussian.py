"""Gaussian: log p(x) per cell and its derivatives, a row at a time.

means (n_obs, n_vars), variance (n_vars,) -> log N(x | mean, variance), summed (n_obs,), by mean, bias, log variance
"""

import math

import numpy as np

from cellwright.kernels.bfloat16 import narrowed
from cellwright.kernels.compiled import kernel, reduction
from cellwright.kernels.elementary import exp
from cellwright.kernels.shares import add_stored, load_row

_HALF, _ONE = np.float32(0.5), np.float32(1)
_LOG_2_PI = math.log(2 * math.pi)


@kernel
def log_prob(
    values: np.ndarray,
    columns: np.ndarray,
    starts: np.ndarray,
    library: np.ndarray,
    weight: np.ndarray,
    means: np.ndarray,
    bias: np.ndarray,
    log_variance: np.ndarray,
    by_mean: np.ndarray,
    by_bias: np.ndarray,
    by_log_variance: np.ndarray,
    total: np.ndarray,
) -> None:
    """Log p per cell into `total`; see `negative_binomial.log_prob` for the arrays. The library is not used."""
    n_obs, n_vars = means.shape
    residual, precision = np.empty(n_vars, np.float32), np.empty(n_vars, np.float32)
    constant = 0.0
    for j in range(n_vars):
        precision[j] = exp(-log_variance[j])
        constant += log_variance[j] + _LOG_2_PI
    for i in range(n_obs):
        load_row(means[i], bias, residual)
        for s in range(starts[i], starts[i + 1]):
            residual[columns[s]] -= values[s]
        total[i] = -0.5 * (_deviance(residual, precision) + constant)
        if by_mean.shape[1]:
            _add_slopes(residual, precision, weight[i], by_log_variance)
            _store(residual, precision, by_mean[i])
            add_stored(by_mean[i], weight[i], by_bias)


@reduction
def _deviance(residual: np.ndarray, precision: np.ndarray) -> np.float32:
    total = np.float32(0)
    for j in range(residual.shape[0]):
        total += residual[j] * residual[j] * precision[j]
    return total


@kernel
def _add_slopes(residual: np.ndarray, precision: np.ndarray, weight: np.float32, out: np.ndarray) -> None:
    for j in range(residual.shape[0]):
        out[j] += weight * _HALF * (residual[j] * residual[j] * precision[j] - _ONE)


@kernel
def _store(residual: np.ndarray, precision: np.ndarray, stored: np.ndarray) -> None:
    for j in range(residual.shape[0]):
        stored[j] = narrowed(-residual[j] * precision[j], stored)
