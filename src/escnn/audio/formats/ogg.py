"""Ogg: streams that follow one another, streams that were cut off, and FLAC within Ogg. Layout: RFC 3533."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from escnn.audio.formats.signatures import occurrences

MARK = b"OggS"
LONGEST_PAGE = 27 + 255 + 255 * 255  # bytes
FIRST, LAST = 2, 4  # flags of a page


class Page(NamedTuple):
    """A page: where it begins, its flags, which stream it belongs to, the pieces of packets in it."""

    place: int
    flags: int
    serial: bytes
    lengths: bytes
    body: bytes


def pages(file: BinaryIO, start: int = 0) -> Iterator[Page]:
    """The pages of a file from `start` on; what lies between them is passed over."""
    place = start
    while True:
        file.seek(place)
        head = file.read(27)
        if head[:4] != MARK:
            found = _find(file, place + 1)
            if found is None:
                return
            place = found
            continue
        lengths = file.read(head[26]) if len(head) == 27 else b""
        body = file.read(sum(lengths))
        if len(head) < 27 or len(lengths) < head[26] or len(body) < sum(lengths):
            return
        yield Page(place, head[5], head[14:18], lengths, body)
        place += 27 + len(lengths) + len(body)


def _find(file: BinaryIO, start: int, flags: bytes = b"") -> int | None:
    """Where a page begins, from `start` on, with these flags if any."""
    mark = MARK + b"\0" + flags if flags else MARK
    return next((place for place, _ in occurrences(file, mark, start, 6)), None)


def next_stream(file: BinaryIO, start: int) -> int | None:
    """Where, from `start` on, another stream begins that follows the one before it, as in chained files."""
    place: int | None = start
    while place is not None and (place := _find(file, place, bytes([FIRST]))) is not None:
        file.seek(max(0, place - LONGEST_PAGE))
        before = file.read(min(place, LONGEST_PAGE))
        page = before.rfind(MARK)
        if page >= 0 and not before[page + 5] & FIRST:  # streams that run side by side all begin before anything else
            return place
        place += 1
    return None


def lacks_last_page(file: BinaryIO) -> bool:
    """Whether `file` is an Ogg stream that stops before, or within, the page that is marked as its last."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(4) != MARK:
        return False
    start = max(0, size - LONGEST_PAGE)
    file.seek(start)
    last = start + file.read(LONGEST_PAGE).rfind(MARK)
    page = next(pages(file, last), None) if last >= start else None
    return page is None or page.place != last or not page.flags & LAST


def flac_within(file: BinaryIO) -> Iterator[bytes] | None:
    """The FLAC stream within Ogg, in pieces; None if the file holds none."""
    first = next(pages(file), None)
    if first is None or first.place or first.body[:5] != b"\x7fFLAC" or first.body[9:13] != b"fLaC":
        return None
    return _packets(file, first)


def _packets(file: BinaryIO, first: Page) -> Iterator[bytes]:
    yield first.body[9:]  # behind the version and the number of headers
    for page in pages(file, 27 + len(first.lengths) + len(first.body)):
        if page.serial == first.serial:
            yield page.body
