"""What is kept of a recording for the page of many: a thousand recordings fit in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from escnn.analysis.recording.recording import Found
from escnn.report.recording.activity import moment

STRIP_STRETCHES = 96  # of a recording, in each of which a class sounds or does not


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """One recording of many."""

    name: str
    seconds: float
    start: datetime | None  # its clock time
    counts: Mapping[int, int]  # class id -> events
    strips: Mapping[int, int]  # class id -> bit k: it sounds in stretch k of `STRIP_STRETCHES`
    by_hour: Mapping[tuple[date, int], int]  # events by day and hour of the clock; hours without one are 0
    page: str | None  # path of its page from the page of all, with slashes and unquoted
    warnings: tuple[str, ...] = ()

    @property
    def events(self) -> int:
        """All its events."""
        return sum(self.counts.values())


def summarized(found: Found, start: datetime | None, page: str | None) -> RecordingSummary:
    """The summary of a recording that begins at `start`, with a page of its own or without."""
    strips: dict[int, int] = {}
    by_hour: dict[tuple[date, int], int] = {}
    scale = STRIP_STRETCHES / max(found.seconds, 1e-9)
    for event in found.events:
        first = min(int(event.start * scale), STRIP_STRETCHES - 1)
        last = min(max(first, int(event.end * scale)), STRIP_STRETCHES - 1)
        strips[event.class_id] = strips.get(event.class_id, 0) | ((1 << (last - first + 1)) - 1) << first
    if start is not None:
        end = max(0.0, found.seconds - 0.001)
        for hour in range(int(end // 3600) + 2):
            _count(by_hour, moment(start, min(3600.0 * hour, end)), 0)
        for event in found.events:
            _count(by_hour, moment(start, event.start), 1)
    return RecordingSummary(found.name, found.seconds, start, dict(found.counts), strips, by_hour, page, found.warnings)


def _count(by_hour: dict[tuple[date, int], int], time: datetime, number: int) -> None:
    key = (time.date(), time.hour)
    by_hour[key] = by_hour.get(key, 0) + number
