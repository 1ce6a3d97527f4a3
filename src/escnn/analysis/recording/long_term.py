"""A spectrogram of a recording of any length, of bounded size, and how loud the recording is at each moment."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from escnn.audio.decoding import Samples
from escnn.audio.log_mel import AudioConfig, full_scale_db, hann_window, mel_filters

Array = NDArray[np.float32]
MOST_COLUMNS = 16_384
MOST_BANDS = 64
LEVEL_SECONDS = 0.1
SILENCE_DB = -120.0
FRAMES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class LongTermSpectrogram:
    """The mean power of each stretch of a recording in mel bands."""

    decibels: Array  # (mels, columns), 0 dB is a sine of full scale
    column_seconds: float
    audio: AudioConfig  # of its bands


@dataclass(frozen=True, slots=True)
class Levels:
    """The root mean square of each `LEVEL_SECONDS` of a recording, in dB of full scale."""

    decibels: Array  # (stretches,)

    def loudest(self, start: float, end: float) -> float:
        """The highest level between two moments, in seconds."""
        first = min(max(0, math.floor(start / LEVEL_SECONDS)), len(self.decibels) - 1)
        last = max(first + 1, math.ceil(end / LEVEL_SECONDS))
        return float(self.decibels[first:last].max())


class LongTermListener:
    """Takes the blocks of a recording at the model's rate.

    A column begins as one frame, as long as the transform. Whenever there are more than `most_columns`, each two
    become one: the longer the recording, the coarser it gets, and the less does it matter where frames begin.
    """

    def __init__(self, audio: AudioConfig, most_columns: int = MOST_COLUMNS) -> None:
        self._audio = structs.replace(audio, n_mels=min(audio.n_mels, MOST_BANDS), hop_length=audio.n_fft)
        self._window, self._filters = hann_window(audio.n_fft), mel_filters(self._audio).T  # (bins, mels)
        self._columns = np.zeros((most_columns, self._audio.n_mels), dtype=np.float32)  # sums of power
        self._full, self._per_column = 0, 1  # columns that are full; frames in each
        self._open = np.zeros(self._audio.n_mels, dtype=np.float32)  # the column that is not full yet
        self._open_frames = 0
        self._waiting: list[Samples] = []
        self._count = 0
        self._levels: list[Array] = []
        self._level_samples = max(1, round(LEVEL_SECONDS * audio.sample_rate))
        self._rest: Samples = np.zeros(0, dtype=np.float32)

    def add(self, block: Samples) -> None:
        """The next samples, (time,)."""
        self._waiting.append(block)
        self._count += len(block)
        if self._count >= FRAMES_AT_ONCE * self._audio.n_fft:
            self._take(np.concatenate(self._waiting))

    def end(self) -> tuple[LongTermSpectrogram, Levels]:
        """What all that was added makes."""
        size = self._audio.n_fft
        joined = np.concatenate([*self._waiting, np.zeros(0, dtype=np.float32)])
        self._take(joined)
        rest = self._waiting[0]
        if len(rest):
            self._add_frames(np.pad(rest, (0, size - len(rest)))[None])
            self._rest = np.concatenate((self._rest, rest))
        if len(self._rest):
            self._levels.append(_level(self._rest[None]))
        columns, frames = self._columns[: self._full] / self._per_column, self._open_frames
        if frames:
            columns = np.concatenate((columns, self._open[None] / frames))
        decibels = 10 * np.log10(np.maximum(columns.T, 1e-20)) - full_scale_db(self._audio)
        spectrogram = LongTermSpectrogram(
            np.maximum(decibels, self._audio.floor_db).astype(np.float32),
            self._per_column * size / self._audio.sample_rate,
            self._audio,
        )
        return spectrogram, Levels(np.concatenate(self._levels))

    def _take(self, samples: Samples) -> None:
        size = self._audio.n_fft
        whole = len(samples) // size
        framed = samples[: whole * size].reshape(whole, size)
        self._waiting, self._count = [samples[whole * size :]], len(samples) - whole * size
        for start in range(0, whole, FRAMES_AT_ONCE):
            self._add_frames(framed[start : start + FRAMES_AT_ONCE])
        level = np.concatenate((self._rest, samples[: whole * size]))
        count = len(level) // self._level_samples
        self._rest = level[count * self._level_samples :].copy()
        if count:
            self._levels.append(_level(level[: count * self._level_samples].reshape(count, -1)))

    def _add_frames(self, framed: Samples) -> None:
        """Frames of sound, (frames, time)."""
        spectrum = np.fft.rfft(framed * self._window, axis=1)
        power = (np.square(spectrum.real) + np.square(spectrum.imag)).astype(np.float32)
        for row in power @ self._filters:
            self._add_frame(row)

    def _add_frame(self, power: Array) -> None:
        self._open += power
        self._open_frames += 1
        if self._open_frames < self._per_column:
            return
        if self._full == len(self._columns):
            half = self._full // 2
            self._columns[:half] = self._columns[0 : 2 * half : 2] + self._columns[1 : 2 * half : 2]
            self._full, self._per_column = half, 2 * self._per_column
            return  # the open column is half of a new one now
        self._columns[self._full] = self._open
        self._full += 1
        self._open[:] = 0
        self._open_frames = 0


def _level(stretches: Samples) -> Array:
    """Of stretches (count, time)."""
    square = np.mean(np.square(stretches, dtype=np.float64), axis=1)
    level: Array = np.maximum(10 * np.log10(np.maximum(square, 1e-20)), SILENCE_DB).astype(np.float32)
    return level
