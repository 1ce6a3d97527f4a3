"""Sounds put together from training clips, of which it is known when each of them sounds: what a frame head learns on.

All in decibels of the log-mel, (mels, frames), from the features that the network was trained on: nothing is decoded.
Every draw comes from the generator that is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escnn.audio.log_mel import AudioConfig

Array = NDArray[np.float32]
Rng = np.random.Generator

MIXTURE_SECONDS = 10.0
SOUNDING_DB = 45.0  # below the loudest frame of a clip: what is quieter is silence
GAP_SECONDS = 0.5  # so much silence ends an event
CONTINUOUS_DB, CONTINUOUS_SHARE = 15.0, 0.9  # below its loudest frame at most, in that share of a background's frames
LOWEST_DB, HIGHEST_DB = -65.0, -25.0  # level of a background
FAINTEST_DB, LOUDEST_DB = -2.0, 25.0  # level of an event over the background
LOUDEST_EVENT_DB = 30.0  # by which an event's clip is made louder at most: its noise comes along
EVENT_COUNTS = (0, 1, 1, 2, 2, 3, 4)  # drawn from
OTHER_SHARE, LOUDEST_OTHER_DB = 0.2, 12.0  # of the mixtures also hold a sound of no class, so loud at most
NOISE_SHARE = 0.15  # of the backgrounds: noise in place of a clip
EQUALIZER_DB, EQUALIZER_KNOTS, SHIFT_MELS = 3.0, 6, 4


@dataclass(frozen=True, slots=True)
class Windows:
    """What there is to mix: some of the windows of a data set."""

    decibels: NDArray[np.float16]  # log-mels of all windows, (all windows, mels, frames)
    chosen: NDArray[np.int64]  # indices into them, (windows,)
    class_ids: NDArray[np.int64]  # of the chosen ones, (windows,)

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> NDArray[np.float16]:
        window: NDArray[np.float16] = self.decibels[self.chosen[index]]
        return window


class Mixtures:
    """Draws mixtures of `MIXTURE_SECONDS`: their log-mel, and which class sounds in each of its frames."""

    def __init__(self, windows: Windows, classes: int, audio: AudioConfig) -> None:
        """Look through the windows to mix."""
        self.windows, self.classes, self.audio = windows, classes, audio
        self.frames = 1 + round(MIXTURE_SECONDS * audio.sample_rate) // audio.hop_length
        gap = round(GAP_SECONDS * audio.sample_rate / audio.hop_length)
        found = [windows[index] for index in range(len(windows))]
        self._parts = [sounding_parts(window, audio.floor_db, gap) for window in found]
        self._continuous = [index for index, window in enumerate(found) if is_continuous(window)]

    def draw(self, rng: Rng, others: Sequence[Array] = (), nothing: float = 0.0) -> tuple[Array, Array]:
        """A mixture, (mels, frames), and its targets, (classes, frames) of zeros and ones.

        Args:
            rng: what is drawn from.
            others: log-mels (mels, frames) of sounds of no class, as long as a mixture or longer.
            nothing: share of the mixtures that hold only these.
        """
        if others and rng.random() < nothing:
            other = self._other(others, rng)
            gain = rng.uniform(LOWEST_DB, HIGHEST_DB) - level_db(other)
            decibels = _decibels(other) + np.float32(gain)
            return self._floored(decibels), np.zeros((self.classes, self.frames), np.float32)
        targets = np.zeros((self.classes, self.frames), np.float32)
        level = float(rng.uniform(LOWEST_DB, HIGHEST_DB))
        background, class_id = self._background(rng)
        if class_id is not None:
            targets[class_id] = 1
        power = background * np.float32(10 ** ((level - level_db(background)) / 10))
        if others and rng.random() < OTHER_SHARE:
            other = self._other(others, rng)
            gain = level + float(rng.uniform(FAINTEST_DB, LOUDEST_OTHER_DB)) - level_db(other)
            power += other * np.float32(10 ** (gain / 10))
        for _ in range(int(rng.choice(EVENT_COUNTS))):
            index = int(rng.integers(len(self.windows)))
            parts = self._parts[index]
            first, last = parts[int(rng.integers(len(parts)))]
            event = _power(self._varied(self.windows[index], rng)[:, first:last])
            length = event.shape[1]
            start = int(rng.integers(-(length // 2), self.frames - length // 2))
            inside = slice(max(0, -start), min(length, self.frames - start))
            gain = level + float(rng.uniform(FAINTEST_DB, LOUDEST_DB)) - level_db(event)
            if inside.stop - inside.start < 2 or gain > LOUDEST_EVENT_DB:
                continue
            there = slice(start + inside.start, start + inside.stop)
            power[:, there] += event[:, inside] * np.float32(10 ** (gain / 10))
            targets[self.windows.class_ids[index], there] = 1
        return self._floored(_decibels(power)), targets

    def _background(self, rng: Rng) -> tuple[Array, int | None]:
        """The powers of a clip that sounds throughout, over and over, with its class; or those of noise."""
        if not self._continuous or rng.random() < NOISE_SHARE:
            tilt = np.linspace(0, rng.uniform(-30, 10), self.audio.n_mels, dtype=np.float32)[:, None]
            grain = rng.standard_normal((self.audio.n_mels, self.frames), dtype=np.float32) * np.float32(5.6)
            return _power(tilt + grain), None
        index = self._continuous[int(rng.integers(len(self._continuous)))]
        clip = _power(self._varied(self.windows[index], rng))
        first = int(rng.integers(clip.shape[1]))
        repeats = math.ceil((first + self.frames) / clip.shape[1])
        return np.tile(clip, repeats)[:, first : first + self.frames], int(self.windows.class_ids[index])

    def _other(self, others: Sequence[Array], rng: Rng) -> Array:
        """The powers of a stretch of a sound of no class."""
        other = others[int(rng.integers(len(others)))]
        first = int(rng.integers(other.shape[1] - self.frames + 1))
        return _power(self._varied(other[:, first : first + self.frames], rng))

    def _varied(self, window: NDArray[np.floating], rng: Rng) -> Array:
        """Decibels through another microphone, a little higher or lower."""
        knots = rng.normal(0, EQUALIZER_DB, EQUALIZER_KNOTS)
        curve = np.interp(np.linspace(0, EQUALIZER_KNOTS - 1, self.audio.n_mels), range(EQUALIZER_KNOTS), knots)
        varied: Array = window.astype(np.float32) + curve.astype(np.float32)[:, None]
        shift = int(rng.integers(-SHIFT_MELS, SHIFT_MELS + 1))
        varied = np.roll(varied, shift, axis=0)
        varied[: max(0, shift)] = self.audio.floor_db
        varied[len(varied) + min(0, shift) :] = self.audio.floor_db
        return varied

    def _floored(self, decibels: Array) -> Array:
        return np.maximum(decibels, np.float32(self.audio.floor_db))


def sounding_parts(decibels: NDArray[np.floating], floor_db: float, gap: int) -> list[tuple[int, int]]:
    """Where a log-mel (mels, frames) sounds: (first, last + 1) of its frames, parts more than `gap` frames apart.

    A frame sounds if its power is within `SOUNDING_DB` of the loudest one. The longest part comes first; where nothing
    is louder than the floor, all of it is one.
    """
    power = _power(decibels.astype(np.float32)).sum(axis=0)
    silent = len(decibels) * 10 ** (floor_db / 10) * 1.01
    loud = np.flatnonzero(power > max(silent, float(power.max()) * 10 ** (-SOUNDING_DB / 10)))
    if not len(loud):
        return [(0, decibels.shape[1])]
    edges = np.flatnonzero(np.diff(loud) > gap)
    firsts, lasts = loud[np.r_[0, edges + 1]], loud[np.r_[edges, len(loud) - 1]] + 1
    return sorted(zip(firsts.tolist(), lasts.tolist(), strict=True), key=lambda part: part[0] - part[1])


def is_continuous(decibels: NDArray[np.floating]) -> bool:
    """Whether a log-mel (mels, frames) sounds all the time, as loud as ever: then it can be a background."""
    power = _power(decibels.astype(np.float32)).sum(axis=0)
    return float(np.mean(power > power.max() * 10 ** (-CONTINUOUS_DB / 10))) >= CONTINUOUS_SHARE


def level_db(power: Array) -> float:
    """The level of a sound whose powers are (mels, frames): of the sum over mels, averaged over time."""
    return 10 * math.log10(float(power.sum(axis=0).mean()) + 1e-20)


def _decibels(power: Array) -> Array:
    decibels: Array = 10 * np.log10(power + np.float32(1e-20))
    return decibels


def _power(decibels: Array) -> Array:
    power: Array = np.exp(decibels * np.float32(math.log(10) / 10))
    return power
