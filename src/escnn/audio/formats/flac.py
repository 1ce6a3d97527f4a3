"""FLAC: its frames, found by their headers, each of which tells which samples it holds. Layout: RFC 9639."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from escnn.audio.formats.signatures import PIECE, occurrences

MARK = b"fLaC"
LONGEST_HEADER = 16  # bytes, of a frame
_SIZES = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}, **{code: 256 << code - 8 for code in range(8, 16)}}


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the header of a FLAC stream says; `header` is one for a stream of any length, to put before any frame."""

    header: bytes
    block_frames: int  # of streams whose blocks are of one size
    channels: int
    total: int  # frames; 0 where it does not tell


def find_stream(file: BinaryIO, start: int) -> tuple[int, StreamInfo] | None:
    """Where a FLAC stream begins, from `start` on, and its header."""
    for place, head in occurrences(file, MARK, start, 42):
        if head[4] & 127 == 0 and head[5:8] == b"\0\0\x22":
            numbers = int.from_bytes(head[18:26], "big")  # rate 20 bits, channels 3, bits 5, total 36
            header = MARK + b"\x80\0\0\x22" + head[8:18] + (numbers >> 36 << 36).to_bytes(8, "big") + bytes(16)
            size = int.from_bytes(head[10:12], "big")
            return place, StreamInfo(header, size, (numbers >> 41 & 7) + 1, numbers & (1 << 36) - 1)
    return None


def frames(file: BinaryIO, start: int, info: StreamInfo, first: int) -> Iterator[tuple[int, int, int]]:
    """Frames from byte `start` on that hold sound from sample `first` on: where each begins, its first sample, and how
    many it holds. A header has a checksum and must fit the stream; that its frame is whole, only decoding tells.
    """
    size = file.seek(0, os.SEEK_END)
    place = max(0, start)
    while place < size:
        file.seek(place)
        piece = file.read(PIECE)
        for match in re.finditer(rb"\xff[\xf8\xf9]", piece):
            header = piece[match.start() : match.start() + LONGEST_HEADER]
            if len(header) < LONGEST_HEADER and place + len(piece) < size:
                break  # it is looked at with the next piece
            found = _frame(header, info)
            if found is not None and found[0] + found[1] > first and (not info.total or found[0] < info.total):
                yield place + match.start(), *found
        place += max(len(piece) - LONGEST_HEADER, 1)


def _frame(header: bytes, info: StreamInfo) -> tuple[int, int] | None:
    """First sample and length of the frame whose header this is; None if it is none."""
    if len(header) < 6 or header[3] & 1 or header[2] & 15 == 15:
        return None
    channels = header[3] >> 4
    if (channels + 1 if channels < 8 else 2) != info.channels or channels > 10:
        return None
    ones = 8 - (header[4] ^ 0xFF).bit_length()  # the number is written as UTF-8 writes letters
    if ones in (1, 8):
        return None
    number, end = header[4] & (0x7F >> ones), 5
    for byte in header[5 : 4 + max(1, ones)]:
        if byte & 0xC0 != 0x80:
            return None
        number, end = number << 6 | byte & 63, end + 1
    code, rate = header[2] >> 4, header[2] & 15
    if code in (6, 7):
        length = int.from_bytes(header[end : end + code - 5], "big") + 1
        end += code - 5
    else:
        length = _SIZES.get(code, 0)
    end += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if not length or len(header) <= end or _crc8(header[:end]) != header[end]:
        return None
    return (number if header[1] & 1 else number * info.block_frames), length


def _crc8(data: bytes) -> int:
    """The checksum of a frame's header: x^8 + x^2 + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc
