"""Zeros kept: does an imputation leave silent what is silent in a cell type, a marker of another type.

x_measured, x_expected (n_obs, n_vars), normalised; labels -> markers of one label that another never has
-> share of these zeros at which less than a tenth of the marker's own mean is expected

References: [Linderman22] for zeros that are biological; [Andrews18] for markers that leak.
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.metric import Metric
from cellwright.metrics.responses import check_cells

OFTEN, SELDOM = 0.5, 0.01  # share of the cells of a label that have a molecule: of its own marker, of a foreign one
SMALL = 0.1  # of the marker's mean in its own label: less is silence
CELLS = 20  # of a label, at least: among fewer, one in a hundred cannot be seen


def zeros_kept(x_measured: np.ndarray, x_expected: np.ndarray, labels_true: Labels) -> float:
    """The share over all such entries, cells of one label x markers of others; 1 is all.

    Which genes are markers is told from `x_measured`; both are on one scale, such as counts per 10,000. Raises
    `DataError` where no label has a marker that another one lacks.
    """
    silent, limits = _silence(x_measured, x_expected, labels_true)
    return float((x_expected < limits)[silent].mean())


def zeros_kept_by_label(x_measured: np.ndarray, x_expected: np.ndarray, labels_true: Labels) -> dict[str, float]:
    """The share within the cells of each label, over markers of the others; NaN where none is silent."""
    codes, names = codes_of(labels_true, "labels_true")
    try:
        silent, limits = _silence(x_measured, x_expected, labels_true)
    except DataError:
        return dict.fromkeys(names, float("nan"))
    below = x_expected < limits
    of_label = {name: below[codes == code][silent[codes == code]] for code, name in enumerate(names)}
    return {name: float(kept.mean()) if kept.size else float("nan") for name, kept in of_label.items()}


def _silence(x_measured: np.ndarray, x_expected: np.ndarray, labels_true: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Which entries are silent (n_obs, n_vars), and what is small for each feature (n_vars,)."""
    check_cells("zeros_kept", 1, x_measured=x_measured, x_expected=x_expected)
    codes, _ = codes_of(labels_true, "labels_true")
    large = [code for code in range(codes.max() + 1) if (codes == code).sum() >= CELLS]
    silent = np.zeros(x_measured.shape, dtype=bool)
    limits = np.zeros(x_measured.shape[1])
    if large:
        detected = np.stack([(x_measured[codes == code] > 0).mean(axis=0) for code in large])  # (n_large, n_vars)
        means = np.stack([x_measured[codes == code].mean(axis=0) for code in large])
        is_marker = (detected >= OFTEN).any(axis=0)
        limits = SMALL * means.max(axis=0)
        for code, share in zip(large, detected, strict=True):
            silent[codes == code] = is_marker & (share <= SELDOM)
        silent &= x_measured == 0
    if not silent.any():
        raise DataError(
            f"zeros_kept needs a label of {CELLS} cells with a marker that another such label lacks; there is none. "
            "Give more cells or more features."
        )
    return silent, limits


ZEROS_KEPT = Metric(
    function=zeros_kept,
    title="Silent markers kept silent",
    task="impute",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("x_measured", "x_expected", "labels_true"),
    citation="Linderman22",
    by_label=zeros_kept_by_label,
)
