"""Checks that predicted values can be compared with the true ones."""

import numpy as np

from cellwright.errors import DataError, UnsuitableValues


def checked_pair(x_true: np.ndarray, x_predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64. Raises `DataError` if their shapes differ or are empty, `UnsuitableValues` if not finite."""
    if x_true.shape != x_predicted.shape or x_true.size == 0:
        raise DataError(
            f"x_true and x_predicted must have the same shape and at least one entry; their shapes are {x_true.shape} "
            f"and {x_predicted.shape}. Give the same cells and features in the same order."
        )
    for role, values in (("x_true", x_true), ("x_predicted", x_predicted)):
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise UnsuitableValues(
                f"{role} must be finite; {bad} of {values.size} entries are not. Compare measured entries only."
            )
    return x_true.astype(np.float64), x_predicted.astype(np.float64)
