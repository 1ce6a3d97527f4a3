"""From the channels of a sound, at whatever scale they were written, to one of -1 to 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (time,)
Block = NDArray[np.float32]  # (time, channels)

STRETCH_SECONDS = 5.0  # in which one way of mixing is kept, and the scale of a sound is judged
MOST_SAMPLES = 1 << 23  # of all channels in a stretch
AGREEMENT = 0.9  # share of the channels' mean power that their mean keeps where they agree
CLEARLY_STRONGER = 2.0  # in power: a channel is left for one that is
LOUDEST = 1e10  # beyond this a float sample is damage: its power would overflow float32
FULL_SCALES = (2.0**15, 2.0**23, 2.0**31)  # of integers
LOUD = 30.0  # times full scale, in the median: no sound of floats is


class Mixer:
    """Makes one channel of several, and floats of -1 to 1 of integers that were written as floats.

    Where the channels agree, as those of nearly all recordings do, their mean is taken. Elsewhere, a mean would
    silence what they hold in opposite phase, and every frequency that comes half a period late in one of them: there,
    it is the strongest channel. Judged for every stretch of `STRETCH_SECONDS`, by power without its constant part.
    """

    def __init__(self, sample_rate: int, channels: int, *, is_float: bool) -> None:
        self.silenced = 0  # samples that were no numbers, or absurdly large
        self.scale: float | None = None if is_float else 1.0  # None: not judged yet
        self._channels = channels
        self._channel: int | None = None  # None: their mean
        self._waiting: list[Block] = []  # of a stretch that is not yet whole
        self._count = 0  # frames of them
        self._frames = max(1, min(round(STRETCH_SECONDS * sample_rate), MOST_SAMPLES // channels))

    def mixed(self, blocks: Iterable[Block]) -> Iterator[Samples]:
        """The sound, (time,), in blocks; stretches are cut where they are, however `blocks` were."""
        for block in blocks:
            yield from self.feed(block)
        yield from self.end()

    def feed(self, block: Block) -> Iterator[Samples]:
        """What is known of the sound, (time,), with the next block."""
        if self._channels == 1 and self.scale is not None:
            yield from self.end()
            yield self._mono(block)
            return
        while self._count + len(block) >= self._frames:
            taken = self._frames - self._count
            joined = np.concatenate([*self._waiting, block[:taken]])
            block, self._waiting, self._count = block[taken:], [], 0
            yield self._mono(joined)
        self._waiting.append(block)
        self._count += len(block)

    def end(self) -> Iterator[Samples]:
        """What is left of the sound."""
        waiting, count = self._waiting, self._count
        self._waiting, self._count = [], 0
        if count:
            yield self._mono(np.concatenate(waiting))

    def notes(self) -> Iterator[str]:
        """What a person should know of the samples, once the sound has ended."""
        if self.scale not in (None, 1.0):
            yield f"written as integers in floats: divided by {self.scale:.0f}"
        if self.silenced:
            yield f"{self.silenced} samples were not finite numbers and were silenced"

    def _mono(self, block: Block) -> Samples:
        channels = np.ascontiguousarray(block.T)  # (channels, time)
        if not (channels.min() >= -LOUDEST and channels.max() <= LOUDEST):  # NaN is neither
            damaged = ~(np.abs(channels) <= LOUDEST)
            self.silenced += int(damaged.sum())
            channels = np.where(damaged, np.float32(0.0), channels)
        if self.scale is None and channels.any():
            self.scale = full_scale(channels)
        if self.scale not in (None, 1.0):
            channels = channels / np.float32(self.scale)
        return channels[0] if self._channels == 1 else self._mix(channels)

    def _mix(self, channels: NDArray[np.float32]) -> Samples:
        mean: Samples = channels.sum(axis=0)
        mean /= np.float32(self._channels)
        powers = [_power(channel) for channel in channels]
        if _power(mean) >= AGREEMENT * sum(powers) / self._channels:
            self._channel = None
            return mean
        strongest = int(np.argmax(powers))
        if self._channel is None or powers[strongest] > CLEARLY_STRONGER * powers[self._channel]:
            self._channel = strongest
        strongest_samples: Samples = channels[self._channel]
        return strongest_samples


def full_scale(samples: NDArray[np.float32]) -> float:
    """What stands for full scale in the samples of a float file: 1, or that of the integers which they were.

    Whole numbers beyond -1 to 1 are integers; so is what is thirty times too loud, if a resampler has been at it.
    """
    sizes = np.abs(samples)
    peak = float(sizes.max())
    if peak <= 1.0 or ((samples != np.rint(samples)).any() and np.median(sizes[sizes > 0]) < LOUD):
        return 1.0
    return next((scale for scale in FULL_SCALES if peak <= 1.5 * scale), FULL_SCALES[-1])


def _power(samples: Samples) -> float:
    """Variance."""
    centred = samples - samples.mean()
    return float(np.dot(centred, centred)) / len(samples)
