"""What an evaluation found: scores of labelled clips, and every figure that follows from them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from escnn.audio.windows import NOTHING_ABOVE
from escnn.data.dataset import Clip
from escnn.evaluation import metrics
from escnn.evaluation.metrics import CalibrationBin
from escnn.model.card import ModelCard
from escnn.runs.run import EpochMetrics

SCHEMA = "escnn.evaluation/1"
CROSS_VALIDATION_SCHEMA = "escnn.cross-validation/1"
MOST_WARNINGS = 3  # clips whose warnings are said one by one
_HARMLESS = (NOTHING_ABOVE, "the sound lasts ")  # how warnings begin that tell of no damage


@dataclass(frozen=True)
class Evaluation:
    """Scores of labelled clips: of one fold, or of several, each scored by the model that was not trained on it.

    `truth` is (clips,), class ids; `scores` (clips, classes), rows adding up to one; `models` the model of each fold.
    """

    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    truth: NDArray[np.int64]
    scores: NDArray[np.float32]
    models: dict[int, ModelCard]  # by fold; 0 for clips in none
    data_name: str
    data_digest: str
    tta: int  # ways in which every window was scored
    versions: dict[str, str]
    seen: frozenset[str] | None = None  # names of clips that were trained on; None: those in the folds trained on
    sound_warnings: tuple[tuple[str, str], ...] = ()  # what a person should know of clips: (name, text)

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that were evaluated."""
        return tuple(self.models)

    @property
    def model(self) -> ModelCard:
        """The model, or the first of several."""
        return next(iter(self.models.values()))

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Class id with the highest score, (clips,)."""
        best: NDArray[np.int64] = self.scores.argmax(axis=1)
        return best

    @property
    def accuracy(self) -> float:
        """Share of clips named right."""
        return metrics.accuracy(self.truth, self.scores)

    @property
    def balanced_accuracy(self) -> float:
        """Mean share of clips named right over the classes."""
        return metrics.balanced_accuracy(self.truth, self.scores)

    def top_k_accuracy(self, k: int) -> float:
        """Share of clips whose class is among the `k` highest scores."""
        return metrics.top_k_accuracy(self.truth, self.scores, k)

    def baseline(self, k: int = 1) -> float:
        """Top-k accuracy of naming the `k` most frequent classes, whatever the clip."""
        return metrics.baseline(self.truth, k)

    @property
    def log_loss(self) -> float:
        """Mean of -ln of the score that the true class was given."""
        return metrics.log_loss(self.truth, self.scores)

    @property
    def calibration_bins(self) -> list[CalibrationBin]:
        """The clips by their highest score."""
        return metrics.calibration_bins(self.truth, self.scores)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error."""
        return metrics.calibration_error(self.calibration_bins)

    @property
    def confusion_matrix(self) -> NDArray[np.int64]:
        """Counts (classes, classes): row the true class, column the predicted one."""
        return metrics.confusion_matrix(self.truth, self.scores)

    def per_class(self) -> pd.DataFrame:
        """A row a class: precision, recall, F1 (0 where undefined) and the number of its clips."""
        return metrics.per_class(self.confusion_matrix, self.labels)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have clips."""
        return metrics.macro_f1(self.per_class())

    def most_confused(self, count: int = 10) -> list[dict[str, Any]]:
        """Pairs of true and predicted class with the most mistakes, most first."""
        return metrics.most_confused(self.confusion_matrix, self.labels, count)

    def confused(self) -> pd.DataFrame:
        """A row for each of the `most_confused` pairs."""
        return metrics.pairs_table(self.most_confused())

    def predictions(self) -> pd.DataFrame:
        """A row a clip: its name, true and predicted class, the scores of both, and whether it was named right."""
        rows = np.arange(len(self.truth))
        return pd.DataFrame(
            {
                "clip": metrics.texts(clip.name for clip in self.clips),
                "true": metrics.texts(self.labels[index] for index in self.truth),
                "predicted": metrics.texts(self.labels[index] for index in self.predicted),
                "score": self.scores[rows, self.predicted],
                "true_score": self.scores[rows, self.truth],
                "correct": self.predicted == self.truth,
            }
        )

    @property
    def clips_seen(self) -> frozenset[str]:
        """Names of the clips that their model was trained on, or on copies of them."""
        if self.seen is None:
            return frozenset(clip.name for clip in self.clips if clip.fold in self.models[clip.fold].folds_seen)
        return self.seen & {clip.name for clip in self.clips}

    @property
    def folds_trained_on(self) -> tuple[int, ...]:
        """Folds whose model was trained on all of their clips: the figures say little about new sounds."""
        seen = self.clips_seen
        unseen = {clip.fold for clip in self.clips if clip.name not in seen}
        return tuple(fold for fold in self.models if fold not in unseen)

    @property
    def measured_on(self) -> str:
        """What was measured, in words: "fold 5", "folds 1 to 4", or "all clips" of a data set that is in no folds."""
        folds = self.folds
        if len(folds) > 2 and list(folds) == list(range(folds[0], folds[-1] + 1)):
            return f"folds {folds[0]} to {folds[-1]}"
        return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}" if any(folds) else "all clips"

    @property
    def caveats(self) -> list[str]:
        """What the figures do not say, in sentences."""
        found = [
            f"the model was trained on fold {fold}: its figures say little about new sounds"
            for fold in self.folds_trained_on
        ]
        learned = {fold for card in self.models.values() for fold in card.folds_seen}
        if len(self.models) > 1 and (missing := sorted(learned - set(self.folds))):
            folds = f"fold{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
            found.append(f"no finished run tests on {folds}: these clips are not among the figures")
        for part in self.by_fold():
            there = set(part.truth.tolist())
            if absent := [label for index, label in enumerate(self.labels) if index not in there]:
                where = f"fold {part.folds[0]}" if part.folds[0] else "the data set"
                classes = absent[0] if len(absent) == 1 else f"{len(absent)} of {len(self.labels)} classes"
                found.append(f"{where} holds no clip of {classes}: how well they are told is not measured there")
        return found

    def by_fold(self) -> list[Evaluation]:
        """An evaluation of each fold."""
        if len(self.models) == 1:
            return [self]
        folds = np.array([clip.fold for clip in self.clips])
        return [
            dataclasses.replace(
                self,
                clips=tuple(clip for clip in self.clips if clip.fold == fold),
                truth=self.truth[folds == fold],
                scores=self.scores[folds == fold],
                models={fold: card},
                sound_warnings=(),
            )
            for fold, card in self.models.items()
        ]

    def spread(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation (n - 1) over two folds or more, of accuracy, top-5 accuracy and macro F1."""
        figures = [fold.figures() for fold in self.by_fold()]
        return {
            name: metrics.mean_and_deviation([row[name] for row in figures])
            for name in ("accuracy", "top5_accuracy", "macro_f1")
        }

    def figures(self) -> dict[str, Any]:
        """The figures of one fold, as they stand in JSON and in a model file."""
        return {
            "fold": self.folds[0] or None,
            "clips": len(self.truth),
            "views": self.tta,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "top5_accuracy": self.top_k_accuracy(5),
            "macro_f1": self.macro_f1,
            "log_loss": self.log_loss,
            "calibration_error": self.calibration_error,
        }

    def to_json(self) -> dict[str, Any]:
        """The evaluation as JSON types: of one fold in detail, or of a cross-validation by fold."""
        if len(self.models) > 1:
            return self._cross_validation_json()
        figures = self.figures()
        return {
            "schema": SCHEMA,
            "fold": figures.pop("fold"),
            "seen_in_training": bool(self.clips_seen),
            **figures,
            "most_confused": self.most_confused(),
            "per_class": json.loads(self.per_class().to_json(orient="records")),
            "model": {
                "name": self.model.name,
                "sha256": self.model.sha256,
                "parameters": self.model.parameters,
                "training": self.model.training_summary,
            },
        }

    def _cross_validation_json(self) -> dict[str, Any]:
        """Figures of all clips together and per fold, their mean and their standard deviation (n - 1), as JSON types.

        The first are the ones to tell: in small folds one class may be all there is, and their mean says little.
        """
        parts = self.by_fold()
        rows = [{**part.figures(), "seen_in_training": bool(part.clips_seen)} for part in parts]
        mean, deviation = metrics.mean_and_deviation([row["accuracy"] for row in rows])

        def mean_of(name: str) -> float:
            return metrics.mean_and_deviation([row[name] for row in rows])[0]

        return {
            "schema": CROSS_VALIDATION_SCHEMA,
            "clips": len(self.truth),
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "top5_accuracy": self.top_k_accuracy(5),
            "macro_f1": self.macro_f1,
            "folds": rows,
            "mean_accuracy": mean,
            "std_accuracy": deviation,
            "mean_log_loss": mean_of("log_loss"),
            "mean_calibration_error": mean_of("calibration_error"),
            "mean_top5_accuracy": mean_of("top5_accuracy"),
        }

    def to_html(
        self, *, history: Sequence[EpochMetrics] = (), embed_audio: bool = False, command: Sequence[str] = ()
    ) -> str:
        """The page about the evaluation, as one HTML file.

        Args:
            history: of the training, if there was one training.
            embed_audio: put every clip into the page, to be listened to.
            command: as typed, to be shown.
        """
        from escnn.report.evaluation.page import evaluation_page

        return evaluation_page(self, history=history, embed_audio=embed_audio, command=command)

    def save(self, folder: Path | str) -> None:
        """Write figures, tables and the confusion matrix into `folder`, which is made if it is not there."""
        from escnn.report.evaluation.folder import save_evaluation

        save_evaluation(self, Path(folder))

    def _repr_html_(self) -> str:
        from escnn.report.html import in_frame

        return in_frame(self.to_html())


def first_warnings(warnings: Sequence[tuple[str, str]], place: str) -> list[str]:
    """What to say of warnings of clips, as (name, text): a line for the first few clips, and how many more in `place`.

    Clips that are whole, and only short or without treble, come last.
    """
    texts: dict[str, list[str]] = {}
    for name, text in warnings:
        texts.setdefault(name, []).append(text)
    ordered = sorted(texts, key=lambda name: all(text.startswith(_HARMLESS) for text in texts[name]))
    lines = [f"{name}: {'; '.join(texts[name])}" for name in ordered[:MOST_WARNINGS]]
    if more := len(ordered) - len(lines):
        lines.append(
            f"warnings about {more} more clip{'s' if more > 1 else ''}, all of them in warnings.csv of {place}"
        )
    return lines
