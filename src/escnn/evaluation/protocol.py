"""How a model is evaluated: which clips, scored by which model; one fold, or every run of a cross-validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from escnn.cache import default_data_folder
from escnn.data.dataset import Dataset
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError, UsageError
from escnn.evaluation.evaluation import Evaluation
from escnn.inference.classifier import Classifier
from escnn.inference.prediction import Failure
from escnn.model.model_file import ModelCard
from escnn.runs.run import find_fold_runs

Progress = Callable[[str, int, int | None], None]  # (stage, done, total)


def evaluate(
    model: Path | str | Classifier | None = None,
    data: Path | str | None = None,
    *,
    fold: int | None = None,
    tta: int = 1,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> Evaluation:
    """Score the clips of one fold as `escnn predict` would, and set that against their labels.

    Args:
        model: a model file, a run folder, a classifier; None for the bundled model.
        data: folder of ESC-50, or of a folder per class; by default ESC-50 as downloaded.
        fold: by default the one that the model was not trained on.
        tta: ways in which every window is scored.
        device: auto, cpu, cuda or mps.
        on_progress: called with (stage, clips done, clips).

    Raises:
        ModelError: there is no such model.
        DatasetError: there is no such data set; a clip cannot be read, or has a class that the model does not know.
        UsageError: the model was trained on every fold there is.
    """
    classifier = model if isinstance(model, Classifier) else Classifier.load(model, device=device, tta=tta)
    dataset = open_dataset(default_data_folder() if data is None else Path(data), seed=classifier.card.seed)
    return evaluate_fold(classifier, dataset, choose_fold(classifier.card, dataset, fold), on_progress)


def evaluate_runs(
    folder: Path | str,
    data: Path | str | None = None,
    *,
    tta: int = 1,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> Evaluation:
    """Evaluate every run of a cross-validation on the fold that it was not trained on.

    Args:
        folder: of the cross-validation.
        data: see `evaluate`.
        tta: ways in which every window is scored.
        device: auto, cpu, cuda or mps.
        on_progress: called with (stage, clips done, clips).

    Returns:
        All clips as one evaluation; `Evaluation.by_fold` takes it apart.

    Raises:
        UsageError: there are fewer than two finished runs, or two of the same test fold.
    """
    parts: list[Evaluation] = []
    dataset = None
    for run in find_fold_runs(Path(folder)):
        classifier = Classifier.load(run, device=device, tta=tta)
        if dataset is None:
            dataset = open_dataset(default_data_folder() if data is None else Path(data), seed=classifier.card.seed)
        fold = choose_fold(classifier.card, dataset, classifier.card.record.fold)
        if any(fold in part.folds for part in parts):
            raise UsageError(
                f"{run}: its test fold, {fold}, is that of another run in {folder}", hint="remove one of them"
            )
        parts.append(evaluate_fold(classifier, dataset, fold, on_progress))
    return pool(parts)


def evaluate_fold(
    classifier: Classifier, dataset: Dataset, fold: int, on_progress: Progress | None = None
) -> Evaluation:
    """Evaluate a model on one fold of an open data set; see `evaluate`."""
    card, clips = classifier.card, dataset.fold(fold)
    known = {label: index for index, label in enumerate(card.labels)}
    if strange := sorted(set(dataset.labels) - set(card.labels)):
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
            on_progress(f"evaluating fold {fold}", len(scores), len(clips))
    return Evaluation(
        labels=card.labels,
        clips=clips,
        truth=np.array([known[dataset.labels[clip.class_id]] for clip in clips]),
        scores=np.stack(scores),
        models={fold: card},
        data_name=dataset.root.name,
        data_digest=dataset.digest,
        tta=classifier.tta,
        versions=classifier.runtime.versions,
    )


def choose_fold(card: ModelCard, dataset: Dataset, fold: int | None) -> int:
    """The fold to evaluate on: the one asked for, else the test fold of the training, else one it was not trained on.

    Raises:
        UsageError: the model was trained on every fold there is.
    """
    if fold is not None:
        return fold
    unseen = [number for number in dataset.folds if number not in card.folds_seen]
    if card.record.fold in unseen:
        return int(card.record.fold)
    if not unseen:
        raise UsageError(
            f"the model was trained on every fold that is in {dataset.root} ({', '.join(map(str, dataset.folds))})",
            hint="--fold N evaluates it on one of them all the same, which says little about new sounds",
        )
    return unseen[-1]


def pool(parts: list[Evaluation]) -> Evaluation:
    """Several folds as one evaluation."""
    return dataclasses.replace(
        parts[0],
        clips=tuple(clip for part in parts for clip in part.clips),
        truth=np.concatenate([part.truth for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        models={fold: card for part in parts for fold, card in part.models.items()},
    )
