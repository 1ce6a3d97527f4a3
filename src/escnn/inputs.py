"""What a user names on the command line, as sounds to read: files, folders, lists of names, stdin. No torch here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from escnn.audio import EXTENSIONS, SoundSource
from escnn.errors import UsageError

STDIN = "-"
LARGEST_STDIN = 1 << 30  # bytes


def gather(arguments: Sequence[str], files_from: str | None) -> list[str]:
    """The names given as arguments, then those in the list `files_from` (one a line, ``-`` reads the list from stdin).

    Raises:
        UsageError: there is none, the list cannot be read, or stdin is asked for twice.
    """
    names = [*arguments]
    if files_from is not None:
        names += _read_list(files_from)
    if [*arguments, files_from].count(STDIN) > 1:
        raise UsageError("stdin can be read only once", hint="`-` names one sound or, with --files-from, one list")
    if not names:
        raise UsageError("no sound given", hint="escnn predict clip.wav; a folder; or - for a sound on stdin")
    return names


def is_one_sound(names: Sequence[str]) -> bool:
    """Whether `names` stand for exactly one sound, known without looking into folders."""
    return len(names) == 1 and not Path(names[0]).is_dir()


def find_sounds(names: Sequence[str]) -> Iterator[tuple[SoundSource, str]]:
    """Every sound as (source, name): a folder stands for the sounds in it and below, sorted; ``-`` for stdin."""
    for name in names:
        path = Path(name)
        sounds = sorted(_sounds_below(path)) if name != STDIN and path.is_dir() else []
        if name == STDIN:
            yield _read_stdin(), STDIN
        elif sounds:
            yield from ((sound, str(sound)) for sound in sounds)
        else:
            yield path, name  # a file; or a folder without a sound, which opening it will say


def one_sound(name: str) -> tuple[SoundSource, str]:
    """One sound as (source, name): a file, or ``-`` for stdin."""
    return (_read_stdin(), STDIN) if name == STDIN else (Path(name), name)


def _sounds_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if Path(name).suffix.lower() in EXTENSIONS)


def _read_list(files_from: str) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if files_from == STDIN else Path(files_from).read_bytes()
    except OSError as error:
        raise UsageError(f"--files-from {files_from}: cannot be read ({error.strerror or error})") from error
    return [os.fsdecode(line) for line in data.splitlines() if line.strip()]


def _read_stdin() -> bytes:
    if sys.stdin.isatty():
        raise UsageError("`-` reads a sound from stdin, but stdin is a terminal", hint="cat clip.wav | escnn predict -")
    data = sys.stdin.buffer.read(LARGEST_STDIN + 1)
    if len(data) > LARGEST_STDIN:
        raise UsageError(f"the sound on stdin is larger than {LARGEST_STDIN >> 30} GiB", hint="give it as a file")
    return data
