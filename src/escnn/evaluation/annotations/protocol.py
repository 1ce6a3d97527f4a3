"""Measures a model on recordings that people have annotated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from escnn.detection.detector import Detector, Event, event_of, event_settings
from escnn.detection.events import EventFinder
from escnn.detection.frame_scores import Recording
from escnn.detection.thresholds import class_thresholds
from escnn.errors import UsageError
from escnn.evaluation.annotations.evaluation import NOTHING, DetectionEvaluation, MeasuredRecording
from escnn.evaluation.annotations.placing import LabelMap, merged, place_rows, read_map
from escnn.evaluation.annotations.tables import Problems, Row, Table, read_table
from escnn.evaluation.event_metrics import DetectionMetrics, Span, compare
from escnn.inference.classifier import Classifier, Progress
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings

ONSET_SCORES = tuple(round(0.05 * step, 2) for step in range(1, 20))  # of curves, and among which thresholds are chosen
ROUNDING_SECONDS = 0.1  # by which a table may say that an event ends after its recording, with no word on it


def evaluate_annotations(
    annotations: Path | str,
    recordings: Sequence[str | Path] = (),
    model: Path | str | Classifier | None = None,
    *,
    label_map: Path | str | None = None,
    thresholds: Mapping[str, float] | None = None,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> DetectionEvaluation:
    """Measure how well the events that a model finds agree with a table of annotations.

    Measured are the classes that the table names and the model has. Where recordings are given, those without a row are
    taken for recordings without such an event.

    >>> evaluate_annotations("heard.csv").per_class()  # doctest: +SKIP

    Args:
        annotations: a selection table of Raven, a label track of Audacity, CSV, or JSON Lines of `escnn detect`.
        recordings: those to measure on; by default those that the table names.
        model: a model file, a run folder or a `Classifier`; None is the bundled model.
        label_map: a CSV of ``their label,our class``.
        thresholds: onset scores by label, for classes for which that of the settings does not suit.
        device: auto, cpu, cuda or mps, where a model is opened.
        on_progress: called after each block of sound.
        settings: fields of `EventSettings`, by default those of the model.

    Raises:
        UsageError: there is no such table, or nothing in it that can be measured.
        ModelError: there is no model, or a damaged one.
    """
    table = read_table(Path(annotations))
    if not table.rows:
        raise _nothing_to_measure(table, (), {})
    classifier = model if isinstance(model, Classifier) else Classifier.load(model, device=device)
    card = classifier.card
    chosen, own = event_settings(card, settings), dict(thresholds or {})
    by_class = class_thresholds(classifier, own)
    labels = LabelMap(card.labels) if label_map is None else read_map(Path(label_map), card.labels)
    sounds, missing = (list(recordings), ()) if recordings else _recordings_of(table)
    placed, unplaced = place_rows(table, [str(sound) for sound in sounds])
    unknown = Counter(row.label for row in table.rows if labels(row.label) is None and row.label not in labels.given)
    named = {labels(row.label) for rows in placed.values() for row in rows}
    measured = tuple(label for label in card.labels if label in named)
    if not measured:
        raise _nothing_to_measure(table, unplaced, unknown)
    tally = _Tally(card, chosen, by_class, measured, placed, labels)
    unread = list(missing)
    listed = (Recording(sound, str(sound), number) for number, sound in enumerate(sounds))
    kept: list[NDArray[np.float32]] = []
    for step in Detector(classifier, chosen, thresholds=by_class).run(listed, None, on_progress):
        kept.append(step.scores)
        if step.ended:
            if step.recording.error is not None:
                unread.append((step.recording.name, step.recording.error.message))
            else:
                tally.add(step.recording, np.concatenate(kept))
            kept = []
    return DetectionEvaluation(
        card, chosen, own, measured, tuple(tally.recordings), tally.counts, tally.curves,
        dict(unknown.most_common()), tally.other_events, classifier.runtime.versions,
        (*table.problems, *unplaced, *tally.problems),
        tuple(unread),
    )  # fmt: skip


def _nothing_to_measure(table: Table, unplaced: Sequence[str], unknown: Mapping[str, int]) -> UsageError:
    """Why no row of a table can be measured: the first reason there is."""
    if unknown:
        label = next(iter(unknown))
        return UsageError(
            f"{table.path}: no row is of a class that the model has, such as {label!r:.60}",
            hint="--map FILE says which class is meant by a label",
        )
    why = [*table.problems, *unplaced] or ["it has none, or --map leaves all of them out"]
    return UsageError(
        f"{table.path}: no row can be measured: {'; '.join(why[:2])}", hint="mend the rows that are named"
    )


class _Tally:
    """Counts what agrees, recording by recording."""

    def __init__(
        self,
        card: ModelCard,
        settings: EventSettings,
        thresholds: Mapping[int, float],
        measured: Sequence[str],
        placed: Mapping[int, Sequence[Row]],
        labels: LabelMap,
    ) -> None:
        self._card, self._settings, self._thresholds = card, settings, thresholds
        self._measured, self._placed, self._labels = measured, placed, labels
        self.recordings: list[MeasuredRecording] = []
        self.counts = dict.fromkeys(measured, NOTHING)
        self.curves = {score: dict.fromkeys(measured, NOTHING) for score in ONSET_SCORES}
        self.other_events = 0
        self._problems = Problems()
        self._cut: list[str] = []  # rows that end after their recordings

    @property
    def problems(self) -> tuple[str, ...]:
        """What is to be said of rows, a line each kind."""
        said, count = self._problems.lines(), len(self._cut)
        if not count:
            return said
        reach = (
            "1 row reaches beyond the end of its recording and was"
            if count == 1
            else (f"{count} rows reach beyond the ends of their recordings and were")
        )
        return (*said, f"{reach} cut there, such as {self._cut[0]}")

    def add(self, recording: Recording, scores: NDArray[np.float32]) -> None:
        """Count a recording with its `scores`, (frames, classes)."""
        seconds = recording.seconds
        truth = self._truth(recording)
        events = sorted(self._events(scores, seconds, self._settings, self._thresholds), key=lambda event: event.start)
        found = [event for event in events if event.label in self.counts]
        self.other_events += len(events) - len(found)
        measured = MeasuredRecording(recording.name, seconds, tuple(truth), tuple(found))
        self.recordings.append(measured)
        there = by_label(truth)
        self._count(self.counts, there, measured.found, seconds)
        for score, counts in self.curves.items():
            settings = msgspec.structs.replace(self._settings, onset_score=score)
            spans = [(event.start, event.end, event.label) for event in self._events(scores, seconds, settings, {})]
            self._count(counts, there, spans, seconds)

    def _truth(self, recording: Recording) -> list[Span]:
        spans = []
        for row in self._placed.get(recording.number, ()):
            label = self._labels(row.label)
            if row.start >= recording.seconds:
                self._problems.add("starts after the end of its recording", f"line {row.line}")
            elif label is not None:
                spans.append((row.start, min(row.end, recording.seconds), label))
                if row.end > recording.seconds + ROUNDING_SECONDS:
                    self._cut.append(f"line {row.line} (to {row.end:g} of {recording.seconds:g} s)")
        joined, overlapping = merged(spans)
        if overlapping:
            what = "row overlaps another" if overlapping == 1 else "rows overlap others"
            self._problems.add("taken as one event each", f"{recording.name}: {overlapping} {what} of the same class")
        return joined

    def _events(
        self, scores: NDArray[np.float32], seconds: float, settings: EventSettings, thresholds: Mapping[int, float]
    ) -> Iterator[Event]:
        card = self._card
        finder = EventFinder.of(settings, len(card.labels), card.frame_seconds, thresholds)
        for class_id, run in (*finder.feed(scores), *finder.end()):
            yield event_of(card, class_id, run, seconds)

    def _count(
        self,
        counts: dict[str, DetectionMetrics],
        there: Mapping[str, Sequence[Span]],
        found: Sequence[Span],
        seconds: float,
    ) -> None:
        claimed = by_label(found)
        for label in self._measured:
            counts[label] += compare(there.get(label, ()), claimed.get(label, ()), seconds)


def by_label(spans: Sequence[Span]) -> dict[str, list[Span]]:
    """Spans apart by their labels."""
    apart: dict[str, list[Span]] = {}
    for span in spans:
        apart.setdefault(span[2], []).append(span)
    return apart


def _recordings_of(table: Table) -> tuple[list[Path], tuple[tuple[str, str], ...]]:
    """The recordings that a table names, and those of them that are not there."""
    found: list[Path] = []
    missing = []
    for name in dict.fromkeys(row.file for row in table.rows if row.file):
        base = name.replace("\\", "/").rpartition("/")[2]
        places = (Path(name), table.path.parent / name, table.path.parent / base)
        place = next((place for place in places if _is_file(place)), None)
        if place is None:
            missing.append((name, f"{name}: no such file"))
        elif place not in found:
            found.append(place)
    if not found:
        said = f", such as {missing[0][0]!r:.100}" if missing else ""
        raise UsageError(
            f"{table.path}: none of its recordings is there{said}" if missing else f"{table.path}: names no recording",
            hint="name the recordings after the options",
        )
    return found, tuple(missing)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
