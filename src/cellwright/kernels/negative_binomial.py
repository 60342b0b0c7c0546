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
    exponentials,
    largest,
    load_row,
    store_slopes,
    total_of,
)
from cellwright.kernels.special import digamma

TABULATED = 8  # counts up to here are looked up
_RECURRED = 64  # and up to here multiplied out
# below, the product for 64 may be more than float64 can hold; above, log Gamma(x + theta) - log Gamma(theta) cancels
_SMALL_THETA, _LARGE_THETA = 1e-5, 1e6
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
    buffers = np.empty((5, n_vars), np.float32)
    row, mean, value, by_mean, inverse = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4]
    for j in range(n_vars):
        inverse[j] = _ONE / theta[j]
    for i in range(n_obs):
        load_row(logits[i], bias, row)
        top = largest(row)
        scale = exponentials(row, top, mean)
        offset = math.log(np.float64(library[i])) - top - math.log(np.float64(scale))
        per_share = library[i] / scale
        at_zero(mean, per_share, theta, inverse, value, by_mean)
        if by_logit.shape[1]:
            _add_theta_slopes(value, by_mean, inverse, weight[i], by_theta)
        for s in range(starts[i], starts[i + 1]):
            x, j = values[s], columns[s]
            if x > 0:
                slope = at_count(x, j, mean[j] * per_share, row[j] + offset, theta, inverse, table, value, by_mean)
                by_theta[j] += weight[i] * slope
            elif x != 0:  # negative, or no number
                value[j] = math.nan
        total[i] = total_of(value)
        if by_logit.shape[1]:
            store_slopes(by_mean, mean, total_of(by_mean) / scale, weight[i], by_logit[i], by_bias)


@kernel
def at_zero(
    mean: np.ndarray,
    scale: np.float32,
    theta: np.ndarray,
    inverse: np.ndarray,
    value: np.ndarray,
    by_mean: np.ndarray,
) -> None:
    """value = log NB(0), and its derivative by log mean, of the means `scale * mean`.

    The derivative by theta follows: value = -theta L and by_mean = -theta share, so it is (value - by_mean) / theta.
    """
    for j in range(mean.shape[0]):
        ratio = mean[j] * scale * inverse[j]
        u = _ONE + ratio
        part = _ONE / u
        value[j] = -theta[j] * (log(u) + (ratio - (u - _ONE)) * part)
        by_mean[j] = -theta[j] * (ratio * part)


@kernel
def _add_theta_slopes(
    value: np.ndarray, by_mean: np.ndarray, inverse: np.ndarray, weight: np.float32, by_theta: np.ndarray
) -> None:
    for j in range(value.shape[0]):
        by_theta[j] += weight * ((value[j] - by_mean[j]) * inverse[j])


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
) -> np.float64:
    """Turn what stands in `value` and `by_mean` for a zero into what belongs to the count x > 0.

    Returns by how much the derivative by theta differs from that at a zero.
    """
    whole = int(x)
    if whole == x and whole <= TABULATED:
        # x (log mean - L) - theta L + A(x); in float64, because log mean and L cancel where the mean is large
        log_odds = -np.float64(value[j]) * inverse[j]
        value[j] += x * (log_mean - log_odds) + table[j, whole - 1]
        part = _ONE / (theta[j] + mean)
        by_mean[j] = theta[j] * (x - mean) * part
        more = np.float64(table[j, TABULATED + whole - 1] - x * part)
    else:
        count, shape, exact_mean = np.float64(x), np.float64(theta[j]), math.exp(log_mean)
        log_odds = math.log1p(exact_mean / shape)
        if whole == x and whole <= _RECURRED and shape > _SMALL_THETA:
            extra, slope = _recurred(whole, shape, table[j])
        elif shape > _LARGE_THETA:
            # Stirling's formula for both; their errors, less than 1 / (12 theta), are not needed
            extra = (count + shape - 0.5) * math.log1p(count / shape) - count - math.lgamma(count + 1.0)
            slope = math.log1p(count / shape) + 0.5 * count / (shape * (count + shape))
        else:
            rising = math.lgamma(count + shape) - math.lgamma(shape)
            extra = rising - math.lgamma(count + 1.0) - count * math.log(shape)
            slope = digamma(count + shape) - digamma(shape)
        value[j] = count * (log_mean - log_odds) - shape * log_odds + extra
        by_mean[j] = shape * (count - exact_mean) / (shape + exact_mean)
        more = slope - count / (shape + exact_mean)
    return more


@kernel
def _recurred(x: int, theta: float, tabulated: np.ndarray) -> tuple[float, float]:
    product, slope = 1.0, float(tabulated[2 * TABULATED - 1])
    for k in range(TABULATED, x):
        product *= (1.0 + k / theta) / (k + 1.0)
        slope += 1.0 / (theta + k)
    return tabulated[TABULATED - 1] + math.log(product), slope
