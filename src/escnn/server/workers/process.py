"""A process that answers one question at a time, is started when it is first asked, and replaced when it fails."""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

START_SECONDS = 60.0
_READY = b"ready"
Serve = Callable[..., None]  # called in the process with its end of the connection, then the arguments


class ProcessDiedError(Exception):
    """It ended in the middle of a question."""


class TookTooLongError(Exception):
    """It was stopped in the middle of a question."""


class WorkerProcess:
    """A process of its own that runs ``serve(connection, *arguments)``: for every message it is sent, it sends one."""

    def __init__(self, serve: Serve, *arguments: Any) -> None:
        self._serve, self._arguments = serve, arguments
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._is_ready = False

    def start(self) -> Connection:
        """Start it, unless it runs."""
        if self._process is None or not self._process.is_alive() or self._connection is None:
            self.stop()
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=self._serve, args=(theirs, *self._arguments), daemon=True)
            self._process.start()
            self._is_ready = False
            theirs.close()  # so that its end is noticed
        return self._connection

    def ask(self, message: bytes, seconds: float) -> bytes:
        """Its answer to a message.

        Raises:
            ProcessDiedError: there is none, as it died; the next question starts another.
            TookTooLongError: there was none after so many `seconds`, and it was stopped.
        """
        connection = self.start()
        self._wait_until_ready(connection)
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            connection.send_bytes(message)
            return connection.recv_bytes()
        except (EOFError, OSError) as error:
            self.stop()
            raise (TookTooLongError if late.is_set() else ProcessDiedError) from error
        finally:
            timer.cancel()

    def _wait_until_ready(self, connection: Connection) -> None:
        """What it imports and loads counts for no question."""
        try:
            if not self._is_ready and (not connection.poll(START_SECONDS) or connection.recv_bytes() != _READY):
                raise EOFError
            self._is_ready = True
        except (EOFError, OSError) as error:
            self.stop()
            raise ProcessDiedError from error

    def stop(self) -> None:
        """End it at once."""
        self._kill()
        if self._process is not None:
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            with suppress(OSError, ValueError):
                process.kill()


class Pool:
    """Several such processes, each of which takes the next question."""

    def __init__(self, count: int, serve: Serve, *arguments: Any) -> None:
        self._workers = [WorkerProcess(serve, *arguments) for _ in range(count)]
        self._idle: queue.LifoQueue[WorkerProcess] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="worker")

    def start(self) -> None:
        """Start them all now."""
        for worker in self._workers:
            worker.start()

    async def ask(self, message: bytes, seconds: float) -> bytes:
        """The answer of one of them; errors as `WorkerProcess.ask` raises them. Who stops waiting asks in vain."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, message, seconds)

    def stop(self) -> None:
        """End them all."""
        for worker in self._workers:
            worker.stop()
        self._threads.shutdown(cancel_futures=True)

    def _ask(self, message: bytes, seconds: float) -> bytes:
        worker = self._idle.get()
        try:
            return worker.ask(message, seconds)
        finally:
            self._idle.put(worker)


def tell_ready(connection: Connection) -> None:
    """The process has what it needs, and waits for questions."""
    connection.send_bytes(_READY)


def leave_signals_to_the_server() -> None:
    """Ctrl-C reaches every process of a terminal: the server ends its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
