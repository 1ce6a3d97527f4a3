"""How good a model is: accuracy, top-5, per class, confusion; over one fold or by cross-validation."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from escnn import checkpoint, files, images, plots
from escnn.dataset import Clip, Dataset
from escnn.errors import DatasetError, UsageError, reason
from escnn.evaluation_page import evaluation_page
from escnn.measures import Evaluation, pool
from escnn.model import parameter_count
from escnn.prediction import Classifier, Failure
from escnn.report.curves import EpochScore
from escnn.report.evaluation import render_evaluation
from escnn.runs import METRICS_FILE, Run

SCHEMA = "escnn.evaluation/1"
SCORE = ("fold", "clips", "views", "accuracy", "top5_accuracy", "macro_f1", "log_loss", "calibration_error")


def evaluate(
    classifier: Classifier,
    dataset: Dataset,
    clips: Sequence[Clip],
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Predict every clip as `escnn predict` would and set that against its label.

    Raises:
        DatasetError: a clip cannot be read, or has a class that the model does not know.
    """
    labels = classifier.card.labels
    known = {label: index for index, label in enumerate(labels)}
    strange = sorted(set(dataset.labels) - set(labels))
    if strange:
        raise DatasetError(
            f"{dataset.root}: the model does not know the class {strange[0]!r}"
            + (f" and {len(strange) - 1} more" if len(strange) > 1 else ""),
            hint="evaluate a model on the classes that it was trained on",
        )
    scores = []
    for result in classifier.predict_files((clip.path, clip.name) for clip in clips):
        if isinstance(result, Failure):
            raise DatasetError(f"{dataset.root}: {result.error.message}", hint=result.error.hint)
        scores.append(result.scores)
        if on_progress:
            on_progress(len(scores), len(clips))
    truth = np.array([known[dataset.labels[clip.class_id]] for clip in clips])
    return Evaluation(labels, tuple(clip.name for clip in clips), truth, np.stack(scores))


def choose_fold(classifier: Classifier, dataset: Dataset, fold: int | None) -> int:
    """The fold to evaluate on: the one asked for, else the one that the model held out or never saw.

    Raises:
        UsageError: the model has seen every fold there is.
    """
    if fold is not None:
        return fold
    unseen = [number for number in dataset.folds if number not in folds_seen(classifier)]
    if classifier.card.training.get("fold") in unseen:
        return int(classifier.card.training["fold"])
    if not unseen:
        raise UsageError(
            f"the model was trained on every fold that is in {dataset.root} ({', '.join(map(str, dataset.folds))})",
            hint="--fold N evaluates it on one of them all the same, which says little about new sounds",
        )
    return unseen[-1]


def folds_seen(classifier: Classifier) -> set[int]:
    """Folds that a model was trained on or whose clips chose its epoch."""
    training = classifier.card.training
    return {*training.get("trained_on_folds", ()), training.get("validation_fold")} - {None}


def summary(evaluation: Evaluation, classifier: Classifier, fold: int) -> dict[str, Any]:
    """An evaluation as JSON types."""
    table = evaluation.per_class()
    return {
        "schema": SCHEMA,
        "fold": fold,
        "seen_in_training": fold in folds_seen(classifier),
        "clips": len(evaluation.truth),
        "views": classifier.views,
        "accuracy": evaluation.accuracy,
        "top5_accuracy": evaluation.top_k_accuracy(5),
        "macro_f1": float(table["f1"][table["clips"] > 0].mean()),
        "log_loss": evaluation.log_loss,
        "calibration_error": evaluation.calibration_error,
        "most_confused": evaluation.most_confused(),
        "per_class": json.loads(table.to_json(orient="records")),
        "model": {
            "name": classifier.card.name,
            "sha256": classifier.sha256,
            "parameters": parameter_count(classifier.network),
            "training": classifier.card.training,
        },
    }


