"""The files that an evaluation and a training leave: JSON, CSV, pictures, and the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from escnn import files
from escnn.evaluation.evaluation import Evaluation
from escnn.evaluation.metrics import texts
from escnn.inference.formats import LINE_END, path_cell
from escnn.report.evaluation.page import evaluation_page
from escnn.report.pictures.confusion_matrix import confusion_matrix
from escnn.report.pictures.images import png_bytes
from escnn.report.pictures.training_curves import training_curves
from escnn.runs.run import CONFIG_FILE, EpochMetrics

FILES = (
    "predictions.csv", "per_class.csv", "confused.csv", "confusion.png", "evaluation.json", "cross-validation.json",
    "warnings.csv", "report.html", "detection.json", "per-class.csv", "curves.csv", "missed.csv", "false-alarms.csv",
    "thresholds.json",
)  # fmt: skip


def remove_evaluation(folder: Path) -> None:
    """Remove the figures, pictures and page that an earlier evaluation left, but not those of a training."""
    if not (folder / CONFIG_FILE).exists() and not any(folder.glob(f"*/{CONFIG_FILE}")):
        for name in FILES:
            (folder / name).unlink(missing_ok=True)


def save_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write ``predictions.csv``, ``per_class.csv``, ``confused.csv``, ``confusion.png``, ``warnings.csv`` if there is
    any and, of one fold, ``evaluation.json``, of several, ``cross-validation.json``.
    """
    predictions = evaluation.predictions()
    predictions["clip"] = texts(map(path_cell, predictions["clip"]))
    table = predictions.to_csv(index=False, float_format="%.6f", lineterminator=LINE_END)
    files.write_text(folder / "predictions.csv", table)
    files.write_text(folder / "per_class.csv", evaluation.per_class().to_csv(index=False, float_format="%.6f"))
    files.write_text(folder / "confused.csv", evaluation.confused().to_csv(index=False))
    save_warnings(evaluation.sound_warnings, folder)
    picture = confusion_matrix(evaluation.confusion_matrix, evaluation.labels)
    files.write_bytes(folder / "confusion.png", png_bytes(picture))
    name = "evaluation.json" if len(evaluation.models) == 1 else "cross-validation.json"
    files.write_json(folder / name, evaluation.to_json())  # last: with it, a run counts as evaluated


def save_page(
    evaluation: Evaluation,
    folder: Path,
    *,
    history: Sequence[EpochMetrics] = (),
    embed_audio: bool = False,
    command: Sequence[str] = (),
) -> Path:
    """Write ``report.html``; gives its path. The arguments are those of `evaluation_page`."""
    page = evaluation_page(evaluation, history=history, embed_audio=embed_audio, command=command)
    files.write_text(folder / "report.html", page)
    return folder / "report.html"


def save_warnings(warnings: Sequence[tuple[str, str]], folder: Path) -> None:
    """Write what a person should know of clips, as (name, text), into ``warnings.csv``; no file if there is nothing."""
    if not warnings:
        (folder / "warnings.csv").unlink(missing_ok=True)  # of an earlier time
        return
    text = io.StringIO()
    csv.writer(text, lineterminator=LINE_END).writerows(
        [("clip", "warning"), *((path_cell(name), said) for name, said in warnings)]
    )
    files.write_text(folder / "warnings.csv", text.getvalue())


def save_curves(history: Sequence[EpochMetrics], folder: Path) -> None:
    """Write ``curves.png``."""
    files.write_bytes(folder / "curves.png", png_bytes(training_curves(history)))
