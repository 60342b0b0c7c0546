"""Control, treated and predicted cells, as the metrics of a response compare them: checked, then their means.

x_control (n_control, n_vars), x_treated (n_treated, n_vars), x_predicted (n_predicted, n_vars) -> means (n_vars,)

Rows are not paired: nobody has seen the same cell with and without the treatment.
"""

import numpy as np

from cellwright.errors import DataError, UnsuitableValues

ROUNDING = 1e-5  # cells given back as they were have other last digits in float32, and these correlate with the truth


def check_cells(metric: str, at_least: int, **sides: np.ndarray) -> None:
    """The sides have the same features, at least `at_least` cells each, and finite values.

    Raises `DataError` where the features differ in number or cells are too few, `UnsuitableValues` for NaN or infinity.
    """
    shapes = [values.shape for values in sides.values()]
    if any(len(shape) != 2 or not shape[1] or shape[1:] != shapes[0][1:] for shape in shapes):
        raise DataError(
            f"{metric} needs {' and '.join(sides)} to be (n_obs, n_vars) with the same features; their shapes are "
            f"{' and '.join(map(str, shapes))}. Give the same features in the same order."
        )
    for role, values in sides.items():
        if len(values) < at_least:
            raise DataError(
                f"{metric} needs at least {at_least} {'cell' if at_least == 1 else 'cells'} in {role}; it has "
                f"{len(values)}. Give more cells of this type."
            )
        if not np.isfinite(values).all():
            raise UnsuitableValues(
                f"{role} must be finite; it holds NaN or infinity. Leave such cells out, or predict again."
            )


def mean_profiles(metric: str, **sides: np.ndarray) -> list[np.ndarray]:
    """The mean over the cells of each side, `(n_vars,)` in float64, in the order given. Raises as `check_cells`."""
    check_cells(metric, 1, **sides)
    return [values.mean(axis=0, dtype=np.float64) for values in sides.values()]


def correlation(metric: str, true: np.ndarray, predicted: np.ndarray, what: str) -> float:
    """Pearson's correlation over features. Raises `DataError` where the `what` of either side is the same for all."""
    for role, profile in (("x_treated", true), ("x_predicted", predicted)):
        if is_constant(profile):
            raise DataError(
                f"{metric} needs a {what} that differs between features; that of {role} is {profile[0]:g} for all. "
                "Give more features, or use mean_mae."
            )
    return float(np.clip(np.corrcoef(true, predicted)[0, 1], -1.0, 1.0))


def is_constant(profile: np.ndarray) -> bool:
    """Whether all features have one value, but for `ROUNDING`, so that a correlation is not defined."""
    return bool(np.ptp(profile) <= ROUNDING)
