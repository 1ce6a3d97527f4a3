"""What sounds when, asked of a network that was only ever taught what sounds: for models without a frame head.

Its last stage is a picture over time. Its classifier is shown single frames of it, which say when, and stretches of
them as long as a few seconds, which say what; a score is the geometric mean of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escnn.model.frames import WINDOW_FRAMES
from escnn.model.model_file import ModelFile

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FrameClassifier:
    """The classifier of a network: `weight` (classes, channels), `bias` (classes,), and how it pools over time."""

    weight: Array
    bias: Array
    mean_and_highest: bool

    @classmethod
    def of(cls, model: ModelFile) -> FrameClassifier:
        """That of a model file."""
        weights = model.weights
        pooling = model.card.model.pooling
        return cls(weights["classify.weight"], weights["classify.bias"], pooling == "mean+max")

    def scores(self, mean: Array, highest: Array) -> Array:
        """Scores (batch, frames, classes), rows adding up to one, of pooled frames (batch, frames, channels)."""
        logits = (mean + highest if self.mean_and_highest else mean) @ self.weight.T + self.bias
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores: Array = powers / powers.sum(axis=-1, keepdims=True)
        return scores

    def activation(self, maps: Array, class_ids: Sequence[int]) -> Array:
        """Class activation: maps of the last stage, (channels, mels, frames), weighted as for each class and summed to
        (classes, mels, frames); what is above 0 speaks for the class (B. Zhou et al.: Learning Deep Features for
        Discriminative Localization, CVPR 2016).
        """
        activation: Array = np.tensordot(self.weight[list(class_ids)], maps, axes=1)
        return activation


def frame_scores_without_head(last_stage: Array, classifier: FrameClassifier) -> Array:
    """Scores (batch, classes, frames), each 0 to 1, from the mean over mels of a network's last stage, (batch,
    channels, frames): the square root of the score of a frame times the highest of all stretches that it is part of.
    """
    frames = last_stage.transpose(0, 2, 1)  # (batch, frames, channels)
    alone = classifier.scores(frames, frames)
    stretches = classifier.scores(_around(frames, np.nanmean), _around(frames, np.nanmax))
    scores = np.sqrt(alone * _around(stretches, np.nanmax, mirrored=True))
    return np.ascontiguousarray(scores.transpose(0, 2, 1), dtype=np.float32)


def _around(values: Array, pool: Callable[..., Any], *, mirrored: bool = False) -> Array:
    """Of `WINDOW_FRAMES` frames around each, along axis 1, less where the sound ends; `mirrored`: of those stretches
    that hold it.
    """
    before, after = (WINDOW_FRAMES - 1) // 2, WINDOW_FRAMES // 2
    if mirrored:
        before, after = after, before
    padded = np.pad(values, ((0, 0), (before, after), (0, 0)), constant_values=np.nan)
    pooled: Array = pool(np.lib.stride_tricks.sliding_window_view(padded, WINDOW_FRAMES, axis=1), axis=-1)
    return pooled
