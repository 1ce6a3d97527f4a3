"""The page about annotated recordings: how much is found, and how much of what is found is there."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from escnn.evaluation.annotations.evaluation import DetectionEvaluation
from escnn.report.evaluation.curves import Line
from escnn.report.html import render_page

MOST_LISTED = 500  # events in each of the lists


def detection_page(
    evaluation: DetectionEvaluation,
    precision: float | None = None,
    command: Sequence[str] = (),
    created: datetime | None = None,
) -> str:
    """The page as HTML that can be encoded as UTF-8. Equal arguments give equal text.

    Args:
        evaluation: of one recording or more.
        precision: that thresholds are chosen for, if they are.
        command: as typed; without one the page names none.
        created: by default now.
    """
    missed, false = evaluation.missed(), evaluation.false_alarms().sort_values("score", ascending=False)
    curve = list(evaluation.curve().itertuples())
    return render_page(
        "evaluation/detection.html.j2",
        styles=["style.css", "evaluation/evaluation.css"],
        scripts=["evaluation/detection.js", "sortable.js"],
        evaluation=evaluation,
        metrics=evaluation.metrics,
        classes=list(evaluation.per_class().sort_values(["segment_f1", "label"]).itertuples()),
        lines=curve_lines(curve),
        curve=curve,
        onset=evaluation.settings.onset_score,
        precision=precision,
        thresholds={} if precision is None else evaluation.thresholds_for(precision),
        lists=[
            ("missed", "Missed", "annotated, and no event was found there", _rows(missed), len(missed)),
            ("false", "False alarms", "found, and nothing is annotated there", _rows(false), len(false)),
        ],
        command=shlex.join(["escnn", *command]) if command else "",
        created=created or datetime.now(UTC).replace(microsecond=0),
    )


def curve_lines(curve: Sequence[Any]) -> list[Line]:
    """Precision, recall and F1 of segments over the onset score, each from 0 to 1."""
    columns = {"precision": "test", "recall": "validation", "segment_f1": "train"}
    names = {"segment_f1": "segment F1"}

    def line(column: str, key: str) -> Line:
        points = [(row.onset_score, getattr(row, column)) for row in curve if not math.isnan(getattr(row, column))]
        return Line(key, names.get(column, column), points, points[-1][1] if points else 0.0)

    return [line(column, key) for column, key in columns.items()]


def _rows(table: Any) -> list[Any]:
    return list(table.head(MOST_LISTED).itertuples())
