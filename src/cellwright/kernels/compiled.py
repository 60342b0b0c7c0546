"""Compiled: how a kernel is compiled, where it is kept, and when plain torch takes its place.

    @kernel on a function of arrays -> machine code at its first call -> kept on disk: the next start compiles nothing

`CELLWRIGHT_KERNELS=torch` in the environment turns the kernels off: results are equal within rounding, and slower.
"""

import os
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numba

from cellwright.errors import OptionError

Backend = Literal["numba", "torch"]
Function = TypeVar("Function", bound=Callable[..., Any])

VARIABLE = "CELLWRIGHT_KERNELS"

# a * b + c in one rounding, and no difference between the two zeros; NaN, infinity and the order of sums are kept
_IN_ORDER = {"contract", "nsz"}
# a sum may be taken in several parts at once: that makes it fast, and more exact
_ANY_ORDER = {*_IN_ORDER, "reassoc"}


def kernel(function: Function) -> Function:
    """Compile at the first call, free of Python's lock, kept on disk; arithmetic as it is written."""
    return _compiled(function, _IN_ORDER)


def reduction(function: Function) -> Function:
    """As `kernel`, for a sum along an array, which may be taken in any order."""
    return _compiled(function, _ANY_ORDER)


def inlined(function: Function) -> Function:
    """As `kernel`, for a part of inner loops: compiled into each of its callers, which costs no call."""
    return _compiled(function, _IN_ORDER, forceinline=True)


def _compiled(function: Function, fastmath: set[str], **flags: bool) -> Function:
    compiled: Function = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=fastmath, **flags)(function)
    return compiled


def backend() -> Backend:
    """What evaluates the likelihoods and sparse layers on a CPU: compiled kernels, or plain torch.

    Raises `OptionError` for a value of the environment variable that is not known.
    """
    wanted = os.environ.get(VARIABLE, "auto")
    if wanted not in ("auto", "numba", "torch"):
        raise OptionError(f"{VARIABLE} must be auto, numba or torch; it is {wanted!r}. Set it, or unset it for auto.")
    return "torch" if wanted == "torch" else "numba"
