"""How many bytes of sound a file declares, and how many it holds; whether an Ogg stream was cut off.

libsndfile reads a WAV, AIFF, AU, W64 or Ogg file that was cut off as if it had been meant to end there. Its length
stands in the header, so it is read from there; the last page of an Ogg stream is marked as such. Layouts: RIFF and WAVE
(Microsoft and IBM, 1991), RF64 (EBU Tech 3306), AIFF (Apple, 1989), Wave64 (Sonic Foundry), .snd (Sun), Ogg (RFC 3533).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

LONGEST_PAGE = 27 + 255 + 255 * 255  # bytes, of an Ogg stream
MOST_CHUNKS = 1_000  # looked at: a forged file could hold millions of empty ones
# Programs that write to a pipe cannot know the size: they leave 0, or a number next to the largest there is, with or
# without sign (arecord, sox and ffmpeg, each its own). That declares nothing.
UNKNOWN = (range(2**31 - 2**16, 2**31 + 1), range(2**32 - 2**16, 2**32))


def declared_and_actual_bytes(file: BinaryIO) -> tuple[int, int] | None:
    """Bytes of sound that the header of `file` declares, and bytes of it that are there; None where it declares none.

    Reads from wherever it likes; the caller puts the file's position back.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(24)
    if head[:4] in (b".snd", b"dns."):
        order = "big" if head[:4] == b".snd" else "little"
        start, declared = _number(head[4:8], order), _number(head[8:12], order)
    else:
        chunks = _wide_chunks(file) if head[:4] == b"riff" else _chunks(file, head[:4])
        start, declared = next(chunks, (0, 0))
    if declared == 0 or start > size or any(declared in numbers for numbers in UNKNOWN):
        return None
    return declared, min(declared, size - start)


def lacks_last_page(file: BinaryIO) -> bool:
    """Whether `file` is an Ogg stream that stops before, or within, the page that is marked as its last.

    Reads from wherever it likes; the caller puts the file's position back.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(4) != b"OggS":
        return False
    file.seek(max(0, size - LONGEST_PAGE))
    end = file.read(LONGEST_PAGE)
    start = end.rfind(b"OggS")
    page = end[start:] if start >= 0 else b""
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    lengths = page[27 : 27 + page[26]]
    return not page[5] & 4 or len(page) < 27 + len(lengths) + sum(lengths)


def _chunks(file: BinaryIO, container: bytes) -> Iterator[tuple[int, int]]:
    """Where the sound of a RIFF or IFF file starts, and its length in bytes."""
    order = {b"RIFF": "little", b"RF64": "little", b"RIFX": "big", b"FORM": "big"}.get(container)
    if order is None:
        return
    place, long_length = 12, 0
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(24)
        name, length = head[:4], _number(head[4:8], order)
        if len(head) < 8:
            return
        if name == b"ds64":  # 64-bit lengths of an RF64 file: of all of it, then of its sound
            long_length = _number(head[16:24], order)
        elif name == b"data":
            yield place + 8, long_length if container == b"RF64" else length
        elif name == b"SSND":  # begins with an offset and a block size
            yield place + 16, max(0, length - 8)
        place += 8 + length + length % 2


def _wide_chunks(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """The same for W64: names of 16 bytes, lengths of 8 that count themselves and the name."""
    place = 40
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(24)
        length = _number(head[16:24], "little")
        if length < 24 or place + length >= 2**63:
            return
        if head[:4] == b"data":
            yield place + 24, length - 24
        place += length + -length % 8


def _number(field: bytes, order: str) -> int:
    return int.from_bytes(field, "little" if order == "little" else "big")
