"""What a classifier says of a sound: a prediction, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from escnn.errors import AudioError
from escnn.inference import formats
from escnn.model.card import ModelCard

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The scores of a sound. `scores` (classes,) add up to one: the mean over its windows."""

    name: str
    seconds: float
    scores: Array
    window_scores: Array  # (windows, classes)
    window_starts: tuple[float, ...]  # seconds
    model: ModelCard
    warnings: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.labels

    def top(self, count: int, min_score: float = 0.0) -> list[tuple[str, int, float]]:
        """The best `count` classes as (label, class id, score), best first, none below `min_score`."""
        return self._top(self.scores, count, min_score)

    def _top(self, scores: Array, count: int, min_score: float) -> list[tuple[str, int, float]]:
        best = np.argsort(-scores, kind="stable")[:count]
        return [(self.labels[i], int(i), float(scores[i])) for i in best if scores[i] >= min_score]

    def to_json(self, *, top_k: int = 5, min_score: float = 0.0, windows: bool = False) -> dict[str, Any]:
        """The prediction as JSON types, after ``docs/prediction.schema.json``; with `windows` of each window, too."""

        def answers(scores: Array, highest: Array | None = None) -> list[formats.ClassScore]:
            return [
                formats.ClassScore(
                    label,
                    class_id,
                    round(score, 6),
                    msgspec.UNSET if highest is None else round(float(highest[class_id]), 6),
                )
                for label, class_id, score in self._top(scores, top_k, min_score)
            ]

        length = self.model.audio.clip_seconds
        more = {
            "window_scores": [
                formats.WindowScores(round(start, 6), round(min(start + length, self.seconds), 6), answers(scores))
                for start, scores in zip(self.window_starts, self.window_scores, strict=True)
            ]
        }
        return formats.document(
            path=self.name,
            status="ok",
            duration_seconds=round(self.seconds, 6),
            windows=len(self.window_starts),
            predictions=answers(self.scores, self.window_scores.max(axis=0)),
            model=formats.ModelReference(**self.model.describe()),
            warnings=list(self.warnings),
            **(more if windows else {}),
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A sound that could not be read, and why."""

    name: str
    error: AudioError
    model: ModelCard

    def to_json(self, **_: Any) -> dict[str, Any]:
        """The failure as JSON types, after ``docs/prediction.schema.json``."""
        return formats.document(
            path=self.name,
            status="error",
            duration_seconds=None,
            windows=0,
            predictions=[],
            model=formats.ModelReference(**self.model.describe()),
            error=formats.ErrorDetail(self.error.code, self.error.message, self.error.hint),
        )
