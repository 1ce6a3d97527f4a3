"""The clock time at which a recording begins, from its name or its header, and that of its events."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path, PurePath
from zoneinfo import ZoneInfo

from escnn.audio.decoding import Source
from escnn.detection.headers import time_in_header
from escnn.errors import UsageError

# As recorders and phones write them: 20240702_064404, 2024-07-02 06.44.04, 240702-064404 (Zoom), with words around.
_FULL = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)([01]\d)\2([0-3]\d)[ T_-]{0,2}([0-2]\d)([-_.:h]?)([0-5]\d)\6([0-5]\d)(?!\d)"
    r"(Z(?![A-Za-z])|\+[01]\d:?[0-5]\d(?!\d)|(?<=T\d{6})-[01]\d:?[0-5]\d(?!\d))?"  # UTC, or how far from it
)
_SHORT = re.compile(r"(?<!\d)(\d\d)([01]\d)([0-3]\d)[-_]([0-2]\d)([0-5]\d)([0-5]\d)(?!\d)")
_SECONDS = re.compile(r"[0-9A-F]{8}")  # of the first AudioMoths: since 1970, in UTC
FIRST_YEAR, LAST_YEAR = 1850, 2199  # in which a recording can begin
_EARLIEST, _LATEST = datetime(1990, 1, 1), datetime(2100, 1, 1)


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """How the clock time of a recording is found."""

    start_time: datetime | None = None  # given: of the first recording, and of no other
    pattern: str | None = None  # of `strptime`, that a name begins with; by default those of known recorders
    zone: tzinfo | None = None  # that names are in

    @classmethod
    def of(cls, start_time: str | None, pattern: str | None, zone: str | None) -> ClockSettings:
        """From what a user types.

        Raises:
            UsageError: no time, no pattern, or no time zone.
        """
        found_zone = None if zone is None else _zone(zone)
        start = None
        if start_time is not None:
            try:
                start = datetime.fromisoformat(start_time)
            except ValueError as error:
                raise UsageError(
                    f"--start-time {start_time!r:.60}: no time", hint="such as 2024-07-02T06:44:04"
                ) from error
            if not FIRST_YEAR <= start.year <= LAST_YEAR:
                raise UsageError(f"--start-time {start_time}: must be of the years {FIRST_YEAR} to {LAST_YEAR}")
            if start.tzinfo is None:
                start = start.replace(tzinfo=found_zone)
        if pattern is not None:
            try:
                datetime.strptime(datetime(2024, 7, 2, 6, 44, 4).strftime(pattern), pattern)
            except (ValueError, re.error) as error:
                raise UsageError(
                    f"--time-pattern {pattern!r:.60}: not understood", hint="such as %Y%m%d_%H%M%S"
                ) from error
        return cls(start, pattern, found_zone)

    def check(self, recordings: int) -> None:
        """Raise `UsageError` where a start is given, and there are several recordings."""
        if self.start_time is not None and recordings > 1:
            raise UsageError(
                f"--start-time is that of one recording, and there are {recordings:,}",
                hint="detect them one by one, or let their names tell: see --time-pattern",
            )

    def start_of(self, name: str, number: int, source: Source = b"") -> datetime | None:
        """When recording `number`, of this name, begins; None if nobody says.

        A header that names its time zone is believed before a name, which is believed before one that does not.
        """
        if self.start_time is not None:
            return self.start_time if number == 0 else None
        found = _by_pattern(PurePath(name).stem, self.pattern) if self.pattern else start_time(name)
        if isinstance(source, (str, os.PathLike)) and not (found and self.pattern):
            written = _plausible(time_in_header(Path(source)))
            if written is not None and (found is None or written.tzinfo is not None):
                found = written
        return found.replace(tzinfo=self.zone) if found is not None and found.tzinfo is None else found


def clock_doubt(start: datetime | None) -> str | None:
    """What is to be said of a start whose zone has that time of day twice, or not at all, as clocks were changed."""
    if start is None or start.utcoffset() == (other := start.replace(fold=1)).utcoffset():
        return None
    said, zone = f"{start:%Y-%m-%d %H:%M:%S}", start.tzinfo
    taken = start.astimezone(UTC).astimezone(zone).isoformat(sep=" ", timespec="seconds")
    if other.astimezone(UTC) < start.astimezone(UTC):  # the clock went on meanwhile
        return f"began at {said}, which {zone} does not have: clocks went forward; taken for {taken}"
    return f"began at {said}, which {zone} has twice: clocks went back; taken for the first, {taken}"


def start_time(name: str) -> datetime | None:
    """The time in the name of a recording, as known recorders write it; local where it does not say UTC."""
    stem = PurePath(name).stem
    if _SECONDS.fullmatch(stem):
        return _plausible(datetime.fromtimestamp(int(stem, 16), UTC))
    if found := _FULL.search(stem):
        year, _, month, day, hour, _, minute, second, zone = found.groups()
        return _time(int(year), month, day, hour, minute, second, zone=zone)
    if found := _SHORT.search(stem):
        year, month, day, hour, minute, second = found.groups()
        return _time(2000 + int(year), month, day, hour, minute, second)
    return None


def clock_time(start: datetime | None, seconds: float) -> str | None:
    """The clock time, as ISO 8601 to the millisecond, of a moment of a recording that begins at `start`."""
    if start is None:
        return None
    zone = start.tzinfo  # clocks may be changed meanwhile, seconds go on
    moment = (start if zone is None else start.astimezone(UTC)) + timedelta(seconds=seconds)
    return (moment if zone is None else moment.astimezone(zone)).isoformat(timespec="milliseconds")


def _time(year: int, *parts: str, zone: str | None = None) -> datetime | None:
    try:
        time = datetime(year, *map(int, parts))  # type: ignore[arg-type]
        return _plausible(datetime.fromisoformat(f"{time.isoformat()}{zone or ''}"))
    except ValueError:
        return None


def _plausible(time: datetime | None) -> datetime | None:
    return time if time is not None and _EARLIEST <= time.replace(tzinfo=None) < _LATEST else None


def _by_pattern(stem: str, pattern: str) -> datetime | None:
    """A name that follows a pattern; what comes after it does not matter."""
    for end in range(len(stem), 0, -1):
        try:
            return datetime.strptime(stem[:end], pattern)
        except ValueError:
            continue
    return None


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name.upper() in ("UTC", "Z") else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"--time-zone {name!r:.60}: no such time zone", hint="such as Europe/Rome, or UTC") from error
