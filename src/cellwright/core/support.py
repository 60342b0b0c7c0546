"""Support: which values a model can use; each is a subset of the one before it.

missing > real > non_negative > counts > binary
"""

from enum import IntEnum


class Support(IntEnum):
    """Values are `real` (any finite number), `non_negative`, `counts` (non-negative integers) or `binary` (0 or 1).

    With `missing` they are real too, and NaN says that a value was not measured.
    """

    missing = -1
    real = 0
    non_negative = 1
    counts = 2
    binary = 3
