"""From sound to log-mel, in numpy: its settings, its filter bank, and what a model normalizes by.

The torch version beside it (`network.log_mel`) takes the same parameters, serves GPUs, and is what tests hold this to.
"""

from __future__ import annotations

import math
import threading
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from escnn.config import Settings, between
from escnn.errors import UsageError

Array = NDArray[np.float32]
Values = TypeVar("Values", bound=Any)  # numpy's arrays and torch's tensors alike
BLOCK_FRAMES = 64  # whose spectrum is taken at once
MOST_STFT_SAMPLES, MOST_VALUES = 20_000_000, 1_000_000  # of a window; the default has 882,688 and 55,168


class AudioConfig(Settings, frozen=True):
    """From sound to log-mel. A window of ``clip_seconds`` becomes ``n_mels`` bands by ``frames`` columns."""

    sample_rate: Annotated[int, between(1_000, 384_000)] = 44_100  # Hz
    clip_seconds: Annotated[float, between(0.1, 60.0)] = 5.0
    n_fft: Annotated[int, between(64, 16_384)] = 2048  # samples
    hop_length: Annotated[int, between(16, 16_384)] = 512  # samples; 12 ms at 44.1 kHz
    n_mels: Annotated[int, between(8, 512)] = 128
    f_min: Annotated[float, between(0.0, 192_000.0)] = 20.0  # Hz
    f_max: Annotated[float, between(100.0, 192_000.0)] = 20_000.0  # Hz
    floor_db: Annotated[float, between(-160.0, -40.0)] = -110.0  # relative to a full-scale sine; quieter is set to it

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if self.n_fft % 2:
            raise UsageError(f"n_fft {self.n_fft}: must be even")
        self._at_most("f_max", self.f_max, self.sample_rate / 2, "half of the sample rate")
        self._at_most("f_min", self.f_min, self.f_max - 50.0, "f_max less 50 Hz")
        self._at_most("hop_length", self.hop_length, self.n_fft, "n_fft")
        self._at_most("n_fft x frames", self.n_fft * self.frames, MOST_STFT_SAMPLES, "so that memory suffices")
        self._at_most("n_mels x frames", self.n_mels * self.frames, MOST_VALUES, "so that memory suffices")

    @staticmethod
    def _at_most(name: str, value: float, most: float, why: str) -> None:
        if not value <= most:
            raise UsageError(f"{name} {value:g}: must be at most {most:g}, {why}")

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.clip_seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Columns of the log-mel of one window (frames are centred on their time)."""
        return 1 + self.window_samples // self.hop_length


class Normalization(msgspec.Struct, frozen=True):
    """Mean and standard deviation, in dB, of the log-mels that a model was trained on."""

    mean_db: float
    std_db: float


def normalize(decibels: Values, normalization: Normalization) -> Values:
    """Decibels to the network's input: zero mean and unit deviation over the training set."""
    normalized: Values = (decibels - normalization.mean_db) / normalization.std_db
    return normalized


