"""Files that appear whole or not at all, hashes, and the folders that escnn keeps."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

from escnn.errors import OutputError


def cache_folder() -> Path:
    """Where data sets and feature caches live: ``$ESCNN_CACHE``, else the platform's cache folder for escnn."""
    override = os.environ.get("ESCNN_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("escnn")


def default_data_folder() -> Path:
    """Where `escnn download` puts ESC-50 and the others look for it: ``$ESCNN_DATA``, else a folder in the cache."""
    override = os.environ.get("ESCNN_DATA")
    return Path(override) if override else cache_folder() / "ESC-50"


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write to; when the block ends well, it takes the place of `target` in one step.

    When the block raises, `target` is as it was before and nothing is left beside it. A disk that is full or a folder
    that may not be written becomes an `OutputError`.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")  # first, so that a signal cannot orphan it
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        with suppress(OSError):
            part.unlink()


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


def output_folder(path: Path, *, force: bool) -> Path:
    """Make the folder `path` for results; one that holds something already is refused unless `force`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
    except OSError as error:
        raise output_error(path, error) from error
    if occupied and not force:
        raise OutputError(f"{path}: the folder is not empty", hint="choose another with --out, or add --force")
    return path


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


def output_error(path: Path, error: OSError) -> OutputError:
    """The operating system's refusal to write `path`, said in one line."""
    return OutputError(f"{path}: cannot be written ({error.strerror or error})", hint="is there space and permission?")
