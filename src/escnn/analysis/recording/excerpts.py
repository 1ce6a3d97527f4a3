"""Which moments of a recording can be heard on its page, and how they are cut out while it is read."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import Samples
from escnn.detection.detector import Event

Array = NDArray[np.float32]
MARGIN_SECONDS, SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 2.0, 5.0
AROUND_PEAK_SECONDS = 1.0  # of an event that must lie in an excerpt of another one for both to share it
BYTES_OF_AN_EXCERPT, BYTES_PER_SECOND = 4_500, 18_000  # on a page: sound at 96 kbit/s and a picture, both as base64


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a recording, in seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Spans in order of time, and the number of that which each event is heard in; None where there is none."""

    spans: tuple[Span, ...]
    of_event: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of a recording that can be heard and seen."""

    span: Span
    sound: bytes  # an MP3
    gain_db: float  # by how much it was made louder
    log_mel: Array  # (mels, frames), dB
    evidence: dict[int, Array]  # class id -> (rows, columns), 0 to 1: what speaks for the class, lowest row first


def by_priority(events: Sequence[Event]) -> list[int]:
    """Numbers of the events in the order in which they are worth hearing: of every class the surest, then of every
    class the second, and so on; within a round the surer class first.
    """
    rank: dict[int, int] = {}
    ranks = [0] * len(events)
    for number in sorted(range(len(events)), key=lambda k: -events[k].score):
        class_id = events[number].class_id
        ranks[number] = rank[class_id] = rank.get(class_id, -1) + 1
    return sorted(range(len(events)), key=lambda k: (ranks[k], -events[k].score, k))


def plan_excerpts(events: Sequence[Event], seconds: float, most_bytes: int) -> Plan:
    """What to cut out of a recording of so many `seconds` for excerpts that take about `most_bytes` on a page."""
    spans: list[tuple[float, float, int]] = []  # by start; with the number that it was given
    chosen: list[int | None] = [None] * len(events)
    left = float(most_bytes)
    for number in by_priority(events):
        event = events[number]
        need = Span(
            max(event.start, event.peak - AROUND_PEAK_SECONDS), min(event.end, event.peak + AROUND_PEAK_SECONDS)
        )
        shared = _covering(spans, need)
        if shared is None:
            span = span_of(event, seconds)
            cost = BYTES_OF_AN_EXCERPT + BYTES_PER_SECOND * (span.end - span.start)
            if cost > left:
                continue
            left -= cost
            shared = len(spans)
            insort(spans, (span.start, span.end, shared))
        chosen[number] = shared
    place = {given: number for number, (_, _, given) in enumerate(spans)}
    of_event = tuple(None if given is None else place[given] for given in chosen)
    return Plan(tuple(Span(start, end) for start, end, _ in spans), of_event)


def span_of(event: Event, seconds: float) -> Span:
    """The stretch that an event is heard in: all of it with a margin, or, of a long one, what lies around its peak."""
    start, end = event.start - MARGIN_SECONDS, event.end + MARGIN_SECONDS
    if end - start > LONGEST_SECONDS:
        start = min(max(event.peak - LONGEST_SECONDS / 2, start), end - LONGEST_SECONDS)
        end = start + LONGEST_SECONDS
    elif end - start < SHORTEST_SECONDS:
        start = (start + end - SHORTEST_SECONDS) / 2
        end = start + SHORTEST_SECONDS
    length = end - start
    start = max(0.0, min(start, seconds - length))
    return Span(round(start, 3), round(min(start + length, seconds), 3))


def _covering(spans: list[tuple[float, float, int]], need: Span) -> int | None:
    """The number of the first span that holds another; none is longer than `LONGEST_SECONDS`."""
    first = bisect_right(spans, (need.end - LONGEST_SECONDS - 0.002,))
    for start, end, number in spans[first:]:
        if start > need.start:
            return None
        if end >= need.end:
            return number
    return None


class Cutter:
    """Cuts spans out of a sound that comes in blocks at `sample_rate`."""

    def __init__(self, spans: Sequence[Span], sample_rate: int) -> None:
        """`spans` are in order of time."""
        self._borders = [(round(span.start * sample_rate), round(span.end * sample_rate)) for span in spans]
        self._next = 0  # span that no block has reached
        self._open: dict[int, list[Samples]] = {}
        self._position = 0

    def add(self, block: Samples) -> Iterator[tuple[int, Samples]]:
        """The numbers and the samples, (time,), of the spans that end in the next block."""
        end = self._position + len(block)
        while self._next < len(self._borders) and self._borders[self._next][0] < end:
            self._open[self._next] = []
            self._next += 1
        for number, parts in list(self._open.items()):
            first, last = self._borders[number]
            parts.append(block[max(0, first - self._position) : last - self._position].copy())
            if last <= end:
                yield number, np.concatenate(self._open.pop(number))
        self._position = end

    def end(self) -> Iterator[tuple[int, Samples]]:
        """The spans that the sound ended in."""
        for number, parts in self._open.items():
            if any(map(len, parts)):
                yield number, np.concatenate(parts)
        self._open = {}
