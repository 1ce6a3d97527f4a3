"""How good scores are: accuracy, top-k, log loss, calibration, per class, confusion. Arrays in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


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

    def reliability(self, bins: int = 15) -> NDArray[np.float64]:
        """Clips sorted into equal `bins` by their highest score: (bins, 3), sum of those scores, how many of the clips
        are named right, and how many clips there are.
        """
        sure, right = self.scores.max(axis=1), self.predicted == self.truth
        place = np.minimum((sure * bins).astype(np.int64), bins - 1)
        return np.stack([np.bincount(place, weights=w, minlength=bins) for w in (sure, right, np.ones(len(sure)))], 1)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error (C. Guo et al., 2017): how far scores and shares of right answers lie apart.

        The gap between mean score and accuracy of each bin of `reliability` counts with its share of the clips.
        """
        scores, right, _ = self.reliability().T
        return float(np.abs(scores - right).sum() / len(self.truth))

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


def pool(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Several folds as one evaluation; every clip was scored by the model that did not learn from it."""
    return Evaluation(
        labels=evaluations[0].labels,
        names=tuple(name for evaluation in evaluations for name in evaluation.names),
        truth=np.concatenate([evaluation.truth for evaluation in evaluations]),
        scores=np.concatenate([evaluation.scores for evaluation in evaluations]),
    )
