"""A command for every event: no shell, the event as JSON on its stdin, a few at once, and none for ever."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from escnn.errors import UsageError

MOST_AT_ONCE = 4
LONGEST_SECONDS = 30.0  # that a command may take; then it is ended


def split_command(text: str) -> list[str]:
    """A command line as a shell would cut it, without a shell: no variables, no pipes.

    Raises:
        UsageError: a quote is not closed, it is empty, or there is no such program.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--exec {text!r:.60}: {error}", hint="close the quotes") from error
    if not words:
        raise UsageError("--exec: is empty", hint="give a program and its arguments")
    if shutil.which(words[0]) is None:
        raise UsageError(
            f"--exec: there is no program {words[0]!r:.60}",
            hint="it is started without a shell; for one, give `sh -c '...'`",
        )
    return words


class CommandRunner:
    """Runs the same command for one event after the other."""

    def __init__(
        self, command: Sequence[str], *, at_once: int = MOST_AT_ONCE, longest_seconds: float = LONGEST_SECONDS
    ) -> None:
        self._command, self._at_once, self._longest = list(command), at_once, longest_seconds
        self._lock = threading.Lock()
        self._running: set[threading.Thread] = set()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._is_over = False
        self.started = self.dropped = self.failed = self.ended = 0  # commands; `ended`: as they took too long

    def run(self, document: Mapping[str, Any]) -> bool:
        """Start it with an event on its stdin, unless as many as may run do: then it is left out, and counted."""
        with self._lock:
            if len(self._running) >= self._at_once:
                self.dropped += 1
                return False
            self.started += 1
            thread = threading.Thread(target=self._work, args=(f"{json.dumps(document)}\n".encode(),), daemon=True)
            self._running.add(thread)
        thread.start()
        return True

    def close(self, seconds: float = 5.0) -> None:
        """Wait for those that run, not longer than so many `seconds`, and end what still does."""
        with self._lock:
            running = list(self._running)
        until = time.monotonic() + seconds
        for thread in running:
            thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            left, self._is_over = list(self._processes), True
        for process in left:
            _end(process)
        for thread in running:
            thread.join(1.0)

    def _work(self, line: bytes) -> None:
        try:
            self._call(line)
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())

    def _call(self, line: bytes) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, words and no shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # ours is for results
                start_new_session=True,  # what it starts ends with it; Ctrl-C is not meant for it
            )
        except OSError:
            with self._lock:
                self.failed += 1
            return
        with self._lock:
            self._processes.add(process)
        try:
            process.communicate(line, timeout=self._longest)
        except subprocess.TimeoutExpired:
            _end(process)
            with self._lock:
                self.ended += 1
            return
        finally:
            with self._lock:
                self._processes.discard(process)
        if process.returncode:
            with self._lock:
                if self._is_over:
                    self.ended += 1
                else:
                    self.failed += 1


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and what it has started."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
