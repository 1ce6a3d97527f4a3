"""Cutting a sound into windows, and where each of them begins: the one definition of a window's time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from escnn.audio.decoding import Samples


def cut_windows(blocks: Iterable[Samples], length: int) -> Iterator[Samples]:
    """Cut a sound into windows of `length` samples, one after the other, while it is being read.

    A sound shorter than one window is padded with silence at its end, as the clips of ESC-50 are. Otherwise the last
    window ends where the sound ends and overlaps the one before it, so that no window is mostly padding. A rest of less
    than 1 % of a window is left out: resampling may add a sample or two.
    """
    rest = np.zeros(0, dtype=np.float32)
    previous: Samples | None = None
    for block in blocks:
        rest = np.concatenate((rest, block))
        while len(rest) >= length:
            previous, rest = rest[:length], rest[length:]
            yield previous
    if previous is None:
        yield np.pad(rest, (0, length - len(rest)))
    elif len(rest) >= max(1, length // 100):
        yield np.concatenate((previous, rest))[-length:]


def window_start(index: int, clip_seconds: float, seconds: float) -> float:
    """Where window `index` begins in a sound of so many `seconds`, itself in seconds: the last ends with the sound."""
    return min(index * clip_seconds, max(0.0, seconds - clip_seconds))
