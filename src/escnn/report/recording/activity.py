"""When a recording is busy: how many events of each class begin in each hour of the clock, or in ten minutes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from escnn.detection.detector import Event
from escnn.report.recording.words import is_background

FINE_UNTIL_SECONDS = 3 * 3600.0  # a recording up to here is counted in ten minutes
SHADES = 5


@dataclass(frozen=True, slots=True)
class Stretch:
    """An hour of the clock, or ten minutes of it."""

    label: str  # "6:00"
    counts: dict[int, int]  # class id -> events that begin in it

    @property
    def total(self) -> int:
        """All its events."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Activity:
    """Stretches in order, and the classes in them, the most frequent first and backgrounds last."""

    unit: str  # "hour" or "ten minutes"
    stretches: tuple[Stretch, ...]
    class_ids: tuple[int, ...]

    @property
    def most(self) -> int:
        """Events of the busiest stretch."""
        return max(stretch.total for stretch in self.stretches)

    def shade(self, count: int) -> int:
        """How dark a count is drawn, 0 to `SHADES`; the most of a class in a stretch is the darkest."""
        most = max((number for stretch in self.stretches for number in stretch.counts.values()), default=1)
        return -(-count * SHADES // most)


def activity(events: Sequence[Event], seconds: float, start: datetime) -> Activity:
    """The activity of a recording that begins at `start` and lasts so many `seconds`."""
    minutes = 10 if seconds <= FINE_UNTIL_SECONDS else 60
    local = [moment(start, event.start) for event in events]
    first, last = _floor(moment(start, 0.0), minutes), moment(start, max(0.0, seconds - 0.001))
    keys: list[datetime] = []
    while first <= last or not keys:
        keys.append(first)
        first += timedelta(minutes=minutes)
    counts: dict[datetime, dict[int, int]] = {key: {} for key in keys}
    totals: dict[int, tuple[bool, int]] = {}
    for event, time in zip(events, local, strict=True):
        within = counts[min(max(_floor(time, minutes), keys[0]), keys[-1])]
        within[event.class_id] = within.get(event.class_id, 0) + 1
        _, before = totals.get(event.class_id, (False, 0))
        totals[event.class_id] = is_background(event.label), before - 1
    return Activity(
        "hour" if minutes == 60 else "ten minutes",
        tuple(Stretch(f"{key.hour}:{key.minute:02}", found) for key, found in counts.items()),
        tuple(sorted(totals, key=lambda class_id: (*totals[class_id], class_id))),
    )


def moment(start: datetime, seconds: float) -> datetime:
    """The wall clock, without its zone, so many seconds after `start`: clocks may be changed meanwhile."""
    if start.tzinfo is None:
        return start + timedelta(seconds=seconds)
    return (start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(start.tzinfo).replace(tzinfo=None)


def offsets(start: datetime | None, seconds: float) -> list[tuple[float, int]] | None:
    """How far the clock of a recording is ahead of UTC, in seconds, from which moment on; None where nobody says."""
    if start is None or start.tzinfo is None:
        return None

    def ahead(at: float) -> int:
        offset = (start.astimezone(UTC) + timedelta(seconds=at)).astimezone(start.tzinfo).utcoffset()
        return round(offset.total_seconds()) if offset is not None else 0

    found = [(0.0, ahead(0.0))]
    if ahead(seconds) != found[0][1]:  # changed once: a recording lasts a day at most
        low, high = 0.0, seconds
        while high - low > 0.5:
            middle = (low + high) / 2
            low, high = (middle, high) if ahead(middle) == found[0][1] else (low, middle)
        found.append((float(round(high)), ahead(seconds)))
    return found


def _floor(time: datetime, minutes: int) -> datetime:
    return time.replace(minute=time.minute // minutes * minutes, second=0, microsecond=0)
