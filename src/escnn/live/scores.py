"""Scores of frames while the sound comes: final ones once all is known that they depend on, early ones before that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from escnn.detection.frame_scores import block_frames
from escnn.live.log_mel_stream import Frames, LogMelStream
from escnn.model.card import no_numbers

if TYPE_CHECKING:
    from escnn.inference.onnx_runtime import OnnxRuntime
    from escnn.network.runtime import TorchRuntime

Array = NDArray[np.float32]
FINAL_SECONDS = 1.5  # that the network is shown at once for final scores, beside what they depend on
# Of the network's last stage, in a block for final scores. With 64 or fewer, ONNX Runtime's linear algebra adds up in
# another order than in the long blocks of `detect`, and scores would differ by up to 6e-7. What a block lacks is filled
# up behind all that its scores depend on.
FEWEST_FRAMES = 66
REFLECTED = 2  # steps of the network's grid that early scores see reflected at the edge; see benchmarks/live.md


class FinalScores:
    """The scores that `detect` gives, as soon as they can be told."""

    def __init__(self, runtime: OnnxRuntime | TorchRuntime) -> None:
        card = runtime.card
        self._runtime, self._geometry = runtime, card.frame_geometry
        self._block = block_frames(card)  # of `detect`
        self._core = block_frames(card, FINAL_SECONDS)
        grid, margin = self._geometry.grid, self._geometry.margin
        self._window = max(self._core + 2 * margin, FEWEST_FRAMES * grid)
        self._stream = LogMelStream(runtime.log_mels, card.audio)
        self._frames = Frames(card.audio.n_mels, max(self._window, self._block + self._core + 2 * margin))
        self._next = 0  # the frame of the log-mel with the next score, on the network's grid

    @property
    def count(self) -> int:
        """How many scores were given."""
        return self._geometry.frames(self._next)

    def feed(self, samples: Array) -> list[Array]:
        """The next scores, in pieces (frames, classes), that are known once these `samples`, (time,), are."""
        parts = []
        for start in range(0, len(samples), self._runtime.card.audio.sample_rate):
            self._frames.add(self._stream.feed(samples[start : start + self._runtime.card.audio.sample_rate]))
            while self._frames.end > self._next + self._core + self._geometry.margin:
                end = self._next + self._core + self._geometry.margin
                parts.append(self._scored(max(0, end - self._window), end, self._next + self._core))
        return parts

    def end(self) -> list[Array]:
        """The scores that are left, from the blocks that `detect` would end with."""
        self._frames.add(self._stream.end())
        parts, margin = [], self._geometry.margin
        while self._next < self._frames.end:
            first = self._next // self._block * self._block
            last = min(first + self._block, self._frames.end)
            parts.append(self._scored(max(0, first - margin), min(self._frames.end, last + margin), last, is_end=True))
        return parts

    def _scored(self, start: int, end: int, last: int, *, is_end: bool = False) -> Array:
        """The scores from `self._next` to `last`, all in frames of the log-mel, of a block from `start` to `end`."""
        stride = self._geometry.stride
        log_mel = self._frames.between(start, end)
        if not is_end:
            log_mel = np.pad(log_mel, ((0, 0), (0, max(0, FEWEST_FRAMES * self._geometry.grid - (end - start)))))
        scores = scores_of(self._runtime, log_mel)
        wanted = scores[(self._next - start) // stride : -(-(last - start) // stride)].copy()
        self._next = last
        return wanted


class EarlyScores:
    """Scores of the last frames, from what is known by then; what comes next is taken to be the sound reflected."""

    def __init__(self, runtime: OnnxRuntime | TorchRuntime, wanted: int) -> None:
        """Each time, the scores of the last `wanted` frames are given."""
        card = runtime.card
        self._runtime, self._geometry, self._wanted = runtime, card.frame_geometry, wanted
        self.step = self._geometry.grid  # frames of the log-mel from one time to the next
        self._shown = self._geometry.margin + self._geometry.grid  # frames of the log-mel
        self._stream = LogMelStream(runtime.log_mels, card.audio)
        self._frames = Frames(card.audio.n_mels, self._shown + 2 * self.step)
        self._told = 0  # frames of the log-mel

    def feed(self, samples: Array) -> list[tuple[int, Array]]:
        """For every step that ends in these `samples`, (time,): the number of its first score, and scores (frames,
        classes).
        """
        found = []
        size = self.step * self._runtime.card.audio.hop_length
        for start in range(0, len(samples), size):
            self._frames.add(self._stream.feed(samples[start : start + size]))
            while self._frames.end >= self._told + self.step:
                self._told += self.step
                found.append(self._scored(self._told))
        return found

    def _scored(self, end: int) -> tuple[int, Array]:
        start = max(0, end - self._shown)
        log_mel = self._frames.between(start, end)
        ahead = log_mel[:, ::-1][:, : REFLECTED * self._geometry.grid]
        scores = scores_of(self._runtime, np.concatenate((log_mel, ahead), axis=1))
        last = (end - start) // self._geometry.stride
        first = max(0, last - self._wanted)
        return start // self._geometry.stride + first, scores[first:last]


def scores_of(runtime: OnnxRuntime | TorchRuntime, log_mel: Array) -> Array:
    """The scores, (frames, classes), of a log-mel, (mels, frames).

    Raises:
        ModelError: they are no numbers.
    """
    scores: Array = runtime.frame_scores(log_mel[None])[0].T
    if not np.isfinite(scores).all():
        raise no_numbers(runtime.card)
    return scores
