"""Decoding: from a cell and what a decoder says of it before and after a shift to the predicted cell.

    x, before, after (n_obs, n_vars), on one scale -> predicted (n_obs, n_vars)

`published`  after: what is particular to each cell, and the noise of its counts, are lost with it
`residual`   x + (after - before), at least zero: the cell keeps all that the decoder does not explain
"""

from collections.abc import Callable
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from cellwright.core.support import Support

Decoding = Literal["published", "residual"]
Values = Float[Tensor, "n_obs n_vars"]


def _published(x: Values, before: Values, after: Values) -> Values:
    return after


def _residual(x: Values, before: Values, after: Values) -> Values:
    # in this order a cell that does not change is given back bit by bit
    return (x + (after - before)).clamp(min=0)


DECODINGS: dict[Decoding, Callable[[Values, Values, Values], Values]] = {
    "published": _published,
    "residual": _residual,
}


def support_of(decoding: Decoding) -> Support:
    """Which values it can be used on: zero must be the least, where it clips there."""
    return Support.non_negative if decoding == "residual" else Support.real
