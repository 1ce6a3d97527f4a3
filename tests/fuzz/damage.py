"""What may happen to any file: bits flip, copies break off, fields are overwritten. All drawn from one `Random`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

HEADER = 128  # bytes at the start that get half of all damage: sizes, rates and counts stand there
FIELDS = {1: "B", 2: "H", 4: "I", 8: "Q"}  # bytes of an unsigned header field to its struct code


def mutate(content: bytes, rng: Random, others: Sequence[bytes] = (), most: int = 4) -> bytes:
    """`content` with up to `most` pieces of damage; `others` are files to splice from."""
    data = bytearray(content)
    for _ in range(rng.randint(1, most)):
        if data:
            data = rng.choice(DAMAGE)(data, rng, others or (content,))
    return bytes(data)


def _place(data: bytearray, rng: Random) -> int:
    return rng.randrange(min(len(data), HEADER)) if rng.random() < 0.5 else rng.randrange(len(data))


def _flip(data: bytearray, rng: Random, _others: Sequence[bytes]) -> bytearray:
    for _ in range(rng.randint(1, 8)):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def _truncate(data: bytearray, rng: Random, _others: Sequence[bytes]) -> bytearray:
    return data[: _place(data, rng)]


def _remove(data: bytearray, rng: Random, _others: Sequence[bytes]) -> bytearray:
    start = _place(data, rng)
    del data[start : start + rng.randint(1, 64)]
    return data


def _duplicate(data: bytearray, rng: Random, _others: Sequence[bytes]) -> bytearray:
    start, length = _place(data, rng), rng.randint(1, 2_048)
    data[start:start] = data[start : start + length] * rng.choice((1, 1, 2, 8))
    return data


def _overwrite(data: bytearray, rng: Random, _others: Sequence[bytes]) -> bytearray:
    """An extreme value over a header field, in either byte order."""
    width = rng.choice(tuple(FIELDS))
    most = 2 ** (8 * width) - 1
    value = rng.choice(
        (0, 1, 2, 3, most // 2 - 1, most // 2, most // 2 + 1, most - 7, most - 1, most, rng.randint(0, most))
    )
    start = _place(data, rng)
    data[start : start + width] = struct.pack(rng.choice("<>") + FIELDS[width], value)
    return data


def _splice(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    """Up to 2 kB of some file over, or in between, the bytes of this one."""
    other = rng.choice(others)
    start, place = rng.randrange(len(other)), _place(data, rng)
    piece = other[start : start + rng.randint(1, 2_048)]
    data[place : place + rng.choice((0, len(piece)))] = piece
    return data


DAMAGE: tuple[Callable[[bytearray, Random, Sequence[bytes]], bytearray], ...] = (
    *(_flip, _truncate, _remove, _duplicate, _overwrite, _overwrite, _splice),
)


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(crc)
    return table


OGG_CRC = _crc_table()


def seal_ogg(content: bytes) -> bytes:
    """Right checksums for every Ogg page (RFC 3533), so that damage gets past them and into the decoder."""
    data = bytearray(content)
    start = data.find(b"OggS")
    while start >= 0:
        segments = data[start + 26] if start + 26 < len(data) else 0
        end = start + 27 + segments + sum(data[start + 27 : start + 27 + segments])
        if end <= len(data):
            data[start + 22 : start + 26] = bytes(4)
            crc = 0
            for byte in data[start:end]:
                crc = (crc << 8 & 0xFFFFFFFF) ^ OGG_CRC[crc >> 24 ^ byte]
            data[start + 22 : start + 26] = crc.to_bytes(4, "little")
        start = data.find(b"OggS", start + 4)
    return bytes(data)
