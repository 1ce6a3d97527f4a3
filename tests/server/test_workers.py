"""A process that dies, hangs or takes too much costs one question."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from server import processes

from escnn.server.workers.process import Pool, ProcessDiedError, TookTooLongError, WorkerProcess


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    one = WorkerProcess(processes.obey, "hello from")
    yield one
    one.stop()


def test_it_answers_again_and_again_from_one_process(worker: WorkerProcess) -> None:
    first, second = worker.ask(b"who?", 30), worker.ask(b"who?", 30)
    assert first == second
    assert first.startswith(b"hello from ")
    assert int(first.split()[-1]) != os.getpid()


def test_one_that_crashes_is_replaced(worker: WorkerProcess) -> None:
    before = worker.ask(b"who?", 30)
    with pytest.raises(ProcessDiedError):
        worker.ask(b"crash", 30)
    assert worker.ask(b"who?", 30) != before


def test_one_that_was_killed_while_idle_is_replaced(worker: WorkerProcess) -> None:
    before = worker.ask(b"who?", 30)
    os.kill(int(before.split()[-1]), signal.SIGKILL)
    time.sleep(0.2)
    assert worker.ask(b"who?", 30) != before


def test_one_that_takes_too_long_is_stopped_and_replaced(worker: WorkerProcess) -> None:
    before = worker.ask(b"who?", 30)
    started = time.perf_counter()
    with pytest.raises(TookTooLongError):
        worker.ask(b"sleep", 0.3)
    assert time.perf_counter() - started < 5
    assert worker.ask(b"who?", 30) != before


def test_a_decoder_may_not_take_more_memory_than_its_limit() -> None:
    worker = WorkerProcess(processes.take_memory)
    try:
        assert worker.ask(b"100", 30) == b"taken"
        assert worker.ask(b"4000", 30) == b"large.wav: takes more memory than one sound may"
        assert worker.ask(b"100", 30) == b"taken"
    finally:
        worker.stop()


def test_a_pool_works_on_as_many_questions_as_it_has_processes() -> None:
    pool = Pool(2, processes.obey, "from")

    async def asked() -> list[bytes]:
        return list(await asyncio.gather(*(pool.ask(b"who?", 30) for _ in range(20))))

    def in_a_loop_of_its_own(answer: Coroutine[Any, Any, Any]) -> Any:
        with ThreadPoolExecutor(1) as thread:  # the browser's loop may run in this one
            return thread.submit(asyncio.run, answer).result()

    try:
        pool.start()
        assert len(in_a_loop_of_its_own(asked())) == 20
        with pytest.raises(ProcessDiedError):
            in_a_loop_of_its_own(pool.ask(b"crash", 30))
        assert len(set(in_a_loop_of_its_own(asked()))) <= 2
    finally:
        pool.stop()
