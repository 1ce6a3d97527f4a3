"""Three sounds that are computed, so that nobody needs a recording to try escnn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import Samples

Sound = NDArray[np.float64]  # (time,)
RATE = 44_100  # Hz
SECONDS = 5.0
TIME = np.arange(round(SECONDS * RATE)) / RATE


def siren() -> Sound:
    """A horn that wails between 600 and 1,200 Hz every three seconds, in a street."""
    hz = 900 - 300 * np.cos(2 * np.pi * TIME / 3.0)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    overtones = np.arange(1, 7)[:, None]
    return in_a_room((np.sin(overtones * phase) / overtones**1.5).sum(axis=0), loudness=0.6, seed=1)


def church_bells() -> Sound:
    """Two bells in turn; the partials of a bell are not harmonic, and the high ones die first."""
    sound = np.zeros_like(TIME)
    partials = {0.5: 1.0, 1.0: 0.9, 1.19: 0.8, 1.5: 0.5, 2.0: 0.8, 2.51: 0.3, 3.01: 0.3, 4.17: 0.2, 5.43: 0.15}
    for number, start in enumerate(np.arange(0.1, SECONDS, 0.8)):
        pitch = 440.0 if number % 2 else 523.0
        after = np.clip(TIME - start, 0, None)
        for ratio, loudness in partials.items():
            ring = loudness * np.exp(-after * (0.8 + 0.5 * ratio)) * np.sin(2 * np.pi * pitch * ratio * after)
            sound += np.where(after > 0, ring, 0)
    return in_a_room(sound, loudness=0.5, seed=2)


def clock_tick() -> Sound:
    """Short clicks, two a second, tick and tock."""
    rng = np.random.default_rng(0)
    sound = 0.002 * rng.standard_normal(len(TIME))
    for number, start in enumerate(np.arange(0.2, SECONDS - 0.1, 0.5)):
        after = np.clip(TIME - start, 0, None)
        hz = 1_500 if number % 2 else 1_900
        click = np.exp(-after * 180) * (np.sin(2 * np.pi * hz * after) + 0.5 * rng.standard_normal(len(TIME)))
        sound += np.where(after > 0, click, 0)
    return sound


def in_a_room(sound: Sound, *, loudness: float, seed: int) -> Sound:
    """Add an echo that dies away in about a second, and a little hiss."""
    rng = np.random.default_rng(seed)
    room = rng.standard_normal(len(TIME)) * np.exp(-5 * TIME)
    echo = np.fft.irfft(np.fft.rfft(sound, 2 * len(TIME)) * np.fft.rfft(room, 2 * len(TIME)))[: len(TIME)]
    heard: Sound = sound / np.abs(sound).max() + loudness * echo / np.abs(echo).max()
    heard += 0.01 * rng.standard_normal(len(TIME))
    return heard


DEMO_SOUNDS = {make.__name__: make for make in (siren, church_bells, clock_tick)}


def synthesized(name: str) -> Samples:
    """One of `DEMO_SOUNDS`, (time,), at half of full scale and `RATE`."""
    sound = DEMO_SOUNDS[name]()
    half: Samples = (0.5 * sound / np.abs(sound).max()).astype(np.float32)
    return half
