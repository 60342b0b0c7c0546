"""Prefetching: the same items, made ahead, and a thread that goes."""

import threading
from collections.abc import Iterator

import pytest

from cellwright.data.prefetch import prefetched


def test_items_come_in_order_and_all():
    assert list(prefetched(iter(range(50)), depth=3)) == list(range(50))


def test_no_items_give_no_items():
    assert list(prefetched([])) == []


def test_an_error_is_raised_where_its_item_stood():
    def failing() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("broken")

    taken = []
    with pytest.raises(ValueError, match="broken"):
        taken.extend(prefetched(failing()))
    assert taken == [1, 2]


def test_the_next_item_is_made_while_the_consumer_works_on_this_one():
    second_made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second_made.set()
        yield 2

    pieces = prefetched(items())
    assert next(pieces) == 1
    assert second_made.wait(timeout=10)
    pieces.close()


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_depth_items_are_made_ahead(depth):
    made = []

    def items() -> Iterator[int]:
        for i in range(20):
            made.append(i)
            yield i

    for i in prefetched(items(), depth):
        assert len(made) <= i + 1 + depth


def test_the_thread_ends_when_the_consumer_stops_early():
    pieces = prefetched(iter(range(1000)))
    next(pieces)
    assert any(thread.name.startswith("cellwright-prefetch") for thread in threading.enumerate())
    pieces.close()
    assert not any(thread.name.startswith("cellwright-prefetch") for thread in threading.enumerate())
