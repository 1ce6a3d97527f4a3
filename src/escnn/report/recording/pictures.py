"""The pictures of a recording: the long-term spectrogram in tiles, and the spectrograms of excerpts, small."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from escnn.analysis.recording.excerpts import Excerpt
from escnn.analysis.recording.long_term import LongTermSpectrogram
from escnn.report.pictures import images

TILE_COLUMNS = 2_048  # wider pictures are slow to scale
LEAST_RANGE_DB = 30.0
PICTURE_QUALITY = 70  # of a JPEG


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the long-term spectrogram: where it lies, as shares of the recording, and its picture."""

    left: float
    width: float
    png: bytes


def tiles(long_term: LongTermSpectrogram, seconds: float) -> tuple[list[Tile], tuple[float, float]]:
    """The long-term spectrogram of a recording of so many `seconds`, and the levels of its first and last colour."""
    decibels = long_term.decibels
    low, high = (float(value) for value in np.quantile(decibels, (0.05, 0.9995)))
    low = max(min(low, high - LEAST_RANGE_DB), high - images.SPECTROGRAM_RANGE_DB)
    share = long_term.column_seconds / max(seconds, 1e-9)
    found = []
    for first in range(0, decibels.shape[1], TILE_COLUMNS):
        part = decibels[:, first : first + TILE_COLUMNS]
        picture = images.feature_map(part, (low, high), images.SPECTROGRAM_COLORS)
        found.append(Tile(first * share, part.shape[1] * share, images.png_bytes(picture)))
    return found, (low, high)


def excerpt_document(excerpt: Excerpt) -> dict[str, Any]:
    """An excerpt for the page's script: bytes as base64. The picture is grey, 0 to 255 between two levels in dB."""
    low, high = images.decibel_limits(excerpt.log_mel)
    shades = np.clip((excerpt.log_mel[::-1] - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    drawn = io.BytesIO()
    Image.fromarray(shades).save(drawn, "JPEG", quality=PICTURE_QUALITY, optimize=True)
    return {
        "sound": text(excerpt.sound),
        "picture": text(drawn.getvalue()),
        "low": round(low),
        "high": round(high),
        "gain": round(excerpt.gain_db),
        "evidence": {
            str(class_id): {"columns": cells.shape[1], "cells": text(_bytes(cells))}
            for class_id, cells in excerpt.evidence.items()
        },
    }


def palette(colors: str) -> str:
    """The 256 colours of a map as base64: red, green and blue of the first, and so on."""
    return text(np.asarray(images.color_bar(colors).convert("RGB")).tobytes())


def text(content: bytes) -> str:
    """`content` as base64."""
    return base64.b64encode(content).decode("ascii")


def _bytes(shares: NDArray[np.float32]) -> bytes:
    return np.round(255 * np.clip(shares, 0, 1)).astype(np.uint8).tobytes()
