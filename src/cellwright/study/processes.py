"""Processes: share work among processes that each do a part of it, and hear of it as it is done.

    parts -> a process for each (spawned) -> what they tell, in the order in which it comes -> watch

An interrupted process ends its own work as it would alone, with a checkpoint. One whose first process is gone, killed
without a chance to end it, ends at once: it would go on unheard, beside the study that continues in the same folder.
"""

import multiprocessing
import os
import queue
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection
from typing import Any

from cellwright.errors import CellwrightError, RunError
from cellwright.train.interrupt import Interrupted

_SECONDS = 0.5  # between two looks whether all processes are alive


def in_processes(
    work: Callable[..., None], given: Any, parts: Sequence[list[Any]], watch: Callable[[Any], None]
) -> None:
    """Call `work(given, part, tell)` in a process for each of `parts`, and `watch` with all that they tell.

    Work and data must be picklable; a program that calls this must be importable without running (`if __name__ ==
    "__main__"`). The first error of a process ends the others, and is raised here.
    """
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    processes = [context.Process(target=_process, args=(work, given, part, told), daemon=True) for part in parts]
    try:
        for process in processes:
            process.start()
        n_ended = 0
        while n_ended < len(processes):
            try:
                kind, what = told.get(timeout=_SECONDS)
            except queue.Empty:
                _refuse_dead(processes)
                continue
            if kind == "told":
                watch(what)
            elif kind == "ended":
                n_ended += 1
            else:
                raise what if isinstance(what, Exception) else Interrupted(*what)
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
        for process in processes:
            if process.pid is not None:
                process.join()


def _process(work: Callable[..., None], given: Any, part: list[Any], told: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(given, part, lambda what: told.put(("told", what)))
    except Interrupted as error:
        # an error with two arguments cannot travel as it is
        told.put(("failed", (str(error), error.exit_code - 128)))
    except CellwrightError as error:
        told.put(("failed", error))
    except Exception as error:  # noqa: BLE001  whatever it is, the first process has to hear of it
        text = "".join(traceback.format_exception(error))
        told.put(("failed", RuntimeError(f"{type(error).__name__}: {error}\n{text}")))
    else:
        told.put(("ended", None))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a process that was spawned"
    connection.wait([parent.sentinel])
    os._exit(1)  # as if it had been killed as well: a run continues from its last checkpoint


def _refuse_dead(processes: Sequence[Any]) -> None:
    for process in processes:
        if process.exitcode not in (None, 0):
            raise RunError(
                f"a process of the study ended by itself (code {process.exitcode}), perhaps for want of memory. Run "
                "the same command again to continue, with fewer workers."
            )
