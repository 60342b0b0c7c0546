"""Prefetch: the next piece is read by a thread while the caller works on this one."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

T = TypeVar("T")
_END = object()


def prefetched(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """The same items in the same order, at most `depth` of them made ahead. An error is raised where its item stood.

    When the consumer stops early, the thread ends with the item that it is at.
    """
    iterator = iter(items)
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cellwright-prefetch")
    try:
        ahead = deque(thread.submit(next, iterator, _END) for _ in range(depth))
        while (item := ahead.popleft().result()) is not _END:
            ahead.append(thread.submit(next, iterator, _END))
            yield cast(T, item)
    finally:
        thread.shutdown(cancel_futures=True)
