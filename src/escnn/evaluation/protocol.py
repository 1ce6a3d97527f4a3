"""How a model is evaluated: which clips, scored by which model; one fold, or every run of a cross-validation."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from escnn.cache import default_data_folder
from escnn.data.dataset import Dataset, same_label
from escnn.errors import DatasetError, UsageError
from escnn.evaluation.evaluation import Evaluation
from escnn.evaluation.trained_on import clips_seen, open_as_trained
from escnn.inference.classifier import Classifier
from escnn.inference.prediction import Failure
from escnn.model.card import ModelCard
from escnn.model.model_file import read_model
from escnn.runs.run import CONFIG_FILE, STATUS_FILE, find_fold_runs, reopen

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
        data: a data set; by default that of the run whose model it is, else ESC-50 as downloaded. One that the model
            was not trained on is measured whole.
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
    root = _data_of(None if isinstance(model, Classifier) else model) if data is None else Path(data)
    dataset = open_as_trained(root, [classifier.card], keeps_folds=fold is not None)
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
    runs = find_fold_runs(Path(folder))
    root = _data_of(runs[0]) if data is None else Path(data)
    dataset = open_as_trained(root, [read_model(run, lazily=True).card for run in runs])
    if dataset.folds == (0,):
        raise UsageError(
            f"{folder}: the models were trained on none of {dataset.root}", hint="evaluate one of them, with --model"
        )
    for run in runs:
        classifier = Classifier.load(run, device=device, tta=tta)
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
    known = {same_label(label): index for index, label in enumerate(card.labels)}
    if strange := sorted(label for label in dataset.labels if same_label(label) not in known):
        raise DatasetError(
            f"{dataset.root}: the model does not know the class {strange[0]!r}"
            + (f" and {len(strange) - 1} more" if len(strange) > 1 else ""),
            hint="evaluate a model on the classes that it was trained on",
        )
    seen = clips_seen(card, dataset) & {clip.name for clip in clips}
    if 0 < len(seen) < len(clips):
        text = f"the model was trained on {len(seen)} of these {len(clips)} clips, or on copies, such as {min(seen)}"
        warnings.warn(text, stacklevel=3)
    scores, told = [], []
    for result in classifier.predict_files((clip.path, clip.name) for clip in clips):
        if isinstance(result, Failure):
            raise DatasetError(f"{dataset.root}: {result.error.message}", hint=result.error.hint)
        scores.append(result.scores)
        told += [(result.name, text) for text in result.warnings]
        if on_progress:
            on_progress(f"evaluating fold {fold}" if fold else "evaluating", len(scores), len(clips))
    return Evaluation(
        labels=card.labels,
        clips=clips,
        truth=np.array([known[same_label(dataset.labels[clip.class_id])] for clip in clips]),
        scores=np.stack(scores),
        models={fold: card},
        data_name=dataset.root.name,
        data_digest=dataset.digest,
        tta=classifier.tta,
        versions=classifier.runtime.versions,
        seen=seen,
        sound_warnings=tuple(told),
    )


def choose_fold(card: ModelCard, dataset: Dataset, fold: int | None) -> int:
    """The fold to evaluate on: the one asked for, else the test fold of the training, else one it was not trained on.

    0 stands for all clips of a data set that is in no folds, as it was not trained on.

    Raises:
        UsageError: the model was trained on every fold there is, or knows no folds of the data set.
    """
    if fold is not None:
        if dataset.folds == (0,):
            raise UsageError(
                f"{dataset.root} has no folds for the model, which was trained on none of it",
                hint="leave out --fold to measure all of it",
            )
        return fold
    seen = clips_seen(card, dataset)
    unseen = [number for number in dataset.folds if any(clip.name not in seen for clip in dataset.fold(number))]
    if card.record.fold in unseen:
        return int(card.record.fold)
    if not unseen:
        raise UsageError(
            f"the model was trained on every fold that is in {dataset.root} ({', '.join(map(str, dataset.folds))})",
            hint="--fold N evaluates it on one of them all the same, which says little about new sounds",
        )
    whole = [number for number in unseen if all(clip.name not in seen for clip in dataset.fold(number))]
    return (whole or unseen)[-1]


def _data_of(model: Path | str | None) -> Path:
    """The data set that belongs to a model: that of its run, if it lies in the folder of one, else ESC-50.

    Raises:
        DatasetError: it is not there any more.
    """
    folder = Path(model or "")
    folder = folder if folder.is_dir() else folder.parent
    if model is None or not all((folder / name).is_file() for name in (CONFIG_FILE, STATUS_FILE)):
        return default_data_folder()
    _, (run,) = reopen(folder)
    if not run.data.exists():
        raise DatasetError(
            f"{run.data}: the data set of {folder} is not there any more", hint="--data says where it lies now"
        )
    return run.data


def pool(parts: list[Evaluation]) -> Evaluation:
    """Several folds as one evaluation."""
    return dataclasses.replace(
        parts[0],
        clips=tuple(clip for part in parts for clip in part.clips),
        truth=np.concatenate([part.truth for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        models={fold: card for part in parts for fold, card in part.models.items()},
        sound_warnings=tuple(warning for part in parts for warning in part.sound_warnings),
        seen=frozenset().union(*(part.clips_seen for part in parts)),
    )
