"""A lock that keeps two processes from writing the same data set, on network file systems, too."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from escnn.errors import DatasetError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other downloads away from `folder`. `DatasetError` if one of them was first.

    The lock is a folder that holds a file named after its owner. It is taken by renaming it into place, which fails if
    an owner is in there already and is one step on network file systems too, where flock may do nothing. The file of an
    owner who died is removed by its name, so two who take over from the dead cannot remove each other's.
    """
    lock = folder.with_name(f".{folder.name}.lock")
    owner = f"{os.getpid()}@{socket.gethostname()}"
    ours = Path(tempfile.mkdtemp(prefix=f"{lock.name}.", dir=folder.parent))
    (ours / owner).touch()
    for other in _owners(lock):
        if not _may_be_alive(other):
            (lock / other).unlink(missing_ok=True)
    try:
        ours.rename(lock)
    except OSError as error:
        shutil.rmtree(ours, ignore_errors=True)
        who = ", ".join(_owners(lock)) or "unknown"
        hint = f"wait for it; if no such process is left, remove {lock}"
        raise DatasetError(f"{folder}: another process is downloading it ({who})", hint=hint) from error
    try:
        yield
    finally:
        (lock / owner).unlink(missing_ok=True)
        with suppress(OSError):
            lock.rmdir()  # unless the next owner has moved in already


def _owners(lock: Path) -> list[str]:
    try:
        return [entry.name for entry in lock.iterdir()]
    except OSError:  # it has just gone, or is another user's
        return []


def _may_be_alive(owner: str) -> bool:
    """Whether a lock's owner may still run. Only a process of this machine can be known to be dead."""
    process, _, machine = owner.partition("@")
    if machine == socket.gethostname() and process.isdecimal() and os.name == "posix":
        try:
            os.kill(int(process), 0)  # asks only; on Windows this would be Ctrl-C
        except ProcessLookupError:
            return False
        except OSError:
            pass  # somebody else's
    return True
