"""The errors that escnn raises on purpose: each knows its exit code and, where there is one, the remedy."""

from __future__ import annotations


class EscnnError(Exception):
    """Something a person can mend. ``message`` says what and where, ``hint`` how to mend it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends what is under way as Ctrl-C does, with exit code 143."""


class UsageError(EscnnError):
    """Wrong arguments or settings."""

    exit_code = 2


class AudioError(EscnnError):
    """A sound that cannot be read. ``code`` is the short reason, for programs, that `escnn predict` writes."""

    exit_code = 3

    def __init__(self, message: str, *, code: str, hint: str | None = None) -> None:
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
