"""Every metric, once: arrays in, figures out.

`truth` is (clips,), class ids; `scores` (clips, classes), rows adding up to one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Truth = NDArray[np.integer[Any]]
Scores = NDArray[np.floating[Any]]
CALIBRATION_BINS = 15
Z95 = 1.959963984540054  # 97.5 % of a normal distribution lie below: two-sided 95 %


def accuracy(truth: Truth, scores: Scores) -> float:
    """Share of clips named right."""
    return float((scores.argmax(axis=1) == truth).mean())


def balanced_accuracy(truth: Truth, scores: Scores) -> float:
    """Mean share of clips named right over the classes that have clips: always naming one class does not pay."""
    clips = np.bincount(truth)
    hits = np.bincount(truth, weights=scores.argmax(axis=1) == truth)
    return float((hits[clips > 0] / clips[clips > 0]).mean())


def top_k_accuracy(truth: Truth, scores: Scores, k: int) -> float:
    """Share of clips whose class is among the `k` highest scores."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((best == truth[:, None]).any(axis=1).mean())


def baseline(truth: Truth, k: int = 1) -> float:
    """Top-k accuracy of naming the `k` most frequent classes, whatever the clip."""
    return float(np.sort(np.bincount(truth))[-k:].sum() / len(truth))


def log_loss(truth: Truth, scores: Scores) -> float:
    """Mean of -ln of the score that the true class was given; 0 is perfect."""
    return float(-np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-7)).mean())


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The clips whose score fell into one of equally wide bins: bin k of n holds k / n to (k + 1) / n."""

    score_sum: float
    right: float  # how many of the clips are named right
    count: int

    @property
    def mean_score(self) -> float:
        """0 to 1; of no meaning without clips."""
        return self.score_sum / max(self.count, 1)

    @property
    def accuracy(self) -> float:
        """0 to 1; of no meaning without clips."""
        return self.right / max(self.count, 1)


def calibration_bins(truth: Truth, scores: Scores, bins: int = CALIBRATION_BINS) -> list[CalibrationBin]:
    """Clips sorted into equal bins by their highest score."""
    highest, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    place = np.minimum((highest * bins).astype(np.int64), bins - 1)
    sums = [np.bincount(place, weights=w, minlength=bins) for w in (highest, right, np.ones(len(highest)))]
    return [CalibrationBin(score, hits, int(count)) for score, hits, count in np.stack(sums, 1).tolist()]


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Expected calibration error (C. Guo et al., 2017): mean gap between score and accuracy of each bin, by clips."""
    gaps = np.array([part.score_sum - part.right for part in bins])
    return float(np.abs(gaps).sum() / sum(part.count for part in bins))


def confusion_matrix(truth: Truth, scores: Scores) -> NDArray[np.int64]:
    """Counts (classes, classes): row the true class, column the predicted one."""
    classes = scores.shape[1]
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (truth, scores.argmax(axis=1)), 1)
    return matrix


def texts(values: Iterable[str]) -> pd.Series[Any]:
    """A column of names as they are: where pyarrow is installed, pandas would refuse bytes that are not UTF-8."""
    return pd.Series(list(values), dtype=object)


def per_class(matrix: NDArray[np.int64], labels: Sequence[str]) -> pd.DataFrame:
    """A row a class: precision, recall, F1 (0 where undefined), the number of its clips, and of answers that named it.

    `matrix` is a confusion matrix. Of a class without clips nothing was measured: its figures are NaN, which JSON and
    CSV leave empty.
    """
    hits, predicted, clips = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    measured = np.where(clips > 0, 1.0, np.nan)
    return pd.DataFrame(
        {
            "label": texts(labels),
            "precision": measured * hits / np.maximum(predicted, 1),
            "recall": measured * hits / np.maximum(clips, 1),
            "f1": measured * 2 * hits / np.maximum(predicted + clips, 1),
            "clips": clips,
            "predicted": predicted,
        }
    )


def macro_f1(table: pd.DataFrame) -> float:
    """Mean F1 of the classes that have clips, from `per_class`."""
    return float(table["f1"][table["clips"] > 0].mean())


def most_confused(matrix: NDArray[np.int64], labels: Sequence[str], count: int = 10) -> list[dict[str, Any]]:
    """Pairs of true and predicted class with the most mistakes, most first."""
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = [np.unravel_index(place, mistakes.shape) for place in order]
    return [
        {"true": labels[row], "predicted": labels[column], "clips": int(mistakes[row, column])}
        for row, column in pairs
        if mistakes[row, column] > 0
    ]


def pairs_table(pairs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Pairs of `most_confused` as a table, a row each."""
    columns = {name: texts(pair[name] for pair in pairs) for name in ("true", "predicted")}
    return pd.DataFrame({**columns, "clips": [pair["clips"] for pair in pairs]})


def wilson_interval(right: int, clips: int) -> tuple[float, float]:
    """The shares that go with `right` of `clips` at 95 % confidence (E. B. Wilson, 1927)."""
    share, square = right / clips, Z95**2 / clips
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1) of two values or more."""
    return statistics.fmean(values), statistics.stdev(values)


def fit_temperature(truth: Truth, scores: Scores) -> float:
    """The number by which to divide logits so that scores say how often the network is right (C. Guo et al., 2017).

    It makes the log loss least. Below one the network was too modest, above one too sure; which class is named never
    changes. To be fitted on clips that the network was not trained on.
    """
    logits = np.log(np.maximum(scores.astype(np.float64), 1e-12))  # but for a constant of each clip
    true = logits[np.arange(len(truth)), truth]
    low, high = 0.05, 20.0  # of the factor 1 / temperature, in which the log loss is convex: halve where it turns
    for _ in range(60):
        factor = (low + high) / 2
        scaled = np.exp(factor * (logits - logits.max(axis=1, keepdims=True)))
        expected = (scaled * logits).sum(axis=1) / scaled.sum(axis=1)
        low, high = (low, factor) if (expected - true).mean() > 0 else (factor, high)
    return 2 / (low + high)
