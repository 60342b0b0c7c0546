"""Special functions of float64 for the counts that are too large or not whole, and therefore not tabulated."""

import math

from cellwright.kernels.compiled import kernel

_FROM = 8.0  # from here on five terms of the series are exact to 1e-12


@kernel
def digamma(z: float) -> float:
    """The derivative of log Gamma at z > 0: moved up to the asymptotic series, as in [Bernardo76]."""
    moved = 0.0
    while z < _FROM:
        moved += 1.0 / z
        z += 1.0
    square = 1.0 / (z * z)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return math.log(z) - 0.5 / z - series - moved
