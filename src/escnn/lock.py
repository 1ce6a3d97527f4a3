"""A lock that keeps two processes from writing the same data set, on network file systems, too."""

from __future__ import annotations

import glob
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
    _remove_what_the_dead_left(lock)
    ours = Path(tempfile.mkdtemp(prefix=f"{lock.name}.{owner}.", dir=folder.parent))
    try:
        (ours / owner).touch()
        _rename(ours, lock, folder)
    finally:
        shutil.rmtree(ours, ignore_errors=True)  # gone by now, unless it could not become the lock
    try:
        yield
    finally:
        (lock / owner).unlink(missing_ok=True)
        with suppress(OSError):
            lock.rmdir()  # unless the next owner has moved in already


def _rename(ours: Path, lock: Path, folder: Path) -> None:
    try:
        ours.rename(lock)
    except OSError as error:
        who = ", ".join(_owners(lock)) or "unknown"
        hint = f"wait for it; if no such process is left, remove {lock}"
        raise DatasetError(f"{folder}: another process is downloading it ({who})", hint=hint) from error


def _remove_what_the_dead_left(lock: Path) -> None:
    for owner in _owners(lock):
        if not _may_be_alive(owner):
            (lock / owner).unlink(missing_ok=True)
    for ours in lock.parent.glob(f"{glob.escape(lock.name)}.*@*.*"):  # of processes that died before their rename
        if not _may_be_alive(ours.name.removeprefix(f"{lock.name}.").rpartition(".")[0]):
            shutil.rmtree(ours, ignore_errors=True)


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
