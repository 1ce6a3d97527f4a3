"""libsndfile, and files as it should see them: bytes in memory, a header before a part of a file, a stream."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

Block = NDArray[np.float32]  # (time, channels)
OPENING_ERRORS = (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OverflowError)
DECODING_ERRORS = (soundfile.SoundFileError, RuntimeError)
FAR = 1 << 40  # where a stream of unknown length is said to end, in bytes
KEPT = 1 << 20  # bytes that a stream can go back


class BytesFile(io.BytesIO):
    """Bytes as a file that stays where it is when it is sent before its start, as a file on disk does.

    `io.BytesIO` goes to the start instead, or raises; where a header is forged, libsndfile asks for it.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """The new position, in bytes."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.getbuffer().nbytes}[whence]
        return super().seek(base + offset) if 0 <= base + offset < 2**63 else self.tell()


def size_of(file: BinaryIO) -> int:
    """How many bytes a file holds; where it is read next stays."""
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    return size


def status_of(file: BinaryIO | None) -> tuple[int, int] | None:
    """Size and time of change of a file on disk."""
    if not isinstance(file, io.FileIO):
        return None
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


class View(io.RawIOBase):
    """What is common to views: where they are read next, and what went wrong meanwhile.

    libsndfile calls them from C, where an exception, Ctrl-C among them, would be printed and forgotten: it is kept in
    `failure`, and the view has come to its end.
    """

    def __init__(self, length: int) -> None:
        self._length, self._place = length, 0
        self.failure: BaseException | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """The new position, in bytes; where it cannot be, the old one."""
        place = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._length}[whence] + offset
        if 0 <= place < 2**63:
            self._place = place
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        """Bytes read; 0 at the end."""
        try:
            return 0 if self.failure else self._read(buffer)
        except BaseException as error:
            self.failure = error
            return 0

    def _read(self, buffer: Any) -> int:
        raise NotImplementedError


class Spliced(View):
    """The bytes `front`, then those of `file` from `start` to `end`, by default its own."""

    def __init__(self, front: bytes, file: BinaryIO, start: int, end: int | None = None) -> None:
        self._front, self._file, self._start = front, file, start
        super().__init__(len(front) + max(0, (file.seek(0, os.SEEK_END) if end is None else end) - start))

    def _read(self, buffer: Any) -> int:
        beyond = self._place - len(self._front)
        if beyond < 0:
            piece = self._front[self._place : self._place + len(buffer)]
            buffer[: len(piece)] = piece
            count = len(piece)
        else:
            self._file.seek(self._start + beyond)
            count = self._file.readinto(memoryview(buffer)[: max(0, self._length - self._place)])  # type: ignore[attr-defined]
        self._place += count
        return count

    def tell_in_file(self) -> int:
        """The position as one in the file behind it."""
        return max(self._start, self._start + self._place - len(self._front))


class Stream(View):
    """Bytes as an iterator gives them, of a length that nobody knows: it says that it ends far away.

    libsndfile derives from the length of a file how much sound an MP3 holds, and reads no more than that.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__(FAR)
        self._pieces = pieces
        self._buffer, self._first = bytearray(), 0  # bytes that can be read, and the position of the first

    def _read(self, buffer: Any) -> int:
        size = len(buffer)
        if self._place >= FAR // 2:  # where libmpg123 looks for a tag; it would give up on nothing
            buffer[:] = bytes(size)
            return size
        while self._first + len(self._buffer) < self._place + size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._buffer += piece
        start = self._place - self._first
        if start < 0:
            return 0
        piece = bytes(self._buffer[start : start + size])
        buffer[: len(piece)] = piece
        self._place += len(piece)
        if len(self._buffer) > 2 * KEPT and self._place - self._first > KEPT:
            gone = self._place - self._first - KEPT
            del self._buffer[:gone]
            self._first += gone
        return len(piece)


class Decoder(soundfile.SoundFile):  # type: ignore[misc]
    """A `soundfile.SoundFile` that is read from beginning to end.

    The base class seeks after every block, which takes time and loses the last one of a FLAC file without a length.
    """

    def __init__(self, file: BinaryIO | Spliced | Stream) -> None:
        self._source = file
        file.seek(0)
        try:
            # A file descriptor keeps libsndfile from seeing the name: one that ends in .raw cannot hurt. It is faster.
            source: object = file.fileno()
        except OSError:
            source = file
        try:
            super().__init__(source, closefd=False)
        finally:
            self._raise_failure()

    def seekable(self) -> bool:
        """No."""
        return False

    def next_block(self, frames: int) -> Block:
        """Up to so many frames, (time, channels); none at the end."""
        try:
            block: Block = self.read(frames, dtype="float32", always_2d=True)
        finally:
            self._raise_failure()
        return block

    def _raise_failure(self) -> None:
        if isinstance(self._source, View) and self._source.failure:
            raise self._source.failure
