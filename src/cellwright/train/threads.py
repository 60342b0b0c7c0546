"""Threads: as many as a minibatch feeds, so that small work does not wake every core of a large machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

ENTRIES_PER_THREAD = 2**17  # cells x features of a minibatch; 128 x 2,000 feed two threads


@contextmanager
def enough_threads(n_entries: int) -> Iterator[int]:
    """Inside, torch and the kernels use at most one thread per `ENTRIES_PER_THREAD`, and never more than before."""
    before = torch.get_num_threads()
    n_threads = min(before, max(1, n_entries // ENTRIES_PER_THREAD))
    torch.set_num_threads(n_threads)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(before)
