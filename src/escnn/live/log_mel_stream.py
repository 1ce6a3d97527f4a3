"""The log-mel of a sound that comes piece by piece: every frame as soon as the samples that it takes are there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from escnn.audio.log_mel import AudioConfig

Array = NDArray[np.float32]
LogMels = Callable[[Array], Array]  # waveforms (windows, time) to dB (windows, mels, frames)


class LogMelStream:
    """Gives the frames of `detection.frame_scores.stream_log_mels`, bit for bit, but waits for no piece to fill."""

    def __init__(self, log_mels: LogMels, audio: AudioConfig) -> None:
        self._log_mels, self._audio = log_mels, audio
        self._lead = -(-audio.n_fft // 2 // audio.hop_length)  # frames whose spectra reach beyond where they stand
        self._waiting: Array = np.zeros(self._lead * audio.hop_length, dtype=np.float32)  # silence before the sound
        self.samples = 0  # that came
        self.frames = 0  # that were given

    def feed(self, samples: Array) -> Array:
        """The frames, (mels, frames), that are known once these `samples`, (time,), are; often none."""
        self.samples += len(samples)
        self._waiting = np.concatenate((self._waiting, samples))
        return self._take(len(self._waiting) // self._audio.hop_length - 2 * self._lead)

    def end(self) -> Array:
        """The frames that are left; what lies beyond the end is silence, and so is what a window lacks."""
        hop = self._audio.hop_length
        left = 1 + max(self.samples, self._audio.window_samples) // hop - self.frames
        size = (2 * self._lead + left) * hop
        self._waiting = np.pad(self._waiting[:size], (0, max(0, size - len(self._waiting))))
        return self._take(left)

    def _take(self, count: int) -> Array:
        if count <= 0:
            return np.zeros((self._audio.n_mels, 0), dtype=np.float32)
        size = (2 * self._lead + count) * self._audio.hop_length
        log_mel: Array = self._log_mels(self._waiting[None, :size])[0][:, self._lead : self._lead + count]
        self._waiting = self._waiting[count * self._audio.hop_length :]
        self.frames += count
        return log_mel


class Frames:
    """The last frames of a log-mel, `first` being the number of the first that is kept."""

    def __init__(self, mels: int, keep: int) -> None:
        """At least `keep` frames are kept, and at most twice as many."""
        self._kept: Array = np.zeros((mels, 2 * keep), dtype=np.float32)
        self._keep = keep
        self.first = self.end = 0

    def add(self, log_mel: Array) -> None:
        """Add frames, (mels, frames)."""
        for start in range(0, log_mel.shape[1], self._keep):
            self._add(log_mel[:, start : start + self._keep])

    def between(self, start: int, end: int) -> Array:
        """The frames from number `start` to before `end`, as an array of its own, (mels, frames)."""
        return np.ascontiguousarray(self._kept[:, start - self.first : end - self.first])

    def _add(self, log_mel: Array) -> None:
        count, held = log_mel.shape[1], self.end - self.first
        if held + count > self._kept.shape[1]:
            kept = min(held, self._keep)
            self._kept[:, :kept] = self._kept[:, held - kept : held].copy()
            self.first, held = self.end - kept, kept
        self._kept[:, held : held + count] = log_mel
        self.end += count
