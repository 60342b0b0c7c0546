"""Bernoulli: log p(x) per cell and its derivatives, a row at a time.

logits (n_obs, n_vars) -> x logit - log(1 + e^logit), summed (n_obs,), by logit and bias
"""

import numpy as np

from cellwright.kernels.compiled import kernel
from cellwright.kernels.elementary import exp, log1p
from cellwright.kernels.shares import add_stored, load_row, store, total_of

_ZERO, _ONE = np.float32(0), np.float32(1)


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
    """Log p per cell into `total`; see `negative_binomial.log_prob` for the arrays. The library is not used."""
    n_obs, n_vars = logits.shape
    buffers = np.empty((3, n_vars), np.float32)
    row, value, slope = buffers[0], buffers[1], buffers[2]
    for i in range(n_obs):
        load_row(logits[i], bias, row)
        _at_zero(row, value, slope)
        for s in range(starts[i], starts[i + 1]):
            x, j = values[s], columns[s]
            if x != 0:
                logit = row[j]
                # x logit - log(1 + e^logit), written around x = 1, so that large logits do not cancel
                value[j] = (x - _ONE) * logit - _softplus(-logit)
                slope[j] = (x - _ONE) + _sigmoid(-logit)
        total[i] = total_of(value)
        if by_logit.shape[1]:
            store(slope, by_logit[i])
            add_stored(by_logit[i], weight[i], by_bias)


@kernel
def _softplus(a: np.float32) -> np.float32:
    return max(a, _ZERO) + log1p(exp(-abs(a)))


@kernel
def _sigmoid(a: np.float32) -> np.float32:
    e = exp(-abs(a))
    return (_ONE if a >= _ZERO else e) / (_ONE + e)


@kernel
def _at_zero(row: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    for j in range(row.shape[0]):
        value[j] = -_softplus(row[j])
    for j in range(row.shape[0]):
        slope[j] = -_sigmoid(row[j])
