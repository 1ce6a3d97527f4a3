"""MPEG audio (mp3): its frames, found by their headers, and a stream of them in which what is lost is silent.

libsndfile stops at the number of frames that a header (of Xing's, or LAME's) declares, or guesses it from the first bit
rate, and gives up after a kilobyte that is no frame. Layout: ISO 11172-3 and 13818-3; headers as libmpg123 reads them.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import BinaryIO

PIECE = 1 << 18  # bytes that are read at a time
FARTHEST = 1 << 26  # bytes in which the next frame is looked for
RUN = 4  # so many headers, each where the one before it says, are no chance
LONGEST_FRAME = 4096  # bytes; 2,881 in the standard
_ONE_AT_A_TIME = threading.Lock()
_WORDS = re.compile(rb"^\n?(?:\[?src/libmpg123|Note: |Warning: )[^\n]*\n?", re.MULTILINE)  # of libmpg123
_SYNC = re.compile(rb"\xff(?=[\xe2-\xe7\xf2-\xff][\x10-\xef])")  # begins a header, with a version and a rate
_RATES = (44_100, 48_000, 32_000)  # Hz, of version 1; a half of version 2, a quarter of 2.5
_KBITS = {  # (version 1, layer): of bit rates 1 to 14
    (True, 1): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@cache
def _layout(second: int, third: int) -> tuple[int, int]:
    """Bytes in a frame and samples a channel, from two bytes of its header; (0, 0) if no header has them."""
    version, layer, index, rate = second >> 3 & 3, 4 - (second >> 1 & 3), third >> 4, third >> 2 & 3
    if second < 0xE0 or version == 1 or layer == 4 or index in (0, 15) or rate == 3:
        return 0, 0
    bits = _KBITS[version == 3, layer][index - 1] * 1000
    hertz = _RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    padding = third >> 1 & 1
    if layer == 1:
        return (12 * bits // hertz + padding) * 4, 384
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // hertz + padding, samples


def _kind(header: bytes) -> tuple[int, int, bool]:
    """What all frames of a stream have in common: version and layer, rate, whether there is one channel."""
    return header[1] & 0xFE, header[2] & 0x0C, header[3] >> 6 == 3


class Frames:
    """The frames of a file, from the first behind `start` on; after damage, from where they are found again.

    `first` is where that lies, None if there is none before `last_start`. Once they were iterated over, `lost` counts
    the samples that were replaced by silence, and `end` is where the last frame ends.
    """

    def __init__(self, file: BinaryIO, start: int, *, last_start: int | None = None) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._piece, self._at = b"", 0  # what was read last, and where it lies
        self.first = self._find(self._behind_tags(max(0, start)), None, last_start)
        self.lost = self.end = 0

    def __iter__(self) -> Iterator[bytes]:
        if self.first is None:
            return
        kind = _kind(self._peek(self.first, 4))
        place, held = self.first, 0  # bytes of sound that later frames can refer to
        length = self._length(place, kind)
        mean = float(length)
        while length:
            frame = self._peek(place, length)
            lacks, adds = _reservoir(frame)
            if lacks > held:  # the beginning of its sound is lost
                frame = _silent(frame)
                self.lost += _layout(frame[1], frame[2])[1] * (place > self.first)
            elif place == self.first:
                frame = _without_count(frame)
            held += adds
            mean += (length - mean) / 32
            end = place + length
            place, length = self._next(end, kind)
            if not length:
                place = self._find(end - len(frame) + 4, kind) or end
                length = self._length(place, kind)
                if length:
                    gone = 1 + max(0, round((place - end) / mean))  # with this one, which was cut into
                    self.lost += gone * _layout(frame[1], frame[2])[1]
                    frame, held = _silent(frame), 0
                    for _ in range(gone - 1):
                        yield frame[:4] + bytes(len(frame) - 4)
            yield frame
            self.end = end

    def _next(self, place: int, kind: tuple[int, int, bool]) -> tuple[int, int]:
        """Where the frame begins that follows at `place`, or behind tags there, and its length; 0 if none does."""
        place = self._behind_tags(place)
        length = self._length(place, kind)
        return place, length if place + length <= self._size else 0

    def _length(self, place: int, kind: tuple[int, int, bool] | None) -> int:
        """Bytes in the frame that begins at `place`; 0 if none does, or one of another kind."""
        header = self._peek(place, 4)
        if len(header) < 4 or header[0] != 0xFF or (kind is not None and _kind(header) != kind):
            return 0
        return _layout(header[1], header[2])[0]

    def _find(self, start: int, kind: tuple[int, int, bool] | None, last: int | None = None) -> int | None:
        """Where, from `start` on, frames follow each other again; None if they do not, or only behind `last`."""
        place = start
        while place < min(self._size, start + FARTHEST if last is None else last):
            piece = self._peek(place, PIECE)
            for match in _SYNC.finditer(piece):
                if self._is_run(place + match.start(), kind):
                    return place + match.start()
            place += len(piece) - 1 if len(piece) > 1 else 1
        return None

    def _is_run(self, place: int, kind: tuple[int, int, bool] | None) -> bool:
        for _ in range(RUN):
            length = self._length(place, kind)
            if not length:
                return False
            kind = kind or _kind(self._peek(place, 4))
            place += length
        return True

    def _behind_tags(self, place: int) -> int:
        """Where tags (ID3, APE) end that begin at `place`."""
        while True:
            head = self._peek(place, 32)
            if head[:3] == b"ID3" and len(head) >= 10:
                place += 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            elif head[:3] == b"TAG":
                place += 128
            elif head[:8] == b"APETAGEX" and len(head) == 32:
                place += 32 + int.from_bytes(head[12:16], "little")
            else:
                return place

    def _peek(self, place: int, size: int) -> bytes:
        """Bytes of the file, fewer at its end."""
        start = place - self._at
        if start < 0 or start + size > len(self._piece):
            self._file.seek(place)
            self._piece, self._at, start = self._file.read(PIECE), place, 0
        return self._piece[start : start + size]


def declares_length(file: BinaryIO, place: int) -> bool:
    """Whether the frame at `place` is one that tells how many follow (of Xing's form)."""
    file.seek(place)
    return _count_place(file.read(LONGEST_FRAME)) > 0


def _count_place(frame: bytes) -> int:
    """Where in the first frame the number of frames stands; 0 if it does not."""
    place = max(frame.find(b"Xing", 0, 48), frame.find(b"Info", 0, 48))
    return place + 8 if 0 < place < len(frame) - 12 and frame[place + 7] & 1 else 0


def _without_count(frame: bytes) -> bytes:
    """A first frame that does not limit how many are read."""
    place = _count_place(frame)
    return frame[:place] + b"\x7f\xff\xff\xff" + frame[place + 4 :] if place else frame


def _side_info(frame: bytes) -> tuple[int, int]:
    """Where in a frame of layer 3 the side information begins and ends."""
    mono, version_1 = frame[3] >> 6 == 3, frame[1] >> 3 & 3 == 3
    start = 4 if frame[1] & 1 else 6  # behind a checksum
    return start, start + ((17 if mono else 32) if version_1 else (9 if mono else 17))


def _reservoir(frame: bytes) -> tuple[int, int]:
    """How many bytes of the frames before it a frame needs, and how many it adds for those behind it."""
    if frame[1] >> 1 & 3 != 1 or len(frame) < 40:  # layers 1 and 2 need none
        return 0, 0
    start, end = _side_info(frame)
    return frame[start] << 1 | frame[start + 1] >> 7 if frame[1] >> 3 & 3 == 3 else frame[start], len(frame) - end


def _silent(frame: bytes) -> bytes:
    """A frame that is silent, with the sound in it that frames behind it may need."""
    end = _side_info(frame)[1] if frame[1] >> 1 & 3 == 1 else len(frame)
    return frame[:1] + bytes([frame[1] | 1]) + frame[2:4] + bytes(end - 4) + frame[end:]  # 1: no checksum


@contextmanager
def without_words(words: list[str]) -> Iterator[None]:
    """Take from stderr, line by line, what libmpg123 prints there, which names no file. One decoder at a time.

    What others print meanwhile comes a moment later.
    """
    with _ONE_AT_A_TIME, ExitStack() as stack:
        try:
            if sys.__stderr__ is None:  # closed from the start: descriptor 2 may be anybody's file
                raise OSError
            said = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            stderr = os.dup(2)
        except OSError:  # or there is no room: let it print
            yield
            return
        stack.callback(os.close, stderr)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            said.seek(0)
            content = said.read()
            words += [match[0].decode("utf-8", "replace").strip() for match in _WORDS.finditer(content)]
            with suppress(OSError):  # nobody reads it any more
                os.write(2, _WORDS.sub(b"", content))
