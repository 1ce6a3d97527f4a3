"""How good a model is: accuracy, top-5, per class, confusion; over one fold or by cross-validation."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from escnn import checkpoint, files, plots
from escnn.dataset import Clip, Dataset
from escnn.errors import DatasetError, UsageError
from escnn.prediction import Classifier, Failure

SCHEMA = "escnn.evaluation/1"
SCORE = ("fold", "clips", "views", "accuracy", "top5_accuracy", "macro_f1", "log_loss", "calibration_error")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of labelled clips: `truth` (clips,), class ids; `scores` (clips, classes), rows adding up to one."""

    labels: tuple[str, ...]
    names: tuple[str, ...]
    truth: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Class id with the highest score, (clips,)."""
        best: NDArray[np.int64] = self.scores.argmax(axis=1)
        return best

    @property
    def accuracy(self) -> float:
        """Share of clips named right."""
        return float((self.predicted == self.truth).mean())

    def top_k_accuracy(self, k: int) -> float:
        """Share of clips whose class is among the `k` highest scores."""
        best = np.argsort(-self.scores, axis=1, kind="stable")[:, :k]
        return float((best == self.truth[:, None]).any(axis=1).mean())

    @property
    def log_loss(self) -> float:
        """Mean of -ln of the score that the true class was given; 0 is perfect."""
        scores = self.scores[np.arange(len(self.truth)), self.truth]
        return float(-np.log(np.maximum(scores, 1e-7)).mean())

    def calibration_error(self, bins: int = 15) -> float:
        """Expected calibration error (C. Guo et al., 2017): how far scores and shares of right answers lie apart.

        Clips are sorted into `bins` by their highest score; the gap between mean score and accuracy of each bin counts
        with its share of the clips.
        """
        sure, right = self.scores.max(axis=1), self.predicted == self.truth
        place = np.minimum((sure * bins).astype(np.int64), bins - 1)
        gaps = np.bincount(place, weights=sure - right, minlength=bins)
        return float(np.abs(gaps).sum() / len(self.truth))

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts (classes, classes): row the true class, column the predicted one."""
        matrix = np.zeros((len(self.labels), len(self.labels)), dtype=np.int64)
        np.add.at(matrix, (self.truth, self.predicted), 1)
        return matrix

    def per_class(self) -> pd.DataFrame:
        """A row a class: precision, recall, F1 (0 where undefined) and the number of its clips."""
        matrix = self.confusion
        hits, predicted, clips = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
        precision = hits / np.maximum(predicted, 1)
        recall = hits / np.maximum(clips, 1)
        f1 = 2 * hits / np.maximum(predicted + clips, 1)
        return pd.DataFrame(
            {
                "label": self.labels,
                "precision": precision,
                "recall": recall,
                "f1": f1,
                "clips": clips,
                "predicted": predicted,
            }
        )

    def most_confused(self, count: int = 10) -> list[dict[str, Any]]:
        """Pairs of true and predicted class with the most mistakes, most first."""
        matrix = self.confusion
        np.fill_diagonal(matrix, 0)
        order = np.argsort(-matrix, axis=None, kind="stable")[:count]
        pairs = [np.unravel_index(place, matrix.shape) for place in order]
        return [
            {"true": self.labels[row], "predicted": self.labels[column], "clips": int(matrix[row, column])}
            for row, column in pairs
            if matrix[row, column] > 0
        ]

    def predictions(self) -> pd.DataFrame:
        """A row a clip: its name, true and predicted class, the scores of both, and whether it was named right."""
        rows = np.arange(len(self.truth))
        return pd.DataFrame(
            {
                "clip": self.names,
                "true": [self.labels[index] for index in self.truth],
                "predicted": [self.labels[index] for index in self.predicted],
                "score": self.scores[rows, self.predicted],
                "true_score": self.scores[rows, self.truth],
                "correct": self.predicted == self.truth,
            }
        )


