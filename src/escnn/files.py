"""Files that appear whole or not at all, outputs that are claimed before work starts, hashes, and locks."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from escnn.errors import EscnnError, OutputError, reason


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write to; when the block ends well, it takes the place of `target` in one step.

    When the block raises, `target` is as it was before and nothing is left beside it. A disk that is full or a folder
    that may not be written becomes an `OutputError`, and so does any other `OSError` of the block.
    """
    with writing(target):
        if target.exists() and not target.is_file() and not target.is_dir():
            raise OutputError(f"{target}: is a pipe or a device, whose place no file takes", hint="name a file")
    with writing(target), _part_beside(target) as part:
        mode = part.stat().st_mode
        yield part
        part.chmod(mode)  # some libraries write private files, whatever the umask
        _replace(part, target)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Name `target` in what the operating system refuses."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise output_error(target, error) from error


@contextmanager
def _part_beside(target: Path) -> Iterator[Path]:
    """A new file beside `target`, gone when the block ends. Who may not read the old file may not read it either."""
    # A name first, so that a signal cannot orphan the file.
    part = _beside(target, f"{_mark(target)}.{secrets.token_hex(4)}", "part")
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            part.touch(0o600 if target.exists() else 0o666, exist_ok=False)
        yield part
    finally:
        with suppress(OSError):
            part.unlink()


def _beside(target: Path, mark: str, kind: str) -> Path:
    """A hidden name beside `target`: not all of a long name, which has no room for more."""
    return target.with_name(f".{target.name[:40]}.{mark}.{kind}")


def beside(target: Path, kind: str) -> Path:
    """The hidden name of what belongs to `target`, such as its lock: the same each time, and of no other file."""
    return _beside(target, _mark(target), kind)


def _mark(target: Path) -> str:
    """What tells the hidden names of files apart whose names begin alike."""
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]


def remove_parts(target: Path) -> None:
    """Remove what writers of `target` have left that were killed: only where no other writer can be."""
    like = re.compile(re.escape(_beside(target, _mark(target), "").name) + "[0-9a-f]{8}[.]part", re.DOTALL)
    with suppress(OSError):  # a folder that may be written, not listed
        for file in [file for file in target.parent.iterdir() if like.fullmatch(file.name)]:
            with suppress(OSError):
                file.unlink()


def _replace(part: Path, target: Path) -> None:
    """Give `part` the place of `target`, and its permissions if it is there."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    with suppress(FileNotFoundError):
        shutil.copymode(target, part)
    part.replace(target)


def check_output_file(target: Path, *, force: bool = False) -> None:
    """Refuse what `output_file` would refuse, and touch nothing: to be asked before work begins.

    Raises:
        OutputError: `target` is a folder, cannot be written, or is there already and `force` is not given.
    """
    with writing(target):
        with suppress(FileNotFoundError):
            target.stat()  # refused: a name that is too long, or none at all; a link that leads to itself
        if target.is_dir():
            raise OutputError(f"{target}: is a folder", hint="give the name of a file, such as results.jsonl")
        if target.is_file() and not force:
            raise OutputError(f"{target}: exists already", hint="choose another name, or add --force")
        if target.is_file() or not target.exists():
            _check_place(target.resolve().parent)


def _check_place(folder: Path) -> None:
    """Raise what making or filling `folder` would raise, as far as that is known before."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def output_file(target: Path, *, force: bool = False) -> Iterator[Results]:
    """Open `target` for results that take long to come: claimed when the block begins, there when it has ended well.

    A link is followed. What is no regular file, such as a pipe or a device, is written into as it is. While the block
    runs nobody else may claim the same name; what has appeared there meanwhile is not replaced unless `force`.

    Raises:
        OutputError: it is a folder, is there already, is being written by another process, or cannot be written. If a
            file appeared meanwhile, the message names the file that holds the results instead.
    """
    check_output_file(target, force=force)
    if target.exists() and not target.is_file():
        with writing(target):
            stream = target.open("w", encoding="utf-8")
        with _closed(stream, target):
            yield Results(stream, target)
        return
    target = target.resolve()
    with ExitStack() as stack:
        if stack.enter_context(claimed(target)):
            remove_parts(target)
        part = stack.enter_context(_part_beside(target))
        stream = part.open("w", encoding="utf-8")
        with _closed(stream, target):
            yield Results(stream, target)
        with writing(target):
            if force:
                _replace(part, target)
            elif not _claim(part, target):
                numbered = (target.with_stem(f"{target.stem[:60]}-{number}") for number in itertools.count(2))
                kept = next(name for name in numbered if _claim(part, name))
                hint = f"the results are in {kept}"
                raise OutputError(f"{target}: appeared meanwhile and was not replaced", hint=hint)


