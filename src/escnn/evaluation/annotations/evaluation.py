"""What was measured against people's own annotations: every figure follows from the counts that are kept here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from escnn.detection.detector import Event
from escnn.detection.thresholds import write_thresholds
from escnn.evaluation.event_metrics import Counts, DetectionMetrics, Span, overlaps
from escnn.evaluation.metrics import texts
from escnn.files import write_text
from escnn.inference.formats import LINE_END, path_cell
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings

SCHEMA = "escnn.detection-evaluation/1"
FEWEST_REPORTED = 5  # events that a threshold is chosen by: with fewer, any score will do
NOTHING = DetectionMetrics(Counts(), Counts(), 0, 0, 0, 0, 0.0)
COLUMNS = (
    "label", "annotated", "reported", "false_alarms", "precision", "recall", "segment_f1", "event_f1",
)  # fmt: skip
SPANS = ("path", "start_seconds", "end_seconds", "label")


@dataclass(frozen=True, slots=True)
class MeasuredRecording:
    """One recording: what was annotated, of the classes that are measured, and what was found of them."""

    name: str
    seconds: float
    truth: tuple[Span, ...]
    events: tuple[Event, ...]

    @property
    def found(self) -> tuple[Span, ...]:
        """The events as spans."""
        return tuple((event.start, event.end, event.label) for event in self.events)


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest onset score with which a class is right as often as wanted."""

    score: float
    precision: float
    recall: float
    reported: int  # events, with this threshold


