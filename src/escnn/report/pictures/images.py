"""Arrays to small pictures, one pixel a value, such as a layer's channels or a page's spectrogram.

Everything that draws returns a `PIL.Image.Image`. The colours are matplotlib's, the drawing is Pillow's: a network has
many layers, and a figure takes a tenth of a second.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from escnn.errors import UsageError, closest
from escnn.report.pictures.library import matplotlib

Floats = NDArray[np.floating[Any]]

SPECTROGRAM_COLORS = "magma"
POSITIVE_COLORS = "viridis"  # perceptually even, for values >= 0
SIGNED_COLORS = "RdBu_r"  # blue, white at zero, red
SALIENCY_COLORS = "inferno"
INK = "#4a4353"

SPECTROGRAM_RANGE_DB = 80.0  # what is fainter than the loudest point by more is drawn in the lowest colour


def feature_map(values: Floats, limits: tuple[float, float], colormap: str) -> Image.Image:
    """`values`, shape (height, width), one pixel each, row 0 (the lowest frequency) at the bottom; a palette image.

    ``limits`` are the values of the first and the last colour; what lies beyond them takes the nearer one.
    """
    low, high = limits
    shades = np.clip((values[::-1] - low) / (high - low) * 256, 0, 255).astype(np.uint8)
    return _paletted(shades, colormap)


def overlay(values: Floats, limits: tuple[float, float]) -> Image.Image:
    """A `feature_map` to lay over another picture: the lower its value, the clearer a pixel."""
    image = feature_map(values, limits, SALIENCY_COLORS)
    image.info["transparency"] = bytes(range(256))
    return image


def color_bar(colormap: str) -> Image.Image:
    """The 256 colours of a map from lowest to highest, one pixel high: the legend of a `feature_map`."""
    return _paletted(np.arange(256, dtype=np.uint8)[np.newaxis], colormap)


def png_bytes(image: Image.Image) -> bytes:
    """`image` as a PNG file: a map's few pixels as small as they get, a figure in two thirds of the usual time."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=image.mode == "P", compress_level=3)  # `optimize` takes the highest level
    return buffer.getvalue()


def decibel_limits(decibels: Floats) -> tuple[float, float]:
    """Colour range of a spectrogram: from its faintest to its loudest point, at most `SPECTROGRAM_RANGE_DB`."""
    high = float(decibels.max())
    return min(max(float(decibels.min()), high - SPECTROGRAM_RANGE_DB), high - 1.0), high


def saliency_limits(saliency: Floats) -> tuple[float, float]:
    """Colour range of saliency: from 0 to what only a few points exceed, which would leave the rest in the dark."""
    return 0.0, float(np.quantile(saliency, 0.995)) or float(saliency.max()) or 1.0


def value_limits(values: Floats) -> tuple[float, float]:
    """Colour range of a layer: from 0 when nothing is negative, else symmetric, so that zero is in the middle."""
    largest = float(np.abs(values).max()) or 1.0
    return (0.0, largest) if float(values.min()) >= 0 else (-largest, largest)


def check_colormap(name: str | None) -> None:
    """Raise `UsageError` unless `name` is None or a colour map of matplotlib."""
    if name is not None and name not in matplotlib.colormaps:
        hint = closest(name, matplotlib.colormaps) or "such as magma"
        raise UsageError(f"--colormap: matplotlib has no {name!r}", hint=hint)


def colormap_for(values: Floats) -> str:
    """The colours that suit `values`: diverging when some are negative."""
    return POSITIVE_COLORS if float(values.min()) >= 0 else SIGNED_COLORS


def strongest_channels(activations: Floats, count: int) -> list[int]:
    """The `count` channels of `activations`, shape (channels, height, width), of largest mean magnitude, in order."""
    strength = np.abs(activations).mean(axis=(1, 2))  # (channels,)
    order: list[int] = np.argsort(-strength, kind="stable")[:count].tolist()
    return order


def peak(values: Floats) -> tuple[float, float] | None:
    """Where `values`, shape (height, width), are largest, as shares of width and height; None when all are equal."""
    if float(values.min()) == float(values.max()):
        return None
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return (float(column) + 0.5) / values.shape[1], (float(row) + 0.5) / values.shape[0]


def _paletted(shades: NDArray[np.uint8], colormap: str) -> Image.Image:
    image = Image.fromarray(shades)
    image.putpalette(_palette(colormap))
    return image


@functools.cache
def _palette(colormap: str) -> bytes:
    """The 256 colours of one of matplotlib's maps: red, green and blue of the first, and so on."""
    colors = matplotlib.colormaps[colormap](np.linspace(0, 1, 256), bytes=True)  # (256, red green blue alpha)
    return colors[:, :3].tobytes()
