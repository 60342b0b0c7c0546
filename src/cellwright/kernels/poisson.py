"""Poisson over shares: log p(x) per cell and its derivatives, a row at a time.

    logits (n_obs, n_vars) -> softmax x library = mean -> log Poisson(x | mean) (n_obs,), by logit and bias

A zero has -mean, a count x has x log mean - mean - log x!.
"""

import math

import numpy as np

from cellwright.kernels.compiled import kernel
from cellwright.kernels.shares import exponentials, largest, load_row, store_slopes, total_of

_LOG_FACTORIALS = np.array([math.lgamma(x + 1.0) for x in range(256)])


@kernel
def log_prob(
    values: np.ndarray,
    columns: np.ndarray,
    starts: np.ndarray,
    library: np.ndarray,
    weight: np.ndarray,
    logits: np.ndarray,
    bias: np.ndarray,
    by_logit: np.ndarray,
    by_bias: np.ndarray,
    total: np.ndarray,
) -> None:
    """Log p per cell into `total`; see `negative_binomial.log_prob` for the arrays."""
    n_obs, n_vars = logits.shape
    buffers = np.empty((4, n_vars), np.float32)
    row, exponential, value, by_mean = buffers[0], buffers[1], buffers[2], buffers[3]
    for i in range(n_obs):
        load_row(logits[i], bias, row)
        top = largest(row)
        scale = exponentials(row, top, exponential)
        offset = math.log(np.float64(library[i])) - top - math.log(np.float64(scale))
        _at_zero(exponential, library[i] / scale, value, by_mean)
        for s in range(starts[i], starts[i + 1]):
            x, j = values[s], columns[s]
            if x > 0:
                log_mean = row[j] + offset
                mean, whole = math.exp(log_mean), int(x)
                known = whole == x and whole < 256
                value[j] = x * log_mean - mean - (_LOG_FACTORIALS[whole] if known else math.lgamma(x + 1.0))
                by_mean[j] = x - mean
            elif x != 0:  # negative, or no number
                value[j] = math.nan
        total[i] = total_of(value)
        if by_logit.shape[1]:
            store_slopes(by_mean, exponential, total_of(by_mean) / scale, weight[i], by_logit[i], by_bias)


@kernel
def _at_zero(exponential: np.ndarray, scale: np.float32, value: np.ndarray, by_mean: np.ndarray) -> None:
    for j in range(value.shape[0]):
        value[j] = -exponential[j] * scale
        by_mean[j] = -exponential[j] * scale