class _Work:
    """Memory for the steps of a spectrogram, kept from window to window: fresh pages would cost more than the sums.

    It is so little, but for the window itself, that it stays in a core's cache.
    """

    def __init__(self, n_fft: int, samples: int) -> None:
        self.padded = np.zeros(samples + n_fft, dtype=np.float32)  # a window, with silence before and after it
        self.framed = np.empty((BLOCK_FRAMES, n_fft), dtype=np.float32)
        self.spectrum: NDArray[Any] = np.empty((BLOCK_FRAMES, n_fft // 2 + 1), dtype=np.complex64)
        self.power, self.product = np.empty((2, BLOCK_FRAMES, n_fft // 2 + 1), dtype=np.float32)


class LogMel:
    """Waveforms ``(windows, time)`` to decibels ``(windows, mels, frames)``, float32 all the way.

    Power spectrogram (Hann window), mel filters on the HTK scale (O'Shaughnessy 1987), 10 log10. 0 dB is a full-scale
    sine; everything below ``config.floor_db`` is set to it. The floor is fixed: one that followed the loudest clip of a
    batch would make a clip's log-mel depend on its neighbours.
    """

    def __init__(self, config: AudioConfig) -> None:
        self.config = config
        self._window = hann_window(config.n_fft)
        # Each bin lies between the edges of two neighbouring bands: it rises into one and falls out of the other. Sums
        # between edges take a fraction of a product with all filters, and no threads of a linear algebra library,
        # which would spin beside those of the network.
        filters = mel_filters(config)
        edges = np.searchsorted(_bins(config), _mel_points(config))
        self._starts = np.minimum(edges[:-1], filters.shape[1] - 1)
        self._empty = np.diff(edges) == 0  # between these edges there is no bin
        self._end = int(edges[-1])
        between = np.repeat(np.arange(len(edges) - 1), np.diff(edges))  # for each bin from the first edge on
        bins = np.arange(edges[0], edges[-1])
        inside = between < config.n_mels
        self._rising = np.zeros(filters.shape[1], dtype=np.float32)
        self._falling = np.zeros(filters.shape[1], dtype=np.float32)
        self._rising[bins[inside]] = filters[between[inside], bins[inside]]
        inside = between > 0
        self._falling[bins[inside]] = filters[between[inside] - 1, bins[inside]]
        self._local = threading.local()

    def __call__(self, windows: Array) -> Array:
        """Log-mels in dB of waveforms at ``config.sample_rate``; what lies beyond their ends is silence."""
        config, work = self.config, self._work_of_this_thread(windows.shape[1])
        frames = 1 + windows.shape[1] // config.hop_length
        decibels = np.empty((len(windows), config.n_mels, frames), dtype=np.float32)
        half = config.n_fft // 2
        for samples, mel in zip(windows, decibels, strict=True):
            work.padded[half : half + len(samples)] = samples
            shifted = np.lib.stride_tricks.sliding_window_view(work.padded, config.n_fft)[:: config.hop_length]
            for start in range(0, frames, BLOCK_FRAMES):
                block = shifted[start : start + BLOCK_FRAMES]
                count = len(block)
                framed = np.multiply(block, self._window, out=work.framed[:count])
                bins = np.fft.rfft(framed, axis=1, out=work.spectrum[:count])
                power = np.square(bins.real, out=work.power[:count])
                power += np.square(bins.imag, out=work.product[:count])
                rising = self._sums(np.multiply(power, self._rising, out=work.product[:count]))[:, :-1]
                falling = self._sums(np.multiply(power, self._falling, out=work.product[:count]))[:, 1:]
                mel[:, start : start + count] = (rising + falling).T
        np.log10(np.maximum(decibels, 1e-20, out=decibels), out=decibels)
        decibels *= 10
        decibels -= full_scale_db(config)
        return np.maximum(decibels, np.float32(config.floor_db), out=decibels)

    def _work_of_this_thread(self, samples: int) -> _Work:
        work: _Work | None = getattr(self._local, "work", None)
        if work is None or len(work.padded) != samples + self.config.n_fft:
            work = self._local.work = _Work(self.config.n_fft, samples)
        return work

    def _sums(self, values: Array) -> Array:
        """Sums over the bins between neighbouring edges: (frames, bins) to (frames, mels + 1)."""
        sums: Array = np.add.reduceat(values[:, : self._end], self._starts, axis=1)
        sums[:, self._empty] = 0
        return sums


def full_scale_db(config: AudioConfig) -> float:
    """The level in dB of a sine of amplitude 1 before it is called 0 dB.

    Its magnitude is sum(window) / 2 in its bin, and a Hann window of n samples sums to n / 2.
    """
    return 20 * math.log10(config.n_fft / 4)


def hann_window(samples: int) -> Array:
    """A periodic Hann window, computed in double precision: in single, leakage beside a loud tone is off by 0.03 dB."""
    return np.hanning(samples + 1)[:-1].astype(np.float32)


def mel_filters(config: AudioConfig) -> Array:
    """Triangular filters (mels, bins) between bands evenly spaced on the HTK mel scale, each with a peak of 1.

    Narrow low bands may hold no bin of a short FFT (1024 at 44.1 kHz); such a band stays at the floor.
    """
    bins = _bins(config)
    edges = _mel_points(config)
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    return np.maximum(0, np.minimum(falling, rising)).astype(np.float32)


def mel_frequencies(config: AudioConfig) -> list[float]:
    """Centre frequency of every band in Hz, lowest first."""
    return [float(hz) for hz in _mel_points(config)[1:-1]]


def _bins(config: AudioConfig) -> NDArray[np.float64]:
    """Frequencies of the bins of a spectrum in Hz; as torchaudio has them, to half of an even sample rate."""
    return np.linspace(0, config.sample_rate // 2, config.n_fft // 2 + 1)


def _mel_points(config: AudioConfig) -> NDArray[np.float64]:
    """Edges and centres of the bands in Hz, (mels + 2,)."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (config.f_min, config.f_max))
    points: NDArray[np.float64] = 700 * (10 ** (np.linspace(low, high, config.n_mels + 2) / 2595) - 1)
    return points
