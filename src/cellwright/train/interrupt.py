"""Interruption: Ctrl-C and SIGTERM end training after the running step, with a checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from cellwright.errors import CellwrightError


class Interrupted(CellwrightError):
    """Training was interrupted by a signal; the run can be resumed. The exit code is 128 + the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


@dataclass
class Interruption:
    """`signal_number` is set once a signal has come."""

    signal_number: int | None = None


@contextmanager
def watching_for_interruption() -> Iterator[Interruption]:
    """Note the first SIGINT or SIGTERM instead of dying of it; a second one acts as usual. Only in the main thread."""
    asked = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        asked.signal_number = number
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
