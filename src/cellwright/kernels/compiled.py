"""Compiled: how a kernel is compiled, where it is kept, and when plain torch takes its place.

    @kernel on a function of arrays -> machine code at its first call -> kept on disk: the next start compiles nothing

`CELLWRIGHT_KERNELS=torch` in the environment turns the kernels off: results come slower, equal within rounding but for
dropout, whose masks are drawn in another way.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from cellwright.errors import OptionError

Backend = Literal["numba", "torch"]
Function = TypeVar("Function", bound=Callable[..., Any])

VARIABLE = "CELLWRIGHT_KERNELS"

# a * b + c in one rounding, and no difference between the two zeros; NaN, infinity and the order of sums are kept
_IN_ORDER = {"contract", "nsz"}
# a sum may be taken in several parts at once: that makes it fast, and more exact
_ANY_ORDER = {*_IN_ORDER, "reassoc"}


def backend() -> Backend:
    """What evaluates likelihoods, sparse layers and noise on a CPU: compiled kernels, or plain torch.

    The files of kernels need Numba; they are imported where this has said `numba`, so that all else works without.

    Raises `OptionError` for a value of the environment variable that is not known.
    """
    wanted = os.environ.get(VARIABLE, "auto")
    if wanted not in ("auto", "numba", "torch"):
        raise OptionError(f"{VARIABLE} must be auto, numba or torch; it is {wanted!r}. Set it, or unset it for auto.")
    return "numba" if wanted != "torch" and _numba_is_there() else "torch"


@cache
def _numba_is_there() -> bool:
    try:
        import numba
    except ImportError as error:  # also of a Numba that is older than the NumPy beside it
        warnings.warn(f"Numba cannot be loaded ({error}); all runs in plain torch, slower.", stacklevel=2)
        return False
    return not numba.config.DISABLE_JIT  # as for debugging: parts of the kernels are no Python


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
    import numba

    # Numba keeps compiled code under a function's name and its file's time; what it calls in other files is not asked
    # for. Under the name of all sources together, no change of any of them finds code that was compiled before it
    function.__qualname__ = f"{function.__qualname__}_{digest_of(Path(__file__).parent)}"
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath, **flags}
    try:
        compiled: Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that may be written to: compiled anew in every process
        compiled = numba.njit(**options)(function)
    return compiled


@cache
def digest_of(folder: Path) -> str:
    """A short digest of all source files of a folder."""
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(sources).hexdigest()[:12]


@contextmanager
def announcing_compilation(announce: Callable[[], None]) -> Iterator[None]:
    """Inside, `announce` is called before anything is compiled, once; what is read from disk is not announced."""
    if backend() == "torch":
        yield
        return
    from numba.core import event

    class FirstCompilation(event.Listener):
        announced = False

        def on_start(self, event: object) -> None:
            if not self.announced:
                self.announced = True
                announce()

        def on_end(self, event: object) -> None:
            pass  # the interface asks for it

    listener = FirstCompilation()
    event.register("numba:compile", listener)
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)
