"""When a recording was begun, as the recorder wrote it into the file itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO

from escnn.audio.formats.chunks import chunks_of

MOST_BYTES = 1 << 16  # of a chunk that are looked at
# Such as "Recorded at 19:17:30 31/03/2018 (UTC-5) by AudioMoth 0FE081F80FE081F0 at gain setting 2 ..."
_AUDIOMOTH = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d\d)/(\d\d)/(\d{4}) \(UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?\)"
)
_DATE, _TIME, _SAMPLES, _BEXT_BYTES = 320, 330, 338, 346  # places in a bext chunk (EBU Tech 3285)


def time_in_header(path: Path) -> datetime | None:
    """The start that a WAV file gives: in a comment as AudioMoths write it, with the zone of the clock; or in a bext
    chunk, in local time. None for other files, and for those that cannot be read: opening them will say why.
    """
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return _time(file)
    except (OSError, ValueError):
        return None


def _time(file: BinaryIO) -> datetime | None:
    rate, of_bext = 0, b""
    for name, start, length in chunks_of(file):
        if name not in (b"fmt ", b"bext", b"LIST"):
            continue
        file.seek(start)
        content = file.read(min(length, MOST_BYTES))
        if name == b"fmt ":
            rate = int.from_bytes(content[4:8], "little")
        elif name == b"bext":
            of_bext = content
        elif found := _AUDIOMOTH.search(content.decode("latin-1")):
            return _of_audiomoth(found)
    return _of_bext(of_bext, rate) if len(of_bext) >= _BEXT_BYTES else None


def _of_audiomoth(found: re.Match[str]) -> datetime | None:
    hour, minute, second, day, month, year = map(int, found.groups()[:6])
    sign, hours, minutes = found.groups()[6:]
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = UTC if sign is None else timezone(-offset if sign == "-" else offset)
    return datetime(year, month, day, hour, minute, second, tzinfo=zone)


def _of_bext(chunk: bytes, rate: int) -> datetime | None:
    """Date and time of origin; the samples since midnight are finer than its whole seconds, where they agree."""
    date = re.fullmatch(r"(\d{4})\D(\d\d)\D(\d\d)", chunk[_DATE:_TIME].decode("latin-1"))
    time = re.fullmatch(r"(\d\d)\D(\d\d)\D(\d\d)", chunk[_TIME:_SAMPLES].decode("latin-1"))
    if not date or not time:
        return None
    begun = datetime(*map(int, (*date.groups(), *time.groups())))  # type: ignore[arg-type]
    samples = int.from_bytes(chunk[_SAMPLES:_BEXT_BYTES], "little")
    if rate and samples < 86_400 * rate:
        finer = datetime(begun.year, begun.month, begun.day) + timedelta(seconds=samples / rate)
        if abs(finer - begun) < timedelta(seconds=1):
            return finer
    return begun
