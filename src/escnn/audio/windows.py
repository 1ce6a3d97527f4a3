"""Cutting a sound into windows, and where each of them begins: the one definition of a window's time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np

from escnn.audio.channels import Samples
from escnn.audio.decoding import LONGEST_SECONDS, STEP, SoundReader
from escnn.audio.log_mel import AudioConfig
from escnn.errors import AudioError

SPECTRUM_SAMPLES = 8192  # of which a spectrum is taken
DULL_HZ = 8_000.0  # a sound that reaches no higher lacks most of what a model hears up to 20 kHz
NOTHING_ABOVE = "nothing above "  # how the warning of one begins
FAINT = 1e-6  # share of the power of a sound that is nothing
QUIET = 1e-6  # power of a window beside that of the loudest: 60 dB
RESAMPLED = 2.5  # times as much as before may silence vary once it is resampled


def cut_windows(blocks: Iterable[Samples], length: int, hop: int | None = None) -> Iterator[Samples]:
    """Cut a sound into windows of `length` samples while it is being read, one every `hop`, by default end to end.

    A sound shorter than one window is padded with silence at its end, as the clips of ESC-50 are. Otherwise the last
    window ends where the sound ends and overlaps the one before it, so that no window is mostly padding. A rest of less
    than 1 % of a window is left out: resampling may add a sample or two.
    """
    hop = hop or length
    previous: Samples | None = None
    waiting: list[Samples] = []
    count = 0  # samples in it, from where the next window begins
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= length:
            joined = np.concatenate(waiting)
            starts = range(0, count - length + 1, hop)
            for start in starts:
                previous = joined[start : start + length]
                yield previous
            waiting = [joined[starts[-1] + hop :]]
            count = len(waiting[0])
    rest = np.concatenate([np.zeros(0, dtype=np.float32), *waiting])
    if previous is None:
        yield np.pad(rest, (0, length - len(rest)))
    elif len(rest) - (length - hop) >= max(1, length // 100):
        yield np.concatenate((previous[:hop], rest))[-length:]


def read_windows(
    reader: SoundReader,
    config: AudioConfig,
    hop_seconds: float | None = None,
    *,
    longest_seconds: float = LONGEST_SECONDS,
) -> Iterator[tuple[int, Samples]]:
    """The windows of a sound at the model's rate, each with its number; those of digital silence are left out.

    They begin every `hop_seconds`, by default end to end. A sound longer than `longest_seconds` is an error.

    Once all are read, what a person should know of them is among the reader's warnings.

    Raises:
        AudioError: as `SoundReader.blocks` does, or all windows are silent.
    """
    length = config.window_samples
    hop = length if hop_seconds is None else round(hop_seconds * config.sample_rate)
    step = STEP if reader.info.sample_rate == config.sample_rate else RESAMPLED * STEP
    samples = 0
    count = 0
    powers: list[float] = []
    highest = 0.0

    def counted() -> Iterator[Samples]:
        nonlocal samples
        for block in reader.blocks(config.sample_rate, longest_seconds=longest_seconds):
            samples += len(block)
            yield block

    for index, window in enumerate(cut_windows(counted(), length, hop)):
        count += 1
        new = window[:samples] if index == 0 else window[-min(length, samples - index * hop) :]
        if new.max() - new.min() <= step:
            continue
        powers.append(float(np.dot(window, window)) / length - float(window.mean()) ** 2)
        if highest < DULL_HZ < config.f_max:
            highest = max(highest, highest_frequency(window, config.sample_rate))
        yield index, window
    if not powers:
        raise AudioError(
            f"{reader.name}: silent, no window of it varies by more than the last of 16 bits",
            code="silent",
            hint="was the microphone muted?",
        )
    reader.warnings += _warnings(reader.seconds, config, count, powers, highest)


def _warnings(
    seconds: float, config: AudioConfig, count: int, powers: Sequence[float], highest: float
) -> Iterator[str]:
    """What a person should know of the windows of a sound: `count` of them, `powers` of those that are not silent."""
    if len(powers) < count:
        yield f"{count - len(powers)} of {count} windows are digital silence and were left out"
    if seconds < 0.99 * config.clip_seconds:
        yield (
            f"the sound lasts {seconds:.2f} s: silence was added after it to fill the network's window of "
            f"{config.clip_seconds:g} s"
        )
    if quiet := sum(power < QUIET * max(powers) for power in powers):
        yield f"{quiet} of {count} windows are more than 60 dB below the loudest, and count as much"
    if 0 < highest < DULL_HZ < config.f_max:
        yield f"{NOTHING_ABOVE}{_hertz(highest)} in this sound; the model hears to {_hertz(config.f_max)}"


def window_start(index: int, clip_seconds: float, seconds: float, hop_seconds: float | None = None) -> float:
    """Where window `index` begins in a sound of so many `seconds`, itself in seconds: the last ends with the sound.

    Windows last `clip_seconds` and begin every `hop_seconds`, by default end to end.
    """
    return min(index * (hop_seconds or clip_seconds), max(0.0, seconds - clip_seconds))


def window_weight(index: int, clip_seconds: float, seconds: float, hop_seconds: float | None = None) -> float:
    """How far window `index` begins after the one before it, as a share of the hop: 1, but for the last one."""
    hop = hop_seconds or clip_seconds
    return min(1.0, max(0.01, round((seconds - clip_seconds) / hop - index + 1, 9)))


def highest_frequency(samples: Samples, sample_rate: int) -> float:
    """How high a sound reaches, in Hz: what lies above is no louder than the last of 16 bits, or 60 dB below the rest.

    Once `DULL_HZ` is reached, the rest is not looked at. 0 where all of it is as faint.
    """
    size = min(SPECTRUM_SAMPLES, len(samples))
    taper, power = _taper(size)
    starts = list(range(0, len(samples) - size + 1, size))
    loudest = min(int(np.argmax(samples)) // size, len(starts) - 1)  # likely to reach as high as any: often enough
    highest = 0.0
    for start in (starts[loudest], *starts):
        spectrum = np.square(np.abs(np.fft.rfft(samples[start : start + size] * taper)))
        above = np.cumsum(spectrum[::-1])[::-1]  # power at and above each frequency
        heard = np.flatnonzero(above > max(STEP**2 * power, FAINT * above[0]))
        if len(heard):
            highest = max(highest, float(heard[-1]) * sample_rate / size)
        if highest >= DULL_HZ:
            break
    return highest


@cache
def _taper(size: int) -> tuple[Samples, float]:
    """A Hann window, and the power of a spectrum through it where that of the sound is 1."""
    taper = np.hanning(size).astype(np.float32)
    return taper, size * float(np.square(taper).sum()) / 2


def _hertz(frequency: float) -> str:
    return f"{frequency / 1000:.2g} kHz" if frequency >= 1000 else f"{round(frequency, -1):.0f} Hz"