@dataclass(frozen=True)
class DetectionEvaluation:
    """Figures over recordings with annotations, of those classes that are in both the table and the model.

    `counts` are by label, with the settings as they are; `curves` by onset score, then by label, with that score for
    all classes.
    """

    model: ModelCard
    settings: EventSettings
    thresholds: Mapping[str, float]  # onset scores of classes for which that of the settings does not hold
    labels: tuple[str, ...]
    recordings: tuple[MeasuredRecording, ...]
    counts: Mapping[str, DetectionMetrics]
    curves: Mapping[float, Mapping[str, DetectionMetrics]]
    unknown_labels: Mapping[str, int]  # of the table, that mean no class of the model: rows
    other_events: int  # found, of classes that the table does not name
    versions: Mapping[str, str]  # of what computed the scores
    problems: tuple[str, ...] = ()  # what was left out of the table, a line each
    unread: tuple[tuple[str, str], ...] = ()  # recordings that could not be read, and why

    @property
    def seconds(self) -> float:
        """Of sound."""
        return sum(recording.seconds for recording in self.recordings)

    @property
    def metrics(self) -> DetectionMetrics:
        """All classes together."""
        return self._total(self.counts)

    def _total(self, by_label: Mapping[str, DetectionMetrics]) -> DetectionMetrics:
        return replace(sum(by_label.values(), NOTHING), seconds=self.seconds)

    def per_class(self) -> pd.DataFrame:
        """A row a class: annotated and reported events, false alarms, precision, recall, F1 of segments and events.

        There is no precision where nothing was reported.
        """
        rows = [[label, *_figures(self.counts[label])] for label in self.labels]
        return _table(rows, COLUMNS)

    def curve(self, label: str | None = None) -> pd.DataFrame:
        """A row an onset score: the same figures of a class, or of all."""
        rows = [
            [score, *_figures(self._total(by_label) if label is None else by_label[label])]
            for score, by_label in self.curves.items()
        ]
        return pd.DataFrame(rows, columns=["onset_score", *COLUMNS[1:]])

    def missed(self) -> pd.DataFrame:
        """A row an annotated event that none found overlaps."""
        rows = []
        for recording in self.recordings:
            found = {index for index, _ in overlaps(recording.truth, recording.found)}
            rows += [[recording.name, *span] for index, span in enumerate(recording.truth) if index not in found]
        return _table(rows, SPANS)

    def false_alarms(self) -> pd.DataFrame:
        """A row an event found that overlaps none annotated, with its score."""
        rows = []
        for recording in self.recordings:
            right = {index for _, index in overlaps(recording.truth, recording.found)}
            rows += [
                [recording.name, event.start, event.end, event.label, round(event.score, 4)]
                for index, event in enumerate(recording.events)
                if index not in right
            ]
        return _table(rows, (*SPANS, "score"))

    def thresholds_for(self, precision: float) -> dict[str, Threshold | None]:
        """For every class the lowest onset score with at least this precision, over at least `FEWEST_REPORTED` events;
        None where there is none.
        """
        return {label: self._threshold(label, precision) for label in self.labels}

    def _threshold(self, label: str, precision: float) -> Threshold | None:
        for score in sorted(self.curves):
            counts = self.curves[score][label]
            if counts.claims >= FEWEST_REPORTED and counts.precision >= precision:
                return Threshold(score, round(counts.precision, 4), round(counts.recall, 4), counts.claims)
        return None

    def to_json(self, precision: float | None = None) -> dict[str, Any]:
        """All of it as JSON types, after the schema `SCHEMA`; with thresholds for a `precision` if one is given."""
        total = self.metrics
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "model": self.model.describe(),
            "settings": msgspec.to_builtins(self.settings) | {"thresholds": dict(self.thresholds)},
            "recordings": [
                {
                    "path": recording.name,
                    "seconds": recording.seconds,
                    "annotated": len(recording.truth),
                    "reported": len(recording.events),
                }
                for recording in self.recordings
            ],
            "hours": round(self.seconds / 3600, 4),
            **{name: _known(figure) for name, figure in zip(COLUMNS[1:], _figures(total), strict=True)},
            "missed": total.truth - total.found,
            "false_alarms_an_hour": round(total.false_alarms_an_hour, 2),
            "per_class": json.loads(self.per_class().to_json(orient="records")),
            "curve": json.loads(self.curve().to_json(orient="records")),
            "classes_the_model_lacks": dict(self.unknown_labels),
            "events_of_other_classes": self.other_events,
            "problems": list(self.problems),
            "unread": [{"path": name, "error": error} for name, error in self.unread],
        }
        if precision is not None:
            document["thresholds"] = {
                "precision": precision,
                "classes": {
                    label: None if found is None else {name: getattr(found, name) for name in Threshold.__slots__}
                    for label, found in self.thresholds_for(precision).items()
                },
            }
        return document

    def save(self, folder: Path, precision: float | None = None) -> None:
        """Write the figures into a folder: JSON, and tables of classes, curves, missed events and false alarms; with
        the thresholds for a `precision` if one is given.

        Raises:
            OutputError: a file cannot be written.
        """
        write_text(folder / "detection.json", json.dumps(self.to_json(precision), indent=2) + "\n")
        curves = [self.curve(label).assign(label=label) for label in self.labels]
        tables = {
            "per-class.csv": self.per_class(),
            "curves.csv": pd.concat([self.curve().assign(label=""), *curves]),
            "missed.csv": self.missed(),
            "false-alarms.csv": self.false_alarms(),
        }
        for name, table in tables.items():
            if "path" in table:
                table = table.assign(path=texts(map(path_cell, table["path"])))
            write_text(folder / name, table.to_csv(index=False, lineterminator=LINE_END))
        if precision is not None:
            found = self.thresholds_for(precision)
            scores = {label: threshold.score for label, threshold in found.items() if threshold is not None}
            about = {
                "precision": precision,
                "model": self.model.name,
                "weights_sha256": self.model.weights_sha256,
            }
            write_thresholds(folder / "thresholds.json", scores, about)

    def to_html(self, precision: float | None = None, *, command: tuple[str, ...] = ()) -> str:
        """A page to look at, in one file."""
        from escnn.report.evaluation.detection import detection_page

        return detection_page(self, precision, command)

    def _repr_html_(self) -> str:
        from escnn.report.html import in_frame

        return in_frame(self.to_html())


def _figures(counts: DetectionMetrics) -> list[float]:
    precision = counts.precision if counts.claims else math.nan
    recall = counts.recall if counts.truth else math.nan
    shares = (precision, recall, counts.segments.f1, counts.events.f1)
    return [counts.truth, counts.claims, counts.false_alarms, *(round(share, 4) for share in shares)]


def _table(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pd.DataFrame(
        {name: texts(c) if name in ("path", "label") else list(c) for name, c in zip(names, columns, strict=True)}
    )


def _known(figure: float) -> float | None:
    return None if math.isnan(figure) else figure
