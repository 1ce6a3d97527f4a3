"""What escnn keeps because it takes long to make. The oldest goes where it grows too large; none of it is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from escnn.errors import DatasetError, OutputError
from escnn.files import atomic_path
from escnn.names import expanded

KINDS = {
    "features": "log-mels of data sets",
    "hashes": "hashes of clips, to know them again",
    "graphs": "models for ONNX Runtime",
}
LARGEST = 10 * 10**9  # bytes of all that is kept; what is in use stays, however large
HELPS = "set ESCNN_CACHE to a folder that can be written"

_OURS = re.compile(r"\.?[0-9a-f]{32}\b.*")  # files in use, and halves of some that a killed process left


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of file in the cache."""

    kind: str
    files: int
    size: int  # bytes


def cache_folder() -> Path:
    """Where data sets and cached files live: ``$ESCNN_CACHE``, else the platform's cache folder for escnn.

    Raises:
        OutputError: there is neither that variable nor a home.
    """
    override = os.environ.get("ESCNN_CACHE")
    if override:
        return expanded(override)
    import platformdirs

    with suppress(RuntimeError):  # a user without a name and HOME
        folder = platformdirs.user_cache_path("escnn")
        if folder.is_absolute():  # not a folder called ~
            return folder
    raise OutputError("there is no home folder to keep a cache in", hint=HELPS)


def default_data_folder() -> Path:
    """Where `escnn download` puts ESC-50 and the others look for it: ``$ESCNN_DATA``, else a folder in the cache."""
    override = os.environ.get("ESCNN_DATA")
    if override:
        return expanded(override)
    try:
        return cache_folder() / "ESC-50"
    except OutputError as error:
        raise DatasetError(
            "there is no home folder to look for ESC-50 in", hint=f"name its folder with --data, or {HELPS}"
        ) from error


def find(kind: str, name: str) -> Path | None:
    """The cached file `name` if it is there and can be read: it is in use from now on."""
    with suppress(OSError, OutputError):
        path = cache_folder() / kind / name
        with path.open("rb"):
            pass
        with suppress(OSError):  # somebody else's
            os.utime(path)
        return path
    return None


def keep(kind: str, name: str, write: Callable[[Path], object]) -> Path:
    """Write the file `name` into the cache with `write(path)`, and let go of those that were not used for longest.

    Args:
        kind: one of `KINDS`.
        name: 32 hexadecimal digits, which stand for everything that decides the content, and an extension.
        write: writes to the path that it is given.

    Raises:
        OutputError: it cannot be kept there.
    """
    try:
        path = cache_folder() / kind / name
        with atomic_path(path) as part:
            write(part)
    except OutputError as error:
        raise OutputError(error.message, hint=HELPS) from error
    _let_go(path)
    return path


def cached_file(kind: str, name: str, make: Callable[[], bytes]) -> Path | bytes:
    """A file in the cache, made if it is not there; where it cannot be kept, only its content."""
    if found := find(kind, name):
        return found
    content = make()
    try:
        return keep(kind, name, lambda part: part.write_bytes(content))
    except OutputError:
        return content


def contents() -> list[Kept]:
    """How much there is of each kind."""
    sizes = {kind: [size for _, size, path in _files() if path.parent.name == kind] for kind in KINDS}
    return [Kept(kind, len(found), sum(found)) for kind, found in sizes.items()]


def clear() -> Kept:
    """Remove all that can be made again; data sets stay. Gives what was removed."""
    removed = [size for _, size, path in _files() if _remove(path)]
    return Kept("", len(removed), sum(removed))


def _let_go(in_use: Path) -> None:
    found = sorted(_files())
    total = sum(size for _, size, _ in found)
    for _, size, path in found:
        if total > LARGEST and path != in_use and _remove(path):
            total -= size


def _files() -> Iterator[tuple[float, int, Path]]:
    """Every file of ours: when it was last used, its size in bytes, and its path."""
    for path in (path for kind in KINDS for path in _listed(cache_folder() / kind)):
        with suppress(OSError):  # gone meanwhile
            if _OURS.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                status = path.stat()
                yield status.st_mtime, status.st_size, path


def _listed(folder: Path) -> list[Path]:
    with suppress(OSError):  # not there, or not for us
        return list(folder.iterdir())
    return []


def _remove(path: Path) -> bool:
    """Whether it could be removed: it may be somebody else's, or, on Windows, in use."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
