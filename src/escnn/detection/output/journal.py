"""The file that detections are written into as they are found, and from which a stopped command goes on.

It holds JSON Lines, events and ends of recordings. Beside it, hidden, lies a note of where the detection was a moment
ago: to go on, what was written later is cut off and found again, so that the lines are those of a run that was never
stopped.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from escnn.detection.detector import Place
from escnn.detection.output.formats import EVENT, RECORDING, DetectionSettings
from escnn.errors import OutputError, UsageError
from escnn.files import appended_lines, beside, claimed, exclusive, output_error, remove_parts, write_json

NOTE_EVERY_SECONDS = 5.0
_WHAT_RESUMES = "--resume goes on with what `escnn detect --out` wrote; name another file"
_FIRST_BYTES = (f'{{"schema": "{EVENT}'.encode(), f'{{"schema": "{RECORDING}'.encode())


@dataclass(frozen=True, slots=True)
class Before:
    """What a journal held: the names of the recordings that were ended, and where to go on."""

    names: tuple[str, ...] = ()
    failures: int = 0
    place: Place | None = None


class _Note(msgspec.Struct, frozen=True):
    """Where a detection was when the journal had so many `bytes`."""

    bytes: Annotated[int, msgspec.Meta(ge=0)]
    place: Place
    settings: dict[str, Any]


class Journal:
    """An open journal."""

    def __init__(self, path: Path, settings: DetectionSettings, before: Before) -> None:
        self.before = before
        self._path, self._settings = path, settings
        self._note, self._noted = note_of(path), time.monotonic()
        self._size = path.stat().st_size if path.exists() else 0
        self._append: Callable[[str], None] = lambda _: None

    @contextmanager
    def opened(self) -> Iterator[Journal]:
        """While the block runs, it can be written. If it ends well, the note is removed."""
        with appended_lines(self._path) as self._append:
            yield self
        with suppress(OSError):
            self._note.unlink()

    def lines(self) -> list[dict[str, Any]]:
        """What it holds."""
        return [json.loads(line) for line in self._path.read_bytes().splitlines()] if self._path.exists() else []

    def write(self, document: dict[str, Any]) -> None:
        """Add a line, out of this process's hands when it returns."""
        line = json.dumps(document)
        self._append(line)
        self._size += len(line) + 1

    def note(self, where: Callable[[], Place], events: int) -> None:
        """Note where the detection is, if some time has passed since that was done, and how many events of the
        recording were told.
        """
        if time.monotonic() - self._noted >= NOTE_EVERY_SECONDS:
            self._noted = time.monotonic()
            place = msgspec.structs.replace(where(), events=events)
            note = _Note(self._size, place, msgspec.to_builtins(self._settings))
            write_json(self._note, msgspec.to_builtins(note))


def note_of(path: Path) -> Path:
    """The hidden note beside a journal."""
    return beside(path.resolve(), "place")


@contextmanager
def journal(path: Path, settings: DetectionSettings, *, resume: bool) -> Iterator[Journal]:
    """Give the journal at `path`, which nobody else may write while the block runs; with `resume` it goes on.

    Raises:
        OutputError: it cannot be read or written, is no journal, or another process is writing it.
        UsageError: it was begun with another model or other settings.
    """
    path = path.resolve()
    with claimed(path) as alone:
        if alone:
            remove_parts(note_of(path))
        before = _reopen(path, settings) if resume and path.exists() else Before()
        if not resume or not path.exists():
            for old in (path, note_of(path)):
                with suppress(FileNotFoundError):
                    _refused(old, old.unlink)
        with Journal(path, settings, before).opened() as opened:
            yield opened


def check_idle(path: Path, out: Path) -> None:
    """Raise `OutputError` while another process writes the journal at `path`, which is that of the results `out`."""
    busy = OutputError(f"{out}: being written by another escnn", hint="wait for it, or choose another name")
    if (lock := beside(path.resolve(), "lock")).exists():
        with exclusive(lock, busy):
            pass


def holds_detection(path: Path) -> bool:
    """Whether a journal was begun at `path`: it has a line of ours, or a note beside it."""
    try:
        with path.open("rb") as file:
            begins = file.read(max(map(len, _FIRST_BYTES)))
    except OSError:
        return False
    return note_of(path).is_file() or any(begins.startswith(first) for first in _FIRST_BYTES)


@contextmanager
def kept(path: Path, *, resumable: bool) -> Iterator[None]:
    """Where results cannot be written while the block runs, say that the journal at `path` keeps what was found."""
    try:
        yield
    except OutputError as error:
        kept = f"What was found until then is in {path}{', and --resume goes on with it' if resumable else ''}"
        raise OutputError(error.message, hint=f"{error.hint} {kept}" if error.hint else kept) from error


def _refused(path: Path, action: Any) -> Any:
    try:
        return action()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise output_error(path, error) from error


def _reopen(path: Path, settings: DetectionSettings) -> Before:
    content: bytes = _refused(path, path.read_bytes)
    *lines, torn = content.split(b"\n")
    ends: list[int] = [0]
    names: list[str] = []
    failed: list[bool] = []
    size = 0
    for number, line in enumerate(lines, start=1):
        size += len(line) + 1
        document = _line(line, f"{path}, line {number}")
        if document["schema"] != RECORDING:
            continue
        if begun := _difference(document["settings"], settings):
            raise UsageError(f"{path}: begun {begun}", hint="go on in the same way, or write into another file")
        ends.append(size)
        names.append(document["path"])
        failed.append(document["status"] == "error")
    if torn and not any(torn[: len(first)] == first[: len(torn)] for first in _FIRST_BYTES):
        raise OutputError(f"{path}, line {len(lines) + 1}: no detection", hint=_WHAT_RESUMES)
    place, kept = _noted(path, settings, ends, size) or (None, ends[-1])
    _refused(path, lambda: os.truncate(path, kept))
    count = len(names) if place is None else place.number
    return Before(tuple(names[:count]), sum(failed[:count]), place)


def _noted(path: Path, settings: DetectionSettings, ends: list[int], size: int) -> tuple[Place, int] | None:
    """Where the note beside a journal says that the detection was, and how long the journal was then."""
    try:
        note = msgspec.json.decode(note_of(path).read_bytes(), type=_Note)
    except (OSError, ValueError, RecursionError):
        return None
    place, kept = note.place, note.bytes
    same = not _difference(note.settings, settings)
    fits = same and 0 <= place.number < len(ends) and ends[place.number] <= kept <= size
    return (place, kept) if fits and (place.number + 1 == len(ends) or kept < ends[place.number + 1]) else None


def _difference(then: Any, now: DetectionSettings) -> str | None:
    """How something was made in another way."""
    current: dict[str, Any] = msgspec.to_builtins(now)
    if not isinstance(then, dict) or then.get("weights_sha256") != current["weights_sha256"]:
        return "with another model"
    for name, value in current.items():
        if then.get(name) != value:
            return f"with {name} {json.dumps(then.get(name)):.60}, not {json.dumps(value):.60}"
    return None


def _line(line: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
        known = document["schema"] == EVENT or (document["schema"] == RECORDING and "settings" in document)
        if known and isinstance(document["path"], str):
            return dict(document)
    except (ValueError, RecursionError, KeyError, TypeError):
        pass
    raise OutputError(f"{where}: no detection", hint=_WHAT_RESUMES)
