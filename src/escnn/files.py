"""Files that appear whole or not at all, hashes, and the folders that escnn keeps."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from escnn.errors import EscnnError, OutputError, reason


def cache_folder() -> Path:
    """Where data sets and feature caches live: ``$ESCNN_CACHE``, else the platform's cache folder for escnn."""
    override = os.environ.get("ESCNN_CACHE")
    if override:
        return Path(override)
    import platformdirs

    return platformdirs.user_cache_path("escnn")


def default_data_folder() -> Path:
    """Where `escnn download` puts ESC-50 and the others look for it: ``$ESCNN_DATA``, else a folder in the cache."""
    override = os.environ.get("ESCNN_DATA")
    return Path(override) if override else cache_folder() / "ESC-50"


def cached_bytes(kind: str, key: str, make: Callable[[], bytes]) -> bytes:
    """The content of a cached file, made and kept if it is not there; where it cannot be kept, it is only made.

    Args:
        kind: the folder in the cache.
        key: the file's name, which stands for everything that decides its content.
        make: makes the content.
    """
    path = cache_folder() / kind / key
    with suppress(OSError):
        return path.read_bytes()
    content = make()
    with suppress(OutputError):  # a read-only or full disk
        write_bytes(path, content)
    return content


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write to; when the block ends well, it takes the place of `target` in one step.

    When the block raises, `target` is as it was before and nothing is left beside it. A disk that is full or a folder
    that may not be written becomes an `OutputError`.
    """
    with _part_beside(target) as part:
        yield part
        _flush(part)
        _replace(part, target)


@contextmanager
def _part_beside(target: Path) -> Iterator[Path]:
    """A new file beside `target`, gone when the block ends; an `OSError` in the block is one of writing `target`."""
    # A name first, so that a signal cannot orphan the file; not all of a long name, which has no room for more.
    part = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        yield part
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _flush(part: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())


def _replace(part: Path, target: Path) -> None:
    """Give `part` the place of `target`; who might not read the old file may not read the new one."""
    with suppress(FileNotFoundError):
        shutil.copymode(target, part)
    part.replace(target)


def check_output_file(target: Path, *, force: bool = False) -> None:
    """Refuse what `output_file` would refuse, and touch nothing: to be asked before work begins.

    Raises:
        OutputError: `target` is a folder, or a file is there already and `force` is not given.
    """
    try:
        if target.is_dir():
            raise OutputError(f"{target}: is a folder", hint="give the name of a file, such as results.jsonl")
        if target.is_file() and not force:
            raise OutputError(f"{target}: exists already", hint="choose another name, or add --force")
    except (OSError, ValueError) as error:  # a name that is too long, or no name at all
        raise output_error(target, error) from error


@contextmanager
def output_file(target: Path, *, force: bool = False) -> Iterator[IO[str]]:
    """Open `target` for results that take long to come: claimed when the block begins, there when it has ended well.

    A link is followed. What is no regular file, such as a pipe or a device, is written into as it is. While the block
    runs nobody else may claim the same name; what has appeared there meanwhile is not replaced unless `force`.

    Raises:
        OutputError: it is a folder, is there already, is being written by another process, or cannot be written. If a
            file appeared meanwhile, the message names the file that holds the results instead.
    """
    check_output_file(target, force=force)
    if target.exists() and not target.is_file():
        try:
            with target.open("w", encoding="utf-8") as stream:
                yield stream
        except OSError as error:
            raise output_error(target, error) from error
        return
    target = target.resolve()
    busy = OutputError(f"{target}: another process is writing it", hint="wait for it, or choose another name")
    with _part_beside(target) as part, exclusive(target.with_name(f".{target.name[:40]}.lock"), busy):
        with part.open("w", encoding="utf-8") as stream:
            yield stream
        _flush(part)
        if force:
            _replace(part, target)
        elif not _claim(part, target):
            numbered = (target.with_stem(f"{target.stem}-{number}") for number in itertools.count(2))
            kept = next(name for name in numbered if _claim(part, name))
            raise OutputError(f"{target}: appeared meanwhile and was not replaced", hint=f"the results are in {kept}")


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
def exclusive(file: Path, busy: EscnnError) -> Iterator[None]:
    """Hold the lock `file` while the block runs; raises `busy` if another process holds it.

    The lock is the operating system's: a process that dies, however it dies, holds it no more.
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
        yield
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
    """Write `text` as UTF-8 to `target`, whole or not at all."""
    write_bytes(target, text.encode("utf-8"))


def write_json(target: Path, document: Any) -> None:
    """Write `document` as indented JSON to `target`, whole or not at all."""
    write_text(target, json.dumps(document, indent=2) + "\n")


@contextmanager
def appended_lines(target: Path) -> Iterator[Callable[[str], None]]:
    """Give a function that adds a line to the end of `target`, out of this process's hands when it returns."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab") as file:

            def append(line: str) -> None:
                try:
                    file.write(f"{line}\n".encode())
                    file.flush()
                except OSError as error:
                    raise output_error(target, error) from error

            yield append
    except OSError as error:
        raise output_error(target, error) from error


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_output_folder(path: Path, *, force: bool) -> None:
    """Refuse what `output_folder` would refuse, and touch nothing: to be asked before work begins.

    Raises:
        OutputError: `path` is no folder, or holds something already and `force` is not given.
    """
    try:
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path}: not a folder", hint="choose another with --out")
        if path.is_dir() and any(path.iterdir()) and not force:
            raise OutputError(f"{path}: the folder is not empty", hint="choose another with --out, or add --force")
    except (OSError, ValueError) as error:
        raise output_error(path, error) from error


def output_folder(path: Path, *, force: bool) -> Path:
    """Make the folder `path` for results; one that holds something already is refused unless `force`."""
    check_output_folder(path, force=force)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    return path


def folder_name(wanted: str, taken: Container[str] = ()) -> str:
    """A name for a folder, as like `wanted` as a name can be that every disk takes and that leads nowhere else.

    Args:
        wanted: any text, such as the name of a sound.
        taken: names that are in use, casefolded and in Unicode's composed form (`same_name`): some disks see no
            difference in case or composition. A number is added to a name that is taken.
    """
    clean = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in wanted)
    clean = clean.encode("utf-8", "replace").decode("utf-8")[:60].strip(" .") or "sound"
    if clean.split(".")[0].upper() in _RESERVED:
        clean = f"_{clean}"
    numbered = (clean if number == 1 else f"{clean}-{number}" for number in itertools.count(1))
    return next(name for name in numbered if same_name(name) not in taken)


def same_name(name: str) -> str:
    """What two names have in common that a disk may take for one."""
    return unicodedata.normalize("NFC", name.casefold())


# Names of devices on Windows, whatever their extension.
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}


def claim_run_folder(parent: Path, stem: str) -> Path:
    """Make and return the first of ``parent/stem-1``, ``parent/stem-2``, ... that nobody has yet.

    The name is taken with a single `mkdir`, so two trainings started at once never share a folder.
    """
    number = 1
    while True:
        folder = parent / f"{stem}-{number}"
        try:
            folder.mkdir(parents=True, exist_ok=False)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise output_error(folder, error) from error
        else:
            return folder


def output_error(path: Path, error: OSError | ValueError) -> OutputError:
    """The operating system's refusal to write `path`, said in one line."""
    return OutputError(f"{path}: cannot be written ({reason(error)})", hint="is there space and permission?")
