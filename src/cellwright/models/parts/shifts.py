"""Shifts by name. To add one: its file, its line in `SHIFTS`."""

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cellwright.core.options import chosen_from
from cellwright.models.parts.cell_shift import RegressionShift, TransportShift
from cellwright.models.parts.linear_shift import LinearShift
from cellwright.models.parts.mean_shift import BalancedShift, CommonShift, RawShift, SharedShift, SimilarShift
from cellwright.models.parts.shift import ShiftOptions

SHIFTS: dict[str, type[ShiftOptions]] = {
    "raw": RawShift,
    "balanced": BalancedShift,
    "shared": SharedShift,
    "similar": SimilarShift,
    "common": CommonShift,
    "linear": LinearShift,
    "regression": RegressionShift,
    "transport": TransportShift,
}

# an option of a model: a shift's options, the same as a dict with its "name", or the bare name
AnyShift = Annotated[SerializeAsAny[ShiftOptions], BeforeValidator(chosen_from(SHIFTS, "shift"))]
