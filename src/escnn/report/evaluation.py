"""The page about a whole fold or a whole cross-validation: one HTML file, offline, with script or without.

`render_evaluation` fills `evaluation.html.j2` with an `EvaluationPage` of plain values. Whatever follows from the clips
is counted here, so that no two numbers on the page can contradict each other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from escnn.report.calibration import (
    CalibrationBin,
    calibration_error,
    calibration_in_words,
    reliability_dots,
    wilson_interval,
)
from escnn.report.confusion import (
    LEVELS,
    EvaluatedClip,
    class_rows,
    confusion_cells,
    in_words,
    macro_f1,
    most_confidently_wrong,
    side_by_side,
)
from escnn.report.curves import EpochScore, training_curves
from escnn.report.html import render_page

MOST_CONFUSED = 6  # pairs beside the verdict


@dataclass(frozen=True, slots=True)
class FoldScore:
    """The model that held out this fold, measured on it; all but `fold` and `clips` are 0 to 1."""

    fold: int
    clips: int
    accuracy: float
    top5: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """What was measured: one model, or one a fold, of which then nothing is told that only one of them has."""

    name: str
    parameters: int
    measured: str  # a sentence: on which clips, trained on which
    sha256: str | None = None
    trained_on_folds: Sequence[int] = ()
    epochs: int | None = None
    seed: int | None = None
    seconds: float | None = None  # how long the training took


@dataclass(frozen=True, slots=True)
class EvaluatedData:
    """The data set and the folds of it that were held out."""

    name: str
    sha256: str
    folds: Sequence[int]


@dataclass(frozen=True, slots=True)
class EvaluationPage:
    """Everything on the page; accuracy, confusion and all that is per class follow from `clips`.

    `labels` are indexed by the class ids of the clips, of which there is at least one; `bins` lie in order from score 0
    to score 1; `folds` and `curves` are empty where there is nothing to say.
    """

    title: str  # what was evaluated, such as "ESC-50, fold 5"
    labels: Sequence[str]
    clips: Sequence[EvaluatedClip]
    top5: float  # 0 to 1
    log_loss: float  # nats
    bins: Sequence[CalibrationBin]
    data: EvaluatedData
    model: EvaluatedModel
    versions: Sequence[tuple[str, str]]
    command: str
    created: datetime
    folds: Sequence[FoldScore] = ()
    curves: Sequence[EpochScore] = ()
    warnings: Sequence[str] = ()


def render_evaluation(page: EvaluationPage) -> str:
    """The page as HTML that can be encoded as UTF-8. Equal pages give equal text: only `created` tells runs apart."""
    cells = confusion_cells(page.clips)
    wrong = most_confidently_wrong(page.clips)
    right = sum(clip.true == clip.predicted for clip in page.clips)
    rows = class_rows(len(page.labels), cells)
    return render_page(
        "evaluation.html.j2",
        styles=["style.css", "evaluation.css"],
        scripts=["evaluation.js"],
        page=page,
        right=right,
        accuracy=right / len(page.clips),
        interval=wilson_interval(right, len(page.clips)),
        macro_f1=macro_f1(rows),
        words=in_words(page.labels, cells, rows),
        cells={(cell.true, cell.predicted): cell for cell in cells},
        confused=[cell for cell in cells if not cell.right],
        named_right=sorted((cell for cell in cells if cell.right), key=lambda cell: cell.true),
        rows=rows,
        order=side_by_side(len(page.labels), cells),
        density=_density(len(page.labels)),
        most_confused=MOST_CONFUSED,
        wrong=wrong,
        place_of={clip: place for place, clip in enumerate(wrong, 1)},
        spread=fold_spread(page.folds),
        curves=training_curves(page.curves) if page.curves else None,
        dots=reliability_dots(page.bins),
        calibration_error=calibration_error(page.bins),
        calibration=calibration_in_words(page.bins),
        levels=LEVELS,
        duration=duration,
        chance_loss=math.log(len(page.labels)),
    )


def fold_spread(folds: Sequence[FoldScore]) -> dict[str, tuple[float, float]] | None:
    """Mean and standard deviation (n - 1) of each figure over the folds; None for fewer than two."""
    if len(folds) < 2:
        return None
    figures = {name: [getattr(fold, name) for fold in folds] for name in ("accuracy", "top5", "macro_f1")}
    return {name: (statistics.fmean(values), statistics.stdev(values)) for name, values in figures.items()}


def duration(seconds: float) -> str:
    """A length of time as one says it: 4320 is "1 h 12 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min" if minutes >= 60 else f"{minutes}\u00a0min"


def _density(classes: int) -> str:
    """How large the cells of the matrix can be, as the name of a CSS class."""
    return next((name for name, most in (("few", 8), ("some", 20)) if classes <= most), "many")
