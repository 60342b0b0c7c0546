"""Zero-inflated negative binomial over shares: log p(x) per cell and its derivatives, a row at a time.

    share logits -> mean;  dropout logits a;  z = log NB(0 | mean, theta)

A zero has log(e^a + e^z) - log(1 + e^a), a count x has log NB(x | mean, theta) - log(1 + e^a).
"""

import math

import numpy as np

from cellwright.kernels.compiled import kernel
from cellwright.kernels.elementary import exp, log, log1p
from cellwright.kernels.negative_binomial import at_count, at_zero
from cellwright.kernels.shares import (
    add_stored,
    exponentials,
    largest,
    load_row,
    store,
    store_slopes,
    total_of,
)

_ZERO, _ONE = np.float32(0), np.float32(1)


@kernel
def log_prob(
    values: np.ndarray,
    columns: np.ndarray,
    starts: np.ndarray,
    library: np.ndarray,
    weight: np.ndarray,
    logits: np.ndarray,
    dropout_logits: np.ndarray,
    bias: np.ndarray,
    dropout_bias: np.ndarray,
    theta: np.ndarray,
    table: np.ndarray,
    by_logit: np.ndarray,
    by_dropout: np.ndarray,
    by_bias: np.ndarray,
    by_dropout_bias: np.ndarray,
    by_theta: np.ndarray,
    total: np.ndarray,
) -> None:
    """Log p per cell into `total`; see `negative_binomial.log_prob` for the arrays."""
    n_obs, n_vars = logits.shape
    buffers = np.empty((10, n_vars), np.float32)
    row, exponential, dropout, inverse = buffers[0], buffers[1], buffers[2], buffers[3]
    count, count_mean, counted = buffers[4], buffers[5], buffers[6]
    value, by_mean, by_drop = buffers[7], buffers[8], buffers[9]
    for j in range(n_vars):
        inverse[j] = _ONE / theta[j]
    for i in range(n_obs):
        load_row(logits[i], bias, row)
        load_row(dropout_logits[i], dropout_bias, dropout)
        top = largest(row)
        scale = exponentials(row, top, exponential)
        per_share = library[i] / scale
        offset = math.log(np.float64(library[i])) - top - math.log(np.float64(scale))
        at_zero(exponential, per_share, theta, inverse, count, count_mean)
        _inflate(count, dropout, value, by_drop, counted)
        _scale(counted, count_mean, by_mean)
        if by_logit.shape[1]:
            _add_theta_slopes(counted, count, count_mean, inverse, weight[i], by_theta)
        for s in range(starts[i], starts[i + 1]):
            x, j = values[s], columns[s]
            if x > 0:
                mean, log_mean = exponential[j] * per_share, row[j] + offset
                # what the zero has too little in the derivative by theta, because it need not be the counts'
                rest = (_ONE - counted[j]) * ((count[j] - count_mean[j]) * inverse[j])
                more = at_count(x, j, mean, log_mean, theta, inverse, table, count, count_mean)
                by_theta[j] += weight[i] * (more + rest)
                a = dropout[j]
                e = exp(-abs(a))
                value[j] = count[j] - max(a, _ZERO) - log1p(e)
                by_mean[j] = count_mean[j]
                by_drop[j] = -(_ONE if a >= _ZERO else e) / (_ONE + e)
            elif x != 0:  # negative, or no number
                value[j] = math.nan
        total[i] = total_of(value)
        if by_logit.shape[1]:
            store_slopes(by_mean, exponential, total_of(by_mean) / scale, weight[i], by_logit[i], by_bias)
            store(by_drop, by_dropout[i])
            add_stored(by_dropout[i], weight[i], by_dropout_bias)


@kernel
def _inflate(
    count: np.ndarray, dropout: np.ndarray, value: np.ndarray, by_dropout: np.ndarray, counted: np.ndarray
) -> None:
    """The value at a zero, its derivative by a, and the probability that the zero is one of the counts'."""
    # e^-|a - z| and e^-|a| stand where their results will
    for j in range(count.shape[0]):
        counted[j] = exp(-abs(dropout[j] - count[j]))
    for j in range(count.shape[0]):
        by_dropout[j] = exp(-abs(dropout[j]))
    for j in range(count.shape[0]):
        a, z = dropout[j], count[j]
        # log(1 + e^-|a - z|) - log(1 + e^-|a|) as one logarithm; it loses a NaN, max(z, a) keeps that of z
        value[j] = max(z, a) - max(a, _ZERO) + log((_ONE + counted[j]) / (_ONE + by_dropout[j]))
    for j in range(count.shape[0]):
        e = counted[j]
        counted[j] = (e if dropout[j] > count[j] else _ONE) / (_ONE + e)
    for j in range(count.shape[0]):
        f = by_dropout[j]
        by_dropout[j] = (f if dropout[j] > _ZERO else _ONE) / (_ONE + f) - counted[j]


@kernel
def _add_theta_slopes(
    counted: np.ndarray,
    count: np.ndarray,
    count_mean: np.ndarray,
    inverse: np.ndarray,
    weight: np.float32,
    by_theta: np.ndarray,
) -> None:
    for j in range(count.shape[0]):
        by_theta[j] += weight * counted[j] * ((count[j] - count_mean[j]) * inverse[j])


@kernel
def _scale(factor: np.ndarray, row: np.ndarray, out: np.ndarray) -> None:
    for j in range(row.shape[0]):
        out[j] = factor[j] * row[j]
