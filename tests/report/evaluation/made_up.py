"""Evaluations made up for the tests of their page: no network scored anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from escnn.audio.log_mel import AudioConfig, Normalization
from escnn.data.dataset import Clip
from escnn.evaluation.evaluation import Evaluation
from escnn.model.architecture import ModelConfig
from escnn.model.card import ModelCard
from escnn.runs.run import EpochMetrics

Answer = tuple[int, int, float, float]  # true class, predicted class, their scores: of the predicted, of the true


def card(labels: Sequence[str], fold: int = 5, folds: int = 5) -> ModelCard:
    """The model whose test fold was `fold`."""
    trained_on = [other for other in range(1, folds + 1) if other != fold]
    return ModelCard(
        name=f"fold{fold}",
        labels=tuple(labels),
        audio=AudioConfig(),
        model=ModelConfig(),
        normalization=Normalization(-60.0, 25.0),
        training={"fold": fold, "trained_on_folds": trained_on, "epochs": 60, "seed": 7, "seconds": 4320.0},
        sha256="cd" * 32,
    )


def evaluation_of(
    labels: Sequence[str],
    answers: Sequence[Answer],
    *,
    names: Sequence[str] | None = None,
    paths: Sequence[Path] | None = None,
    folds: Sequence[int] | None = None,
) -> Evaluation:
    """An evaluation with these answers; what they leave of a clip's score is spread evenly over the other classes."""
    scores = np.zeros((len(answers), len(labels)), dtype=np.float32)
    for row, (true, predicted, score, true_score) in zip(scores, answers, strict=True):
        named = score + (true_score if true != predicted else 0)
        row[:] = (1 - named) / max(len(labels) - len({true, predicted}), 1)
        row[true], row[predicted] = true_score, score
    names = names or [f"5-{number}.wav" for number in range(len(answers))]
    paths = paths or [Path(name) for name in names]
    folds = folds or [5] * len(answers)
    return Evaluation(
        labels=tuple(labels),
        clips=tuple(
            Clip(name, path, true, fold)
            for name, path, (true, *_), fold in zip(names, paths, answers, folds, strict=True)
        ),
        truth=np.array([true for true, *_ in answers]),
        scores=scores,
        models={fold: card(labels, fold) for fold in sorted(set(folds))},
        data_name="ESC-50",
        data_digest="ab" * 32,
        tta=1,
        versions={"escnn": "0.1.0", "torch": "2.14.1"},
    )


def small() -> Evaluation:
    """Six classes, ten clips, three mistakes; nothing is called "hen", and no clip is of a "cow"."""
    pairs = [(0, 0), (0, 0), (0, 1), (0, 1), (1, 1), (1, 1), (2, 2), (3, 3), (5, 0), (3, 3)]
    scores = [0.5, 0.54, 0.58, 0.62, 0.66, 0.7, 0.74, 0.78, 0.86, 0.99961]
    return evaluation_of(
        ["dog", "sea_waves", "rain", "cat", "cow", "hen"],
        [
            (true, predicted, score, score if true == predicted else 0.1)
            for (true, predicted), score in zip(pairs, scores, strict=True)
        ],
    )


def large(classes: int = 50, clips: int = 1600, label: str = "class_number") -> Evaluation:
    """Four folds, the classes equally frequent."""
    rng = np.random.default_rng(0)
    answers: list[Answer] = []
    for number in range(clips):
        true = number % classes
        predicted = true if rng.random() < 0.85 else int(rng.integers(classes))
        score = float(rng.uniform(0.35, 1.0))
        answers.append((true, predicted, score, score if true == predicted else (1 - score) / 3))
    folds = [1 + number % 4 for number in range(clips)]
    names = [f"{fold}-{100_000 + number}-A.wav" for number, fold in enumerate(folds)]
    return evaluation_of([f"{label}_{k}" for k in range(classes)], answers, names=names, folds=folds)


def history(epochs: int = 5) -> list[EpochMetrics]:
    """A training whose test fold was looked at after every other epoch."""
    return [
        EpochMetrics(
            epoch=number,
            loss=3 / number,
            train_accuracy=0.5 * number / epochs,
            validation_accuracy=None,
            held_out_accuracy=0.75 * number / epochs if number % 2 else None,
            learning_rate=1e-3,
            seconds=1.0,
            cpu_seconds=1.0,
            clips_per_second=100.0,
        )
        for number in range(1, epochs + 1)
    ]
