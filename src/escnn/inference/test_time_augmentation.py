"""Test-time augmentation: a window scored in several ways, a little higher, lower, faster and slower."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from escnn.errors import UsageError

Array = NDArray[np.float32]
# The plain way first: times as fast, and share of the mel axis by which the sound is lowered.
AUGMENTATIONS = ((1.0, 0.0), (1.0, 0.02), (1.0, -0.02), (1.15, 0.0), (1 / 1.15, 0.0))


def check_tta(tta: int) -> None:
    """Refuse a number of ways that there are not."""
    if not 1 <= tta <= len(AUGMENTATIONS):
        raise UsageError(f"tta {tta}: must be between 1 and {len(AUGMENTATIONS)}")


def augmented(log_mels: Array, tta: int) -> Iterator[Array]:
    """Log-mels (windows, mels, frames) in the first `tta` ways, in turn: together they would take that much memory."""
    for faster, lowered in AUGMENTATIONS[:tta]:
        yield log_mels if (faster, lowered) == (1.0, 0.0) else _stretched(log_mels, faster, lowered)


def _stretched(log_mels: Array, faster: float, lowered: float) -> Array:
    """Played `faster`, and read `lowered` of its length further up the mel axis, as `network.log_mel.stretch` does."""
    _, mels, frames = log_mels.shape
    changed = _read(log_mels, (faster * _centres(frames) + 1) * frames / 2 - 0.5, axis=2)
    return _read(changed, (_centres(mels) + 2 * lowered + 1) * mels / 2 - 0.5, axis=1)


def _read(values: Array, places: NDArray[np.float64], axis: int) -> Array:
    """Values at `places` along an axis, linear between its cells; what is missing at a border is mirrored."""
    size = values.shape[axis]
    folded = np.abs((places + 0.5) % (2 * size))  # mirrored at both borders, which lie half a cell outside
    folded = np.clip(np.where(folded > size, 2 * size - folded, folded) - 0.5, 0, size - 1)
    below = np.minimum(folded.astype(np.int64), size - 2)
    share = (folded - below).astype(np.float32).reshape([-1 if n == axis else 1 for n in range(3)])
    low, high = (np.take(values, index, axis=axis) for index in (below, below + 1))
    between: Array = low + (high - low) * share
    return between


def _centres(cells: int) -> NDArray[np.float64]:
    """Middles of so many equal cells of -1..1."""
    return (np.arange(cells) * 2 + 1) / cells - 1
