"""The page about a whole fold or a whole cross-validation: one HTML file, offline, with script or without."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from escnn.audio.decoding import load_audio
from escnn.audio.encoding import encode
from escnn.evaluation.evaluation import Evaluation
from escnn.evaluation.metrics import wilson_interval
from escnn.model.card import ModelCard
from escnn.report.evaluation.calibration import calibration_in_words, reliability_dots
from escnn.report.evaluation.confusion import LEVELS, Cell, confusion_cells, in_words, side_by_side
from escnn.report.evaluation.curves import curve_lines
from escnn.report.html import render_page
from escnn.runs.run import EpochMetrics

MOST_CONFUSED = 6  # pairs beside the verdict
MOST_WRONG = 20  # clips in the list of the most confident mistakes


def evaluation_page(
    evaluation: Evaluation,
    *,
    history: Sequence[EpochMetrics] = (),
    embed_audio: bool = False,
    command: Sequence[str] = (),
    created: datetime | None = None,
) -> str:
    """The page as HTML that can be encoded as UTF-8. Equal arguments give equal text.

    Args:
        evaluation: of one clip or more.
        history: of the training, if there was one training.
        embed_audio: put every clip into the page, to be listened to.
        command: as typed; without one the page names none.
        created: by default now.
    """
    labels, bins = evaluation.labels, evaluation.calibration_bins
    cells = confusion_cells(evaluation)
    confused = [cell for cell in cells if not cell.right]
    right = int((evaluation.predicted == evaluation.truth).sum())
    return render_page(
        "evaluation/page.html.j2",
        styles=["style.css", "evaluation/evaluation.css"],
        scripts=["evaluation/evaluation.js", "sortable.js"],
        evaluation=evaluation,
        title=f"{evaluation.data_name}, {evaluation.measured_on}",
        measured=_how_measured(evaluation),
        warnings=evaluation.caveats,
        right=right,
        interval=wilson_interval(right, len(evaluation.truth)),
        words=in_words(labels, cells),
        cells={(cell.true, cell.predicted): cell for cell in cells},
        confused=confused,
        correct=sorted((cell for cell in cells if cell.right), key=lambda cell: cell.true),
        order=side_by_side(len(labels), cells),
        density=_density(len(labels)),
        levels=LEVELS,
        most_confused=MOST_CONFUSED,
        classes=hardest_first(evaluation),
        rivals=_rivals(confused),
        rank={index: place for place, index in enumerate(confident_mistakes(evaluation), 1)},
        sound=(lambda index: _sound(evaluation.clips[index].path)) if embed_audio else None,
        history=history,
        curves=curve_lines(history) if history else None,
        bins=bins,
        dots=reliability_dots(bins),
        calibration=calibration_in_words(bins),
        training=_training(evaluation.model, one=len(evaluation.models) == 1),
        chance_loss=math.log(len(labels)),
        command=shlex.join(["escnn", *command]) if command else "",
        created=created or datetime.now(UTC).replace(microsecond=0),
    )


def hardest_first(evaluation: Evaluation) -> list[Any]:
    """The rows of `Evaluation.per_class`, each with its class id as ``Index``, the lowest recall first, those without
    clips last.
    """
    return sorted(evaluation.per_class().itertuples(), key=lambda row: (row.clips == 0, row.recall))


def confident_mistakes(evaluation: Evaluation) -> list[int]:
    """Indices of the wrong answers with the highest scores, highest first, at most `MOST_WRONG`."""
    wrong = np.flatnonzero(evaluation.predicted != evaluation.truth)
    order = np.argsort(-evaluation.scores.max(axis=1)[wrong], kind="stable")
    indices: list[int] = wrong[order][:MOST_WRONG].tolist()
    return indices


def duration(seconds: float) -> str:
    """A length of time as people say it: 4320 is "1 h 12 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min" if minutes >= 60 else f"{minutes}\u00a0min"


def _rivals(confused: Sequence[Cell]) -> dict[int, Cell]:
    """Of every class, the cell with most of its missed clips."""
    return {cell.true: cell for cell in reversed(confused)}  # the fullest are last to be set


def _how_measured(evaluation: Evaluation) -> str:
    if len(evaluation.models) > 1:
        measured = "Every clip was scored by the model that was not trained on its fold"
    else:
        of_what = f" of {evaluation.measured_on}" if any(evaluation.folds) else ", to none of which it was trained"
        measured = f"Measured on the {len(evaluation.truth)} clips{of_what}"
    if evaluation.tta > 1:
        measured += f", with test-time augmentation: every window was scored in {evaluation.tta} ways"
    return f"{measured}."


def _training(card: ModelCard, *, one: bool) -> str:
    """How a model was trained; of one of several models, only what they have in common."""
    record = card.record
    folds = record.trained_on_folds if one else ()
    parts = [
        f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}" if folds else "",
        f"{record.epochs} epoch{'s' if record.epochs != 1 else ''}" if record.epochs is not None else "",
        f"seed {record.seed}" if record.seed is not None else "",
        duration(record.seconds) if one and record.seconds is not None else "",
    ]
    return ", ".join(filter(None, parts))


def _density(classes: int) -> str:
    """How large the cells of the matrix can be, as the name of a CSS class."""
    return next((name for name, most in (("few", 8), ("some", 20), ("many", 50)) if classes <= most), "crowd")


def _sound(path: Path) -> bytes:
    sound = load_audio(path)
    return encode(sound.samples, sound.sample_rate, "MP3")
