"""Hidden values and what was expected of them, as the metrics of an imputation compare them: checked, then as pairs.

x_hidden, x_expected (n_obs, n_vars) -> float64;  x_entries (NaN: not asked), x_expected -> groups of asked entries
"""

import numpy as np

from cellwright.errors import DataError, UnsuitableValues


def hidden_pair(metric: str, x_hidden: np.ndarray, x_expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts that were hidden and counts that were expected, (n_obs, n_vars) in float64.

    Raises `DataError` where the shapes differ or nothing was hidden, `UnsuitableValues` for values that no count and no
    expectation can have.
    """
    if x_hidden.shape != x_expected.shape or x_hidden.ndim != 2:
        raise DataError(
            f"{metric} needs x_hidden and x_expected to be (n_obs, n_vars) with the same cells and features; their "
            f"shapes are {x_hidden.shape} and {x_expected.shape}. Give the same in the same order."
        )
    for role, values in (("x_hidden", x_hidden), ("x_expected", x_expected)):
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise UnsuitableValues(
                f"{role} of {metric} must be finite and not negative; it holds other values. Compare counts, on their "
                "own scale."
            )
    if not x_hidden.any():
        raise DataError(f"{metric} needs a hidden molecule; {len(x_hidden)} cells have none. Hide a larger share.")
    return x_hidden.astype(np.float64), x_expected.astype(np.float64)


def asked_entries(metric: str, x_entries: np.ndarray, x_expected: np.ndarray) -> np.ndarray:
    """Which entries were asked for, (n_obs, n_vars) bool: those of `x_entries` that are not NaN.

    Raises `DataError` where the shapes differ or no entry is asked for, `UnsuitableValues` where an expectation is NaN.
    """
    if x_entries.shape != x_expected.shape or x_entries.ndim != 2:
        raise DataError(
            f"{metric} needs x_entries and x_expected to be (n_obs, n_vars) with the same cells and features; their "
            f"shapes are {x_entries.shape} and {x_expected.shape}. Give the same in the same order."
        )
    asked = ~np.isnan(x_entries)
    if not asked.any():
        raise DataError(f"{metric} needs an entry that was hidden; none of {x_entries.size} was. Hide a larger share.")
    if not np.isfinite(x_expected[asked]).all():
        raise UnsuitableValues(f"x_expected of {metric} must be finite; it holds NaN or infinity. Impute again.")
    return asked


def mean_correlation(
    metric: str, x_entries: np.ndarray, x_expected: np.ndarray, asked: np.ndarray, *, within: str, at_least: int
) -> float:
    """Pearson's correlation over what was asked of each row, (n_rows, n_entries); the mean over the rows.

    A row with fewer than `at_least` entries, or whose entries are all the same, does not count; one of which the same
    is expected everywhere has a correlation of zero: nothing was told of it. `within` is what a row is called. Raises
    `DataError` where no row counts.
    """
    found = []
    for true, expected, row in zip(x_entries, x_expected, asked, strict=True):
        if row.sum() >= at_least and np.ptp(true[row]) > 0:
            found.append(np.corrcoef(true[row], expected[row])[0, 1] if np.ptp(expected[row]) > 0 else 0.0)
    if not found:
        raise DataError(
            f"{metric} needs a {within} with {at_least} hidden entries that differ; there is none among {len(asked)}. "
            "Hide a larger share."
        )
    return float(np.clip(np.mean(found), -1, 1))
