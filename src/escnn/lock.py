"""One process at a time in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from escnn.errors import EscnnError


@contextmanager
def locked(file: Path, busy: EscnnError, *, marker: bool = False) -> Iterator[None]:
    """Hold the lock `file`, beside or in what it guards, while the block runs.

    Args:
        file: appears while it is held.
        busy: raised if another process or thread holds it.
        marker: whether the file itself is the lock, with its owner's name in it. That holds on network file systems,
            too, where the operating system's locks, taken without it, may do nothing. But who died on another machine
            (or in a container) is not known to be dead, and the file must be removed by hand.
    """
    lock = (SoftFileLock if marker else FileLock)(file)
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