class Results:
    """A stream for `print`: what the system refuses is an `OutputError`, and whatever else goes wrong is not."""

    def __init__(self, stream: IO[str], target: Path) -> None:
        self._stream, self._target = stream, target

    def write(self, text: str) -> int:
        """Write `text`."""
        with writing(self._target):
            return self._stream.write(text)


@contextmanager
def _closed(stream: IO[str], target: Path) -> Iterator[None]:
    """Close `stream` when the block ends; what was not yet written may not fit."""
    try:
        yield
    finally:
        with writing(target):
            stream.close()


@contextmanager
def claimed(target: Path) -> Iterator[bool]:
    """Keep other processes from writing the same file while the block runs; gives whether that can be done here."""
    busy = OutputError(f"{target}: another process is writing it", hint="wait for it, or choose another name")
    target = target.resolve()
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(beside(target, "lock"), busy) as alone:
        yield alone


def _claim(part: Path, target: Path) -> bool:
    """Give `part` the name `target` unless something has it: whether nothing had."""
    try:
        try:
            os.link(part, target)
        except FileExistsError:
            return False
        except OSError:  # a disk without links: an empty file of ours takes the name, which is as exclusive
            target.touch(exist_ok=False)
            part.replace(target)
    except FileExistsError:
        return False
    return True


@contextmanager
def exclusive(file: Path, busy: EscnnError) -> Iterator[bool]:
    """Hold the lock `file` while the block runs; raises `busy` if another process holds it.

    Gives False on a file system without locks: there nobody holds it. The lock is the operating system's: a process
    that dies, however it dies, holds it no more.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise busy from None
    except (OSError, NotImplementedError):  # a file system without locks: go on without one
        pass
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows keeps what is held: the file stays, empty
                file.unlink()
            lock.release()


def write_bytes(target: Path, data: bytes | memoryview) -> None:
    """Write `data` to `target`, whole or not at all."""
    with atomic_path(target) as part:
        part.write_bytes(data)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 to `target`, whole or not at all; bytes of names that are not UTF-8 are escaped."""
    write_bytes(target, text.encode("utf-8", "backslashreplace"))


def write_json(target: Path, document: Any) -> None:
    """Write `document` as indented JSON to `target`, whole or not at all."""
    write_text(target, json.dumps(document, indent=2) + "\n")


@contextmanager
def appended_lines(target: Path) -> Iterator[Callable[[str], None]]:
    """Give a function that adds a line to the end of `target`, out of this process's hands when it returns."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("ab", buffering=0)
    with file:

        def append(line: str) -> None:
            rest = f"{line}\n".encode()
            with writing(target):
                while rest:
                    rest = rest[file.write(rest) :]

        yield append


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_output_folder(path: Path, *, force: bool | None, option: str = "--out") -> None:
    """Refuse what `output_folder` would refuse, and touch nothing: to be asked before work begins.

    Args:
        path: the folder.
        force: whether it may hold something; None where nobody can say so.
        option: that names the folder.

    Raises:
        OutputError: `path` is no folder, cannot be written, or holds something already and `force` is not given.
    """
    with writing(path):
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path}: not a folder", hint=f"choose another with {option}")
        if path.is_dir() and any(path.iterdir()) and not force:
            more = "" if force is None else ", or add --force"
            raise OutputError(f"{path}: the folder is not empty", hint=f"choose another with {option}{more}")
        _check_place(path)


def output_folder(path: Path, *, force: bool | None) -> Path:
    """Make the folder `path` for results; one that holds something already is refused unless `force`."""
    check_output_folder(path, force=force)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def output_error(path: Path, error: OSError | ValueError) -> OutputError:
    """The operating system's refusal to write `path`, said in one line."""
    return OutputError(f"{path}: cannot be written ({reason(error)})", hint="is there space and permission?")
