"""Where the sound lies in a file of chunks, how many bytes of it the header declares, and a header that declares what
is there.

libsndfile reads a file that was cut off as if it had been meant to end there, and believes a length that is too small,
as recorders leave it when they crash, pipes that cannot know it, and sounds beyond 4 GiB. Layouts: RIFF and WAVE
(Microsoft and IBM, 1991), RF64 (EBU Tech 3306), BW64 (ITU-R BS.2088), AIFF (Apple, 1989), CAF (Apple, 2005), Wave64
(Sonic Foundry), .snd (Sun).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MOST_CHUNKS = 1_000  # looked at: a forged file could hold millions of empty ones
LONGEST_HEADER = 1 << 20  # bytes before the sound
SHORTEST_REST = 4096  # bytes: a rest that is smaller is no sound that was overlooked
_GUID = b"\xf3\xac\xd3\x11"  # goes on the name of a chunk in a W64 file
# Programs that write to a pipe cannot know the size: they leave 0, or a number next to the largest there is, with or
# without sign (arecord, sox and ffmpeg, each its own). That declares nothing.
UNKNOWN = (
    range(1),
    range(2**31 - 2**16, 2**31 + 1),
    range(2**32 - 2**16, 2**32),
    range(2**63 - 2**16, 2**63 + 1),
    range(2**64 - 2**16, 2**64),
)
_ORDERS = {b"RIFF": "little", b"RF64": "little", b"BW64": "little", b"RIFX": "big", b"FORM": "big", b"caff": "big"}


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound in a file: `declared` bytes of it from `start` on, says the number of `width` bytes at `field`."""

    kind: bytes  # the first four bytes of the file
    size: int  # bytes of the file
    start: int
    declared: int
    field: int
    width: int
    counted: int = 0  # bytes that the number counts beside the sound
    behind: int = 0  # where the next chunk begins

    @property
    def is_known(self) -> bool:
        """Whether the header declares a length."""
        return not any(self.declared in numbers for numbers in UNKNOWN)

    @property
    def there(self) -> int:
        """Bytes from its start to the end of the file."""
        return max(0, self.size - self.start)

    @property
    def missing(self) -> int:
        """Bytes that are declared and not there; what recorders add that count the header as sound is not missing."""
        missing = self.declared - self.there if self.is_known and self.start <= self.size else 0
        return missing if missing > 0 and self.declared not in (self.size, self.size - 8) else 0


