"""The page of many recordings: one HTML file without a script, whose links lead to the pages beside it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from escnn.inference.prediction import Failure
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings
from escnn.report.html import display_label, render_page
from escnn.report.index.page import relative_href
from escnn.report.recording.activity import moment
from escnn.report.recording.words import by_count, counted, duration, is_background, named
from escnn.report.recordings.summary import STRIP_STRETCHES, RecordingSummary
from escnn.report.sound.page import title

TONES = 5  # colours: the most frequent classes have one each, the others share the last
NAMED_CLASSES = 3  # of each recording
SHADES = 5


def recordings_page(
    recordings: Sequence[RecordingSummary],
    failures: Sequence[Failure],
    card: ModelCard,
    settings: EventSettings,
    versions: Mapping[str, str],
    *,
    command: Sequence[str] = (),
    created: datetime | None = None,
) -> str:
    """The page as HTML that can be encoded as UTF-8.

    Args:
        recordings: in the order in which they were named; those with a clock time are shown in order of time.
        failures: recordings that could not be read.
        card: the model that listened.
        settings: when scores make an event.
        versions: of what made the numbers.
        command: as typed; an empty one is not shown.
        created: by default now.
    """
    counts: Counter[int] = Counter()
    within: Counter[int] = Counter()
    for recording in recordings:
        counts.update(recording.counts)
        within.update(recording.counts.keys())
    order = sorted(by_count(counts), key=lambda class_id: is_background(card.labels[class_id]))
    tones = {class_id: min(number, TONES) for number, class_id in enumerate(order)}
    return render_page(
        "recordings/page.html.j2",
        styles=["style.css", "recordings/recordings.css"],
        scripts=[],
        heading=_heading(counts, card),
        lead=_lead(recordings, counts, within, card),
        recordings=sorted(recordings, key=_by_time),
        failures=failures,
        card=card,
        settings=settings,
        classes=[(class_id, card.labels[class_id], counts[class_id], within[class_id]) for class_id in order],
        legend=[(display_label(card.labels[class_id]), tones[class_id]) for class_id in order[:TONES]],
        others=len(order) > TONES,
        tones=tones,
        calendar=calendar(recordings),
        versions=versions,
        command=shlex.join(["escnn", *command]) if command else "",
        created=created or datetime.now(UTC).replace(microsecond=0),
        strip=lambda recording: strip(recording, tones),
        most_often=lambda recording: [
            (display_label(card.labels[class_id]), recording.counts[class_id])
            for class_id in by_count(recording.counts)[:NAMED_CLASSES]
        ],
        began=lambda recording: None if recording.start is None else moment(recording.start, 0.0),
        stretches=STRIP_STRETCHES,
        is_background=is_background,
        href=relative_href,
        title=title,
        duration=duration,
        counted=counted,
    )


def _by_time(recording: RecordingSummary) -> tuple[bool, datetime]:
    """Those without a clock time come last, in the order that they had."""
    return recording.start is None, datetime.max if recording.start is None else moment(recording.start, 0.0)


def _heading(counts: Counter[int], card: ModelCard) -> str:
    if not counts:
        return "Nothing found"
    if len(counts) == 1:
        ((class_id, number),) = counts.items()
        times = "once" if number == 1 else f"{number:,} times"
        return f"\u2068{display_label(card.labels[class_id])}\u2069, {times}"
    return f"{counted(len(counts), 'class')}, {counted(counts.total(), 'event')}"


def _lead(recordings: Sequence[RecordingSummary], counts: Counter[int], within: Counter[int], card: ModelCard) -> str:
    length = duration(sum(recording.seconds for recording in recordings))
    where = f"In {counted(len(recordings), 'recording')} of {length} in all"
    if not counts:
        return f"{where}."
    often = next((k for k in by_count(counts) if not is_background(card.labels[k])), by_count(counts)[0])
    silent = sum(not recording.events for recording in recordings)
    more = f" In {counted(silent, 'recording')} nothing was found." if silent else ""
    if len(counts) == 1:
        return f"{where}: no other class.{more}"
    label = named(card.labels[often])
    of_them = counted(within[often], "recording")
    return f"{where}; most often {label} ({counts[often]:,}), in {of_them}.{more}"


def strip(recording: RecordingSummary, tones: Mapping[int, int]) -> list[tuple[int, str]]:
    """When something sounds in a recording, as SVG paths of upright lines: the tone of a class, and its path."""
    paths: dict[int, int] = {}
    for class_id, bits in recording.strips.items():
        paths[tones[class_id]] = paths.get(tones[class_id], 0) | bits
    return [
        (tone, "".join(f"M{k}.5 {tone}v1" for k in range(STRIP_STRETCHES) if bits >> k & 1))
        for tone, bits in sorted(paths.items())
    ]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Events by day and hour of the clock."""

    days: tuple[tuple[date, tuple[int | None, ...]], ...]  # 24 hours each; None where nothing was recorded
    most: int

    def shade(self, count: int) -> int:
        """How dark a count is drawn, 0 to `SHADES`."""
        return -(-count * SHADES // max(1, self.most))


def calendar(recordings: Sequence[RecordingSummary]) -> Calendar | None:
    """The calendar of those recordings whose clock times are known; None if there are none."""
    total: Counter[tuple[date, int]] = Counter()
    for recording in recordings:
        for key, number in recording.by_hour.items():
            total[key] += number
    if not total:
        return None
    days = sorted({day for day, _ in total})
    rows = tuple((day, tuple(total.get((day, hour)) for hour in range(24))) for day in days)
    return Calendar(rows, max(total.values()))
