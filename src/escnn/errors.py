"""The errors that escnn raises on purpose: each knows its exit code and, where there is one, the remedy."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from typing import Literal, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_REASON = 200  # characters
# What would end a line, or tell a terminal to do something: names and contents of files end up in messages.
CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


class EscnnError(Exception):
    """Something a person can mend. ``message`` says what and where, in one line, ``hint`` how to mend it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = message.translate(CONTROL_CHARACTERS)
        super().__init__(message)
        self.message = message
        self.hint = hint


class Terminated(KeyboardInterrupt):
    """A signal that ends what is under way as Ctrl-C does: SIGTERM, or SIGHUP when a terminal is closed."""

    def __init__(self, signal_number: int = 15) -> None:
        super().__init__()
        self.exit_code = 128 + signal_number


class UsageError(EscnnError):
    """Wrong arguments or settings."""

    exit_code = 2


ErrorCode = Literal[
    "missing", "folder", "unreadable", "empty", "not_audio", "damaged", "silent", "sample_rate", "channels", "too_long"
]


class AudioError(EscnnError):
    """A sound that cannot be read. ``code`` is the short reason, for programs, that `escnn predict` writes."""

    exit_code = 3

    def __init__(self, message: str, *, code: ErrorCode, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ModelError(EscnnError):
    """A model file or training state that is missing, damaged or of another format."""

    exit_code = 4


class DatasetError(EscnnError):
    """A data set that is missing or fails its verification."""

    exit_code = 5


class NetworkError(EscnnError):
    """A download that could not be made."""

    exit_code = 6


class OutputError(EscnnError):
    """A result that could not be written: it exists already, the disk is full, permission is missing."""

    exit_code = 7


def is_plain(text: str) -> bool:
    """Whether a name can be shown and written anywhere: no control characters, nothing that is no Unicode."""
    return not any(ord(letter) in CONTROL_CHARACTERS or "\ud800" <= letter <= "\udfff" for letter in text)


def reason(error: BaseException) -> str:
    """What the error of another library says, in one short line: some say a page, some fail to say anything."""
    try:
        said = str(getattr(error, "error_string", None) or getattr(error, "strerror", None) or error).strip()
    except Exception:  # soundfile's own `str()` can fail
        said = ""
    line = said.splitlines()[0] if said else type(error).__name__
    return line.rstrip(".") if len(line) <= LONGEST_REASON else line[:LONGEST_REASON] + " ..."


def refused_as(kind: type[EscnnError]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make an error of `kind` of what the operating system refuses a function that reads what its first argument names:
    a name that is too long, a folder that may not be searched, a disk that fails.
    """

    def door(read: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(read)
        def reading(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return read(*args, **kwargs)
            except OSError as error:
                where = error.filename if error.filename is not None else args[0]
                raise kind(f"{where}: cannot be read ({reason(error)})", hint="is it yours to read?") from error

        return reading

    return door


def closest(name: str, known: Iterable[str]) -> str | None:
    """A hint at the one of `known` that looks most like `name`; None if none does."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else None