def find_sound(file: BinaryIO) -> Sound | None:
    """The sound of a file of chunks; None where there is none."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(24)
    kind = head[:4]
    if kind in (b".snd", b"dns."):
        order = "big" if kind == b".snd" else "little"
        start, declared = _number(head[4:8], order), _number(head[8:12], order)
        return Sound(kind, size, start, declared, 8, 4, behind=start + declared)
    return next(_wide_chunks(file, size) if kind == b"riff" else _chunks(file, kind, size), None)


def is_followed(file: BinaryIO, sound: Sound) -> bool:
    """Whether another file of the same kind begins where the sound ends."""
    file.seek(min(sound.behind, sound.size))
    return file.read(4) == sound.kind


def better_header(file: BinaryIO, sound: Sound) -> bytes | None:
    """A header for all the sound that is there, to put in place of the file's own; None where that will do."""
    if sound.start > min(LONGEST_HEADER, sound.size):
        return None
    follows = sound.there - sound.declared
    if sound.is_known and (follows < max(SHORTEST_REST, sound.declared // 100) or _is_chunk(file, sound)):
        if sound.kind == b"BW64":  # is RF64 with more metadata, which libsndfile does not know
            file.seek(0)
            return b"RF64" + file.read(sound.start)[4:]
        return None
    if sound.there <= SHORTEST_REST and not sound.declared:
        return None  # an empty file
    is_large = sound.there >= 2**32 - 2**16
    if sound.declared and not sound.is_known and sound.kind != b"caff" and not (is_large and sound.kind == b"RIFF"):
        return None  # libsndfile reads these to their end
    file.seek(0)
    header = file.read(sound.start)
    if sound.kind in (b"RF64", b"BW64") or (is_large and sound.kind == b"RIFF"):
        return _rf64_header(header, sound)
    if is_large and sound.width == 4:
        return None
    number = (sound.there + sound.counted).to_bytes(9, "little")[: sound.width]
    if sound.kind not in (b"RIFF", b"riff", b"dns."):
        number = number[::-1]
    return header[: sound.field] + number + header[sound.field + sound.width :]


def _rf64_header(header: bytes, sound: Sound) -> bytes:
    """The header of a WAV file, as one that can declare more than 4 GiB."""
    body = header[12:-8]
    if body[:4] == b"ds64":
        body = body[8 + _number(body[4:8], "little") :]
    sizes = [36 + len(body) + sound.there, sound.there, 0]
    lengths = b"".join(number.to_bytes(8, "little") for number in sizes) + bytes(4)
    unknown = b"\xff" * 4
    return b"RF64" + unknown + b"WAVEds64" + (28).to_bytes(4, "little") + lengths + body + b"data" + unknown


def _is_chunk(file: BinaryIO, sound: Sound) -> bool:
    """Whether what follows the sound begins as a chunk does, or is padding, and not as more of the sound."""
    file.seek(sound.behind)
    head = file.read(SHORTEST_REST)
    step = max(SHORTEST_REST, (sound.size - sound.behind) // 256)
    if not any(head) and not any(_any_at(file, place) for place in range(sound.behind, sound.size, step)):
        return True  # nothing but zeros, as far as one can see: a file that was allocated ahead
    if not re.match(rb"[A-Za-z][A-Za-z0-9_ ]{3}", head):
        return False
    if sound.kind == b"riff":
        return head[4:8] == _GUID
    length = _number(head[4:8], "big" if sound.kind in (b"RIFX", b"FORM", b"caff") else "little")
    return length <= max(sound.size - sound.behind, LONGEST_HEADER)


def _any_at(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    return any(file.read(SHORTEST_REST))


def chunks_of(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a RIFF, IFF or CAF file: the name of each, where its content begins, and its length in bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    kind = file.read(4)
    for name, place, length, _ in _walk(file, kind, size):
        yield name, place + (12 if kind == b"caff" else 8), length


def _walk(file: BinaryIO, kind: bytes, size: int) -> Iterator[tuple[bytes, int, int, int]]:
    """The chunks: the name of each, where it begins, its length, where the next one begins."""
    if kind not in _ORDERS:
        return
    width = 8 if kind == b"caff" else 4
    place, long_length = 8 if kind == b"caff" else 12, 0
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(24)
        name, length = head[:4], _number(head[4 : 4 + width], _ORDERS[kind])
        if len(head) < 8:
            return
        if name == b"ds64":  # 64-bit lengths of an RF64 file: of all of it, then of its sound
            long_length = _number(head[16:24], _ORDERS[kind])
        elif name == b"data" and kind in (b"RF64", b"BW64"):
            length = long_length
        behind = place + 4 + width + length + (length % 2 if width == 4 else 0)
        yield name, place, length, behind
        if behind >= size:  # no disk lets us seek as far as a forged length says
            return
        place = behind


def _chunks(file: BinaryIO, kind: bytes, size: int) -> Iterator[Sound]:
    """The sound of a RIFF, IFF or CAF file."""
    for name, place, length, behind in _walk(file, kind, size):
        if name == b"data" and kind == b"caff":  # begins with a count of edits
            yield Sound(kind, size, place + 16, max(0, length - 4), place + 4, 8, 4, behind)
        elif name == b"data":
            yield Sound(kind, size, place + 8, length, place + 4, 4, 0, behind)
        elif name == b"SSND":  # begins with an offset and a block size
            yield Sound(kind, size, place + 16, max(0, length - 8), place + 4, 4, 8, behind)


def _wide_chunks(file: BinaryIO, size: int) -> Iterator[Sound]:
    """The same for W64: names of 16 bytes, lengths of 8 that count themselves and the name."""
    place = 40
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(24)
        length = _number(head[16:24], "little")
        if length < 24 or place + length >= 2**63:
            return
        behind = place + length + -length % 8
        if head[:4] == b"data":
            yield Sound(b"riff", size, place + 24, length - 24, place + 16, 8, 24, behind)
        if behind >= size:
            return
        place = behind


def _number(field: bytes, order: str) -> int:
    return int.from_bytes(field, "little" if order == "little" else "big")