def evaluate_run(
    run: Run,
    dataset: Dataset,
    *,
    device: str = "auto",
    command: Sequence[str] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate a finished run on the fold that it held out.

    Writes ``evaluation/``, the score into the model, and ``report.html``, the page of the run.
    """
    classifier = Classifier.load(run.folder, device=device)
    fold = int(classifier.card.training["fold"])
    evaluation = evaluate(classifier, dataset, dataset.fold(fold), on_progress)
    document = summary(evaluation, classifier, fold)
    score = {key: document[key] for key in SCORE}
    checkpoint.add_score(run.folder / checkpoint.MODEL_FILE, score)
    # Of the file with its score in it:
    document["model"]["sha256"] = files.sha256_file(run.folder / checkpoint.MODEL_FILE)
    page = evaluation_page(evaluation, [document], dataset, curves=_curves(run), command=command)
    files.write_text(run.folder / "report.html", render_evaluation(page))
    write_evaluation(run.folder / "evaluation", evaluation, document)
    return document


def _curves(run: Run) -> list[EpochScore]:
    try:
        return [
            EpochScore(
                epoch=int(row["epoch"]),
                loss=float(row["loss"]),
                train_accuracy=float(row["train_accuracy"]),
                held_out_accuracy=_measured(row["held_out_accuracy"]),
                validation_accuracy=_measured(row["validation_accuracy"]),
            )
            for row in run.read_metrics()
        ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        hint = "if it was edited, put it back as it was; otherwise train again"
        path = run.folder / METRICS_FILE
        raise UsageError(f"{path}: not the table of a training ({reason(error)})", hint=hint) from error


def _measured(cell: str) -> float | None:
    return float(cell) if cell else None


def write_evaluation(folder: Path, evaluation: Evaluation, document: dict[str, Any]) -> None:
    """Write ``evaluation.json`` and, with `write_predictions`, the tables and the confusion matrix."""
    write_predictions(folder, evaluation)
    files.write_json(folder / "evaluation.json", document)  # last: with it, a run counts as evaluated


def write_predictions(folder: Path, evaluation: Evaluation) -> None:
    """Write ``predictions.csv``, ``per_class.csv``, ``confused.csv`` and ``confusion.png``."""
    files.write_text(folder / "predictions.csv", evaluation.predictions().to_csv(index=False, float_format="%.6f"))
    files.write_text(folder / "per_class.csv", evaluation.per_class().to_csv(index=False, float_format="%.6f"))
    confused = pd.DataFrame(evaluation.most_confused(), columns=["true", "predicted", "clips"])
    files.write_text(folder / "confused.csv", confused.to_csv(index=False))
    picture = plots.confusion(evaluation.confusion, evaluation.labels)
    files.write_bytes(folder / "confusion.png", images.png_bytes(picture))


def find_fold_runs(folder: Path) -> list[Path]:
    """The finished runs of a cross-validation, ``fold1`` to ``fold5``.

    Raises:
        UsageError: fewer than two are there.
    """
    runs = [run for run in sorted(folder.glob("fold[1-5]")) if (run / "model.safetensors").is_file()]
    if len(runs) < 2:
        raise UsageError(
            f"{folder}: {len(runs)} finished runs of a cross-validation (fold1, fold2, ...), need two at least",
            hint="`escnn train --cross-validate` makes them",
        )
    return runs


def evaluate_runs(
    runs: Sequence[Path],
    dataset: Dataset,
    *,
    device: str = "auto",
    views: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Evaluation, list[dict[str, Any]]]:
    """Evaluate every run of a cross-validation on the fold that it held out.

    Returns:
        All clips as one evaluation, and `summary` of each fold.
    """
    documents, evaluations = [], []
    for run in runs:
        classifier = Classifier.load(run, device=device, views=views)
        fold = choose_fold(classifier, dataset, classifier.card.training.get("fold"))
        evaluations.append(evaluate(classifier, dataset, dataset.fold(fold), on_progress))
        documents.append(summary(evaluations[-1], classifier, fold))
    return pool(evaluations), documents


def write_cross_validation(folder: Path, evaluation: Evaluation, documents: Sequence[dict[str, Any]]) -> None:
    """Write ``cross-validation.json`` and, over all clips, what `write_predictions` writes."""
    files.write_json(folder / "cross-validation.json", cross_validation_summary(documents))
    write_predictions(folder, evaluation)


def write_page(
    folder: Path,
    evaluation: Evaluation,
    documents: Sequence[dict[str, Any]],
    dataset: Dataset,
    *,
    embed_audio: bool = False,
    command: Sequence[str] = (),
) -> Path:
    """Write ``report.html``, with the sound of every clip in it if `embed_audio`; gives its path."""
    page = evaluation_page(evaluation, documents, dataset, embed_audio=embed_audio, command=command)
    files.write_text(folder / "report.html", render_evaluation(page))
    return folder / "report.html"


def split_seed(classifier: Classifier) -> int:
    """The seed that dealt a folder-per-class data set to folds when the model was trained."""
    seed = classifier.card.training.get("seed", 0)
    return seed if isinstance(seed, int) else 0


def cross_validation_summary(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Per-fold figures, their mean and their standard deviation (n - 1), as JSON types."""
    accuracies = [document["accuracy"] for document in documents]
    return {
        "schema": "escnn.cross-validation/1",
        "folds": [{key: document[key] for key in (*SCORE, "seen_in_training")} for document in documents],
        "mean_accuracy": statistics.fmean(accuracies),
        "std_accuracy": statistics.stdev(accuracies),
        "mean_log_loss": statistics.fmean(document["log_loss"] for document in documents),
        "mean_calibration_error": statistics.fmean(document["calibration_error"] for document in documents),
        "mean_top5_accuracy": statistics.fmean(document["top5_accuracy"] for document in documents),
    }
