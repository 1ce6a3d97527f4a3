"""Samples in memory, read as a sound file is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escnn.audio.formats.sound_file import BLOCK_FRAMES
from escnn.errors import AudioError, reason

_HINT = "give (samples, sample_rate): numbers of shape (time,) or (time, channels), and Hz"


class ArrayFile:
    """Stands in for a `SoundFile` where the sound is an array; integers have the full scale of their type.

    Raises:
        AudioError: these are no samples and no sample rate.
    """

    format = "array"
    lost = 0

    def __init__(self, source: tuple[Any, Any], name: str) -> None:
        try:
            samples, sample_rate = source
            array, self.samplerate = np.asarray(samples), int(sample_rate)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise AudioError(
                f"{name}: no samples with their rate ({reason(error)})", code="not_audio", hint=_HINT
            ) from error
        if array.ndim not in (1, 2) or 0 in array.shape[1:] or array.dtype.kind not in "fi":
            found = f"an array of shape {array.shape} and type {array.dtype}"
            raise AudioError(f"{name}: {found} is no sound", code="not_audio", hint=_HINT)
        self._samples: NDArray[Any] = array if array.ndim == 2 else array[:, None]
        self._scale = -1.0 / np.iinfo(array.dtype).min if array.dtype.kind == "i" else 1.0
        self.frames, self.channels = self._samples.shape
        self.subtype = str(array.dtype)
        self.notes: list[str] = []

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks (time, channels), copies."""
        for place in range(0, self.frames, BLOCK_FRAMES):
            with np.errstate(over="ignore"):  # beyond float32 a sample becomes infinite, which the reader silences
                yield (self._samples[place : place + BLOCK_FRAMES] * self._scale).astype(np.float32)

    def close(self) -> None:
        """Nothing is open."""

    def tobytes(self) -> bytes:
        """All samples, for a digest."""
        return self._samples.astype("<f8").tobytes()
