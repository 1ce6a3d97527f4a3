"""Items made ahead in a thread come as they would without one."""

import threading
import time
from collections.abc import Iterator

import pytest

from escnn.inference.read_ahead import read_ahead


def test_items_come_in_order_and_no_more_than_so_many_are_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    for number in read_ahead(items(), 4):
        time.sleep(0.001)
        assert made[-1] <= number + 4 + 2  # those that wait, one in the hand, one just made
    assert made == list(range(50))


def test_an_error_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    reader = read_ahead(items(), 4)
    assert next(reader) == 1
    with pytest.raises(KeyError, match="two"):
        next(reader)


def test_the_thread_stops_with_its_reader_and_closes_what_it_reads() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    before = threading.active_count()
    reader = read_ahead(items(), 2)
    assert next(reader) == 0
    reader.close()
    assert threading.active_count() == before
    assert closed.wait(5)
