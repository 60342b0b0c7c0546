"""Negative binomial over shares: log p(x) per cell and its derivatives, a row at a time, in a cache's reach.

    logits (n_obs, n_vars) -> softmax x library = mean -> log NB(x | mean, theta) (n_obs,), by logit, bias and theta

With L = log(1 + mean / theta), a zero has -theta L, and a count x

log p(x) = x (log mean - L) - theta L + A(x),  A(x) = sum over 1 <= k < x of log(1 + k / theta) - log(k + 1)

where nothing large is taken from anything large; A and its slope are tabulated per feature for small counts. Large
counts, and those that are not whole, are evaluated in float64.
"""

import math

import numpy as np

from cellwright.kernels.compiled import inlined, kernel
from cellwright.kernels.elementary import log, log1p
from cellwright.kernels.shares import (
    add_scaled,
    add_stored,
    exponentials,
    largest,
    load_row,
    store_slopes,
    total_of,
)
from cellwright.kernels.special import digamma

TABULATED = 8  # counts up to here are looked up
_RECURRED = 64  # and up to here multiplied out
_F = np.float32
_ONE = _F(1)


@kernel
def tabulate(theta: np.ndarray, table: np.ndarray) -> None:
    """table (n_vars, 2 TABULATED): A(x) for x = 1 ... TABULATED, then the sums of 1 / (theta + k) over k < x."""
    value, slope = np.zeros_like(theta), np.zeros_like(theta)
    for k in range(TABULATED):
        _next(theta, _F(k), value, slope)
        for j in range(theta.shape[0]):
            table[j, k] = value[j]
            table[j, TABULATED + k] = slope[j]


@kernel
def _next(theta: np.ndarray, k: np.float32, value: np.ndarray, slope: np.ndarray) -> None:
    step = log(k + _ONE)
    for j in range(theta.shape[0]):
        value[j] += log1p(k / theta[j]) - step
    for j in range(theta.shape[0]):
        slope[j] += _ONE / (theta[j] + k)


@kernel
def log_prob(
    values: np.ndarray,
    columns: np.ndarray,
    starts: np.ndarray,
    library: np.ndarray,
    weight: np.ndarray,
    logits: np.ndarray,
    bias: np.ndarray,
    theta: np.ndarray,
    table: np.ndarray,
    by_logit: np.ndarray,
    by_bias: np.ndarray,
    by_theta: np.ndarray,
    total: np.ndarray,
) -> None:
    """Log p per cell into `total`. Derivatives by logit are not weighted; those by bias and theta add up weighted rows.

    `by_logit` may be `logits` itself, float32 or the bits of bfloat16; of no columns, it asks for no derivatives.
    """
    n_obs, n_vars = logits.shape
    buffers = np.empty((6, n_vars), np.float32)
    row, mean, value = buffers[0], buffers[1], buffers[2]
    share, by_mean, slope = buffers[3], buffers[4], buffers[5]
    inverse = np.empty(n_vars, np.float32)
    for j in range(n_vars):
        inverse[j] = _ONE / theta[j]
    for i in range(n_obs):
        load_row(logits[i], bias, row)
        top = largest(row)
        scale = exponentials(row, top, mean)
        offset = math.log(library[i]) - top - math.log(scale)
        per_share = library[i] / scale
        at_zero(mean, per_share, theta, inverse, value, share)
        zero_slopes(value, share, theta, inverse, by_mean, slope)
        for s in range(starts[i], starts[i + 1]):
            x, j = values[s], columns[s]
            if x != 0:
                at_count(x, j, mean[j] * per_share, row[j] + offset, theta, inverse, table, value, by_mean, slope)
        total[i] = total_of(value)
        if by_logit.shape[1]:
            store_slopes(by_mean, mean, total_of(by_mean) / scale, by_logit[i])
            add_stored(by_logit[i], weight[i], by_bias)
            add_scaled(slope, weight[i], by_theta)


@kernel
def at_zero(
    mean: np.ndarray,
    scale: np.float32,
    theta: np.ndarray,
    inverse: np.ndarray,
    value: np.ndarray,
    share: np.ndarray,
) -> None:
    """value = log NB(0), share = mean / (mean + theta), of the means `scale * mean`."""
    for j in range(mean.shape[0]):
        ratio = mean[j] * scale * inverse[j]
        u = _ONE + ratio
        part = _ONE / u
        value[j] = -theta[j] * (log(u) + (ratio - (u - _ONE)) * part)
        share[j] = ratio * part


@kernel
def zero_slopes(
    value: np.ndarray,
    share: np.ndarray,
    theta: np.ndarray,
    inverse: np.ndarray,
    by_mean: np.ndarray,
    by_theta: np.ndarray,
) -> None:
    """The derivatives at zero, by the logarithm of the mean and by theta."""
    for j in range(value.shape[0]):
        by_mean[j] = -theta[j] * share[j]
        by_theta[j] = share[j] + value[j] * inverse[j]


@inlined
def at_count(
    x: np.float32,
    j: np.int32,
    mean: np.float32,
    log_mean: np.float64,
    theta: np.ndarray,
    inverse: np.ndarray,
    table: np.ndarray,
    value: np.ndarray,
    by_mean: np.ndarray,
    by_theta: np.ndarray,
) -> None:
    """Turn what stands in `value`, `by_mean` and `by_theta` for a zero into what belongs to the count x > 0."""
    whole = int(x)
    if whole == x and whole <= TABULATED:
        # x (log mean - L) - theta L + A(x); in float64, because log mean and L cancel where the mean is large
        log_odds = -np.float64(value[j]) * inverse[j]
        value[j] += x * (log_mean - log_odds) + table[j, whole - 1]
        part = _ONE / (theta[j] + mean)
        by_mean[j] = theta[j] * (x - mean) * part
        by_theta[j] += table[j, TABULATED + whole - 1] - x * part
    else:
        shape, exact_mean = np.float64(theta[j]), math.exp(log_mean)
        log_odds = math.log1p(exact_mean / shape)
        if whole == x and whole <= _RECURRED:
            extra, slope = _recurred(whole, shape, table[j])
        else:
            extra = math.lgamma(x + shape) - math.lgamma(shape) - math.lgamma(x + 1.0) - x * math.log(shape)
            slope = digamma(x + shape) - digamma(shape)
        value[j] = x * (log_mean - log_odds) - shape * log_odds + extra
        by_mean[j] = shape * (x - exact_mean) / (shape + exact_mean)
        by_theta[j] += slope - x / (shape + exact_mean)


@kernel
def _recurred(x: int, theta: float, tabulated: np.ndarray) -> tuple[float, float]:
    product, slope = 1.0, float(tabulated[2 * TABULATED - 1])
    for k in range(TABULATED, x):
        product *= (1.0 + k / theta) / (k + 1.0)
        slope += 1.0 / (theta + k)
    return tabulated[TABULATED - 1] + math.log(product), slope
