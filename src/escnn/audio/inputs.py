"""What a user names, as sounds to read: files, folders, lists of names, stdin."""

from __future__ import annotations

import codecs
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from escnn.audio.decoding import EXTENSIONS, Source
from escnn.audio.formats.signatures import LOOKED_AT, signature
from escnn.errors import UsageError, reason

STDIN = "-"
LARGEST_PIPE = 1 << 30  # bytes
OF_LIBSNDFILE = frozenset({"wav", "aiff", "caf", "flac", "ogg", "au", "mp3"})  # kinds that are read whatever their name
LINKED, HIDDEN, OTHER = "linked folders", "hidden files and folders", "files that are no sounds"


def collect_inputs(arguments: Sequence[str], files_from: str | None, stdin: BinaryIO) -> list[str]:
    """The names given as arguments, then those in the list `files_from` (one a line, ``-`` reads the list from stdin).

    Raises:
        UsageError: there is none, one is empty, the list cannot be read, or stdin is asked for twice.
    """
    names = [*arguments]
    if "" in names:
        raise UsageError("a sound has an empty name", hint="was a variable of the shell empty?")
    if files_from is not None:
        names += _read_list(files_from, stdin)
    if [*arguments, files_from].count(STDIN) > 1:
        raise UsageError("stdin can be read only once", hint="`-` names one sound or, with --files-from, one list")
    if not names:
        raise UsageError("no sound given", hint="escnn predict clip.wav; a folder; or - for a sound on stdin")
    return names


def is_one_sound(names: Sequence[str]) -> bool:
    """Whether `names` stand for exactly one sound, known without looking into folders."""
    return len(names) == 1 and not _is_folder(names[0])


def list_sounds(names: Sequence[str], left_out: Counter[str] | None = None) -> list[str | Path]:
    """Every sound that `names` stand for, none of them opened: names as they are, and paths of what folders hold.

    A folder stands for the sounds in it and below, sorted. One that cannot be read stands for itself, as does one
    without a sound: opening it will say why. `left_out` counts what else is passed over, by what it is: `LINKED`,
    `HIDDEN`, `OTHER`.
    """
    left_out = Counter() if left_out is None else left_out
    listed: list[str | Path] = []
    for name in names:
        sounds = sorted(_sounds_below(Path(name), left_out)) if name != STDIN and _is_folder(name) else []
        listed += sounds or [name]
    return listed


def opened(listed: Iterable[str | Path], stdin: BinaryIO) -> Iterator[tuple[Source, str]]:
    """What `list_sounds` gave as (source, name), one after the other; ``-`` for stdin."""
    for sound in listed:
        yield one_sound(sound, stdin) if isinstance(sound, str) else (sound, str(sound))


def find_sounds(
    names: Sequence[str], stdin: BinaryIO, left_out: Counter[str] | None = None
) -> Iterator[tuple[Source, str]]:
    """Every sound that `names` stand for as (source, name): `list_sounds`, then `opened`."""
    yield from opened(list_sounds(names, left_out), stdin)


def one_sound(name: str, stdin: BinaryIO) -> tuple[Source, str]:
    """One sound as (source, name): a file, ``-`` for stdin, or a pipe, such as the ``<(...)`` of a shell."""
    if name == STDIN:
        if stdin.isatty():
            raise UsageError(
                "`-` reads a sound from stdin, but that is a terminal", hint="cat clip.wav | escnn predict -"
            )
        return _read_pipe(stdin, "stdin"), STDIN
    path = Path(name)
    with suppress(OSError):  # opening the sound will say it
        if path.is_fifo():  # a pipe can be read only once, from its beginning: decoding has to go back and forth
            with path.open("rb") as pipe:
                return _read_pipe(pipe, name), name
    return path, name


def _is_folder(name: str) -> bool:
    with suppress(OSError):  # a name that is too long, or below a folder that cannot be read
        return Path(name).is_dir()
    return False


def _sounds_below(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        yield folder
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            # macOS leaves a `._clip.wav` beside a clip: no sound, and nothing that a person knows of.
            left_out[HIDDEN] += not entry.name.startswith("._") and (_is_named_as_sound(path) or _is_folder(str(path)))
        elif entry.is_dir(follow_symlinks=False):
            yield from _sounds_below(path, left_out)
        elif _is_folder(str(path)):
            left_out[LINKED] += 1
        elif _is_named_as_sound(path) or _begins_as_sound(path):
            yield path
        else:
            left_out[OTHER] += 1


def _is_named_as_sound(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS


def _begins_as_sound(path: Path) -> bool:
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                kind = signature(file.read(LOOKED_AT))
            return kind is not None and kind.demuxer in OF_LIBSNDFILE
    return False


def _read_list(files_from: str, stdin: BinaryIO) -> list[str]:
    try:
        data = stdin.read() if files_from == STDIN else Path(files_from).read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell's `>` writes it
            return [line for line in re.split(r"\r?\n", data.decode("utf-16")) if line.strip()]
    except (OSError, ValueError) as error:
        raise UsageError(f"--files-from {files_from}: cannot be read ({reason(error)})") from error
    return [os.fsdecode(line) for line in re.split(rb"\r?\n", data.removeprefix(codecs.BOM_UTF8)) if line.strip()]


def _read_pipe(pipe: BinaryIO, name: str) -> bytes:
    data = pipe.read(LARGEST_PIPE + 1)
    if len(data) > LARGEST_PIPE:
        raise UsageError(f"{name}: the sound in this pipe is larger than {LARGEST_PIPE >> 30} GiB", hint="give a file")
    return data
