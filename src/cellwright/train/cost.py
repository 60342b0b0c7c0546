"""Cost of a block of work: wall seconds, CPU seconds, and the peak of resident memory while it ran."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

SAMPLE_SECONDS = 0.05


@dataclass
class Cost:
    """Filled when the block ends. `peak_bytes` is of the whole process, libraries included."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure a block. A thread samples the memory: the system's own peak never falls from one run to the next."""
    cost, process, done = Cost(), psutil.Process(), threading.Event()

    def watch() -> None:
        while True:
            cost.peak_bytes = max(cost.peak_bytes, process.memory_info().rss)
            if done.wait(SAMPLE_SECONDS):
                return

    watcher = threading.Thread(target=watch, daemon=True, name="cellwright-memory")
    wall, cpu = time.perf_counter(), time.process_time()
    watcher.start()
    try:
        yield cost
    finally:
        done.set()
        watcher.join()
        cost.wall_seconds, cost.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
