"""The doors through which this process changes files, each a point at which it can be killed."""

from __future__ import annotations

import _pyio
import builtins
import io
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Python announces each to a hook, before it is done. What is written into an open file it does not announce.
CHANGES = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}
Point = Callable[[str, Callable[[], object]], object]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def count_writes(root: Path, notes: Path) -> None:
    """From now on, leave a line in `notes` for every point of this process below `root`: what it is, and where."""
    output = os.open(notes, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    write = os.write
    _watch(root, lambda what, _half: write(output, f"{what}\n".encode("utf-8", "backslashreplace")))


def kill_at(root: Path, place: int) -> None:
    """Have this process killed at its point number `place`, from 0: before a change of a name, amid a write."""
    numbers = itertools.count()

    def heed(_what: str, half: Callable[[], object]) -> None:
        if next(numbers) == place:
            half()
            os.kill(os.getpid(), signal.SIGKILL)

    _watch(root, heed)


def _watch(root: Path, point: Point) -> None:
    """Call ``point(what, half)`` at every point below `root`; `half` does half of what is about to be done."""
    names: dict[int, str] = {}  # of the files that are open, by descriptor
    real_open, real_os_open, real_write, real_fsync = io.open, os.open, os.write, os.fsync

    def heed(event: str, arguments: tuple[Any, ...]) -> None:
        changes = event in CHANGES or (event == "open" and arguments[2] & WRITING)
        if changes and (name := _below(root, arguments[0])):
            point(f"{event} {name}", _nothing)

    def open_watched(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return real_open(file, mode, *rest, **more)
        return _pyio.open(file, mode, *rest, **more)  # in Python, so that all that it writes comes by here

    def os_open(path: Any, *rest: Any, **more: Any) -> int:
        number = real_os_open(path, *rest, **more)
        names[number] = _below(root, path)
        return number

    def write(number: int, data: Any) -> int:
        if name := names.get(number):
            view = memoryview(data).cast("B")
            point(f"write {name}", lambda: real_write(number, view[: len(view) // 2]))
        return real_write(number, data)

    def fsync(number: int) -> None:
        point("fsync", _nothing)
        real_fsync(number)

    os.open, os.write, os.fsync = os_open, write, fsync  # type: ignore[assignment]
    io.open = builtins.open = open_watched  # type: ignore[assignment]
    sys.addaudithook(heed)


def _below(root: Path, place: Any) -> str:
    """The path of `place` below `root`; "" if it is not there, or an open file's number."""
    path = "" if isinstance(place, int) else os.path.abspath(os.fsdecode(place))  # noqa: PTH100 - follows no links
    return path.removeprefix(f"{root}{os.sep}") if path.startswith(f"{root}{os.sep}") else ""


def _nothing() -> None:
    """A change of a name is done in one step."""
