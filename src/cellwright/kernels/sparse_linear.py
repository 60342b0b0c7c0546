"""Sparse rows times a weight, and the gradient by that weight, in stored values' time.

CSR -product-> (n_obs, n_out);   CSR -by_feature-> the stored values feature by feature -gradient-> (n_vars, n_out)
"""

import numpy as np

from cellwright.kernels.compiled import kernel
from cellwright.kernels.shares import total_of
from cellwright.kernels.vectors import add_rows

_BLOCK_BYTES = 2**18  # of the weight: so much stays in a core's own cache while all rows pass by


@kernel
def product(values: np.ndarray, columns: np.ndarray, starts: np.ndarray, weight: np.ndarray, out: np.ndarray) -> None:
    """out (n_obs, n_out) += x @ weight (n_vars, n_out). The columns of a row are ascending."""
    n_obs, n_vars, n_out = starts.shape[0] - 1, weight.shape[0], weight.shape[1]
    block = max(1, _BLOCK_BYTES // (4 * n_out))
    position = starts[:-1].copy()
    for stop in range(block, n_vars + block, block):
        for i in range(n_obs):
            first = position[i]
            last = first
            while last < starts[i + 1] and columns[last] < stop:
                last += 1
            add_rows(values, columns, first, last, weight, out[i])
            position[i] = last


@kernel
def row_sums(values: np.ndarray, starts: np.ndarray, out: np.ndarray) -> None:
    """The sum of each row's stored values."""
    for i in range(out.shape[0]):
        out[i] = total_of(values[starts[i] : starts[i + 1]])


@kernel
def by_feature(
    values: np.ndarray,
    columns: np.ndarray,
    starts: np.ndarray,
    feature_starts: np.ndarray,
    rows: np.ndarray,
    by_feature_values: np.ndarray,
) -> None:
    """The transpose: `feature_starts (n_vars + 1,)`, and each feature's `rows` and values (nnz,)."""
    feature_starts[:] = 0
    for s in range(columns.shape[0]):
        feature_starts[columns[s] + 1] += 1
    for j in range(feature_starts.shape[0] - 1):
        feature_starts[j + 1] += feature_starts[j]
    place = feature_starts[:-1].copy()
    for i in range(starts.shape[0] - 1):
        for s in range(starts[i], starts[i + 1]):
            at = place[columns[s]]
            rows[at] = i
            by_feature_values[at] = values[s]
            place[columns[s]] = at + 1


@kernel
def gradient(
    feature_starts: np.ndarray, rows: np.ndarray, values: np.ndarray, by_out: np.ndarray, by_weight: np.ndarray
) -> None:
    """by_weight (n_vars, n_out) = x^T @ by_out (n_obs, n_out)."""
    for j in range(by_weight.shape[0]):
        by_weight[j, :] = 0
        add_rows(values, rows, feature_starts[j], feature_starts[j + 1], by_out, by_weight[j])