def fit_temperature(evaluation: Evaluation) -> float:
    """The number by which to divide logits so that scores say how often the network is right (C. Guo et al., 2017).

    It makes the log loss least. Below one the network was too modest, above one too sure; which class is named never
    changes. To be fitted on clips that the network has not learnt from.
    """
    logits = np.log(np.maximum(evaluation.scores.astype(np.float64), 1e-12))  # but for a constant of each clip
    true = logits[np.arange(len(evaluation.truth)), evaluation.truth]
    low, high = 0.05, 20.0  # of the factor 1 / temperature, in which the log loss is convex: halve where it turns
    for _ in range(60):
        factor = (low + high) / 2
        scaled = np.exp(factor * (logits - logits.max(axis=1, keepdims=True)))
        expected = (scaled * logits).sum(axis=1) / scaled.sum(axis=1)
        low, high = (low, factor) if (expected - true).mean() > 0 else (factor, high)
    return 2 / (low + high)


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
        "calibration_error": evaluation.calibration_error(),
        "most_confused": evaluation.most_confused(),
        "per_class": json.loads(table.to_json(orient="records")),
        "model": {"name": classifier.card.name, "sha256": classifier.sha256, "training": classifier.card.training},
    }


def evaluate_run(
    folder: Path, dataset: Dataset, *, device: str = "auto", on_progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Evaluate a finished run on the fold that it held out; write ``evaluation/``, and the score into the model."""
    classifier = Classifier.load(folder, device=device)
    fold = int(classifier.card.training["fold"])
    evaluation = evaluate(classifier, dataset, dataset.fold(fold), on_progress)
    document = summary(evaluation, classifier, fold)
    score = {key: document[key] for key in SCORE}
    checkpoint.add_score(folder / checkpoint.MODEL_FILE, score)
    document["model"]["sha256"] = files.sha256_file(folder / checkpoint.MODEL_FILE)  # of the file with its score in it
    write_evaluation(folder / "evaluation", evaluation, document)
    return document


def write_evaluation(folder: Path, evaluation: Evaluation, document: dict[str, Any]) -> None:
    """Write ``evaluation.json`` and, with `write_predictions`, the tables and the confusion matrix."""
    files.write_json(folder / "evaluation.json", document)
    write_predictions(folder, evaluation)


def write_predictions(folder: Path, evaluation: Evaluation) -> None:
    """Write ``predictions.csv``, ``per_class.csv``, ``confused.csv`` and ``confusion.png``."""
    files.write_text(folder / "predictions.csv", evaluation.predictions().to_csv(index=False, float_format="%.6f"))
    files.write_text(folder / "per_class.csv", evaluation.per_class().to_csv(index=False, float_format="%.6f"))
    confused = pd.DataFrame(evaluation.most_confused(), columns=["true", "predicted", "clips"])
    files.write_text(folder / "confused.csv", confused.to_csv(index=False))
    picture = plots.confusion(evaluation.confusion, evaluation.labels)
    files.write_bytes(folder / "confusion.png", plots.png_bytes(picture))


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


def cross_validate(
    runs: Sequence[Path],
    dataset: Dataset,
    out: Path | None,
    *,
    device: str = "auto",
    views: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate every run on the fold that it held out.

    With `out`, write ``cross-validation.json`` there and, over all clips, what `write_evaluation` writes.

    Returns:
        `cross_validation_summary` of the folds.
    """
    documents, evaluations = [], []
    for run in runs:
        classifier = Classifier.load(run, device=device, views=views)
        fold = choose_fold(classifier, dataset, classifier.card.training.get("fold"))
        evaluations.append(evaluate(classifier, dataset, dataset.fold(fold), on_progress))
        documents.append(summary(evaluations[-1], classifier, fold))
    document = cross_validation_summary(documents)
    if out is not None:
        files.write_json(out / "cross-validation.json", document)
        write_predictions(out, pool(evaluations))
    return document


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


def pool(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Several folds as one evaluation; every clip was scored by the model that did not learn from it."""
    return Evaluation(
        labels=evaluations[0].labels,
        names=tuple(name for evaluation in evaluations for name in evaluation.names),
        truth=np.concatenate([evaluation.truth for evaluation in evaluations]),
        scores=np.concatenate([evaluation.scores for evaluation in evaluations]),
    )
