"""What a user names, as sounds to read: files, folders, lists of names, stdin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from escnn.audio.decoding import EXTENSIONS, Source
from escnn.errors import UsageError

STDIN = "-"
LARGEST_PIPE = 1 << 30  # bytes


def collect_inputs(arguments: Sequence[str], files_from: str | None, stdin: BinaryIO) -> list[str]:
    """The names given as arguments, then those in the list `files_from` (one a line, ``-`` reads the list from stdin).

    Raises:
        UsageError: there is none, the list cannot be read, or stdin is asked for twice.
    """
    names = [*arguments]
    if files_from is not None:
        names += _read_list(files_from, stdin)
    if [*arguments, files_from].count(STDIN) > 1:
        raise UsageError("stdin can be read only once", hint="`-` names one sound or, with --files-from, one list")
    if not names:
        raise UsageError("no sound given", hint="escnn predict clip.wav; a folder; or - for a sound on stdin")
    return names


def is_one_sound(names: Sequence[str]) -> bool:
    """Whether `names` stand for exactly one sound, known without looking into folders."""
    return len(names) == 1 and not Path(names[0]).is_dir()


def find_sounds(names: Sequence[str], stdin: BinaryIO) -> Iterator[tuple[Source, str]]:
    """Every sound as (source, name): a folder stands for the sounds in it and below, sorted; ``-`` for stdin."""
    for name in names:
        path = Path(name)
        sounds = sorted(_sounds_below(path)) if name != STDIN and path.is_dir() else []
        if sounds:
            yield from ((sound, str(sound)) for sound in sounds)
        else:
            yield one_sound(name, stdin)  # a file; or a folder without a sound, which opening it will say


def one_sound(name: str, stdin: BinaryIO) -> tuple[Source, str]:
    """One sound as (source, name): a file, ``-`` for stdin, or a pipe, such as the ``<(...)`` of a shell."""
    if name == STDIN:
        if stdin.isatty():
            raise UsageError(
                "`-` reads a sound from stdin, but that is a terminal", hint="cat clip.wav | escnn predict -"
            )
        return _read_pipe(stdin, "stdin"), STDIN
    path = Path(name)
    if path.is_fifo():  # a pipe can be read only once, from its beginning: decoding has to go back and forth
        with path.open("rb") as pipe:
            return _read_pipe(pipe, name), name
    return path, name


def _sounds_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if Path(name).suffix.lower() in EXTENSIONS)


def _read_list(files_from: str, stdin: BinaryIO) -> list[str]:
    try:
        data = stdin.read() if files_from == STDIN else Path(files_from).read_bytes()
    except OSError as error:
        raise UsageError(f"--files-from {files_from}: cannot be read ({error.strerror or error})") from error
    return [os.fsdecode(line) for line in data.splitlines() if line.strip()]


def _read_pipe(pipe: BinaryIO, name: str) -> bytes:
    data = pipe.read(LARGEST_PIPE + 1)
    if len(data) > LARGEST_PIPE:
        raise UsageError(f"{name}: the sound in this pipe is larger than {LARGEST_PIPE >> 30} GiB", hint="give a file")
    return data
