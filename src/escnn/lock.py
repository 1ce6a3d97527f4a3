"""One process at a time in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from escnn.errors import EscnnError


@contextmanager
def locked(file: Path, busy: EscnnError) -> Iterator[None]:
    """Hold the lock `file`, beside or in what it guards, while the block runs.

    The operating system holds it for this process: a process that dies, however it dies, holds it no more. On a file
    system that knows no locks the block runs without one.

    Raises:
        EscnnError: `busy`, if another process or thread holds it.
    """
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise busy from None
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # on Windows nobody removes what is held; it stays, empty
                file.unlink()
        lock.release()
