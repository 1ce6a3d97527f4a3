"""Arrays to small pictures, one pixel a value: a layer's channels, a page's spectrogram, and the sheet of a layer.

Everything that draws returns a `PIL.Image.Image`. The colours are matplotlib's, the drawing is Pillow's: a network has
many layers, and a figure takes a tenth of a second. What has axes is in `plots`.
"""

from __future__ import annotations

import functools
import io
import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Floats = NDArray[np.floating[Any]]

SPECTROGRAM_COLORS = "magma"
POSITIVE_COLORS = "viridis"  # perceptually even, for values >= 0
SIGNED_COLORS = "RdBu_r"  # blue, white at zero, red
EVIDENCE_COLORS = "inferno"
INK = "#4a4353"

SPECTROGRAM_RANGE_DB = 80.0  # what is fainter than the loudest point by more is drawn in the lowest colour
TIME_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)  # seconds between labels


def feature_map(values: Floats, limits: tuple[float, float], colormap: str) -> Image.Image:
    """`values`, shape (height, width), one pixel each, row 0 (the lowest frequency) at the bottom; a palette image.

    ``limits`` are the values of the first and the last colour; what lies beyond them takes the nearer one.
    """
    low, high = limits
    shades = np.clip((values[::-1] - low) / (high - low) * 256, 0, 255).astype(np.uint8)
    return _paletted(shades, colormap)


def overlay(values: Floats, limits: tuple[float, float]) -> Image.Image:
    """A `feature_map` to lay over another picture: the lower its value, the clearer a pixel."""
    image = feature_map(values, limits, EVIDENCE_COLORS)
    image.info["transparency"] = bytes(range(256))
    return image


def color_bar(colormap: str) -> Image.Image:
    """The 256 colours of a map from lowest to highest, one pixel high: the legend of a `feature_map`."""
    return _paletted(np.arange(256, dtype=np.uint8)[np.newaxis], colormap)


def layer(
    name: str, activations: Floats, seconds: float, top_channels: int = 8, colormap: str | None = None
) -> Image.Image:
    """One layer of the network: the mean over its channels, and the channels that answer most strongly.

    `activations` has shape (channels, height, width) and covers `seconds`. The channels share one colour scale; their
    mean has its own, because it is so much weaker that theirs would show it as one flat colour.
    """
    channels, height, width = activations.shape
    colors = colormap or colormap_for(activations)
    strongest = strongest_channels(activations, top_channels)
    columns = math.ceil(math.sqrt(2 * len(strongest)))
    rows = math.ceil(len(strongest) / max(columns, 1))
    sheet = Image.new("RGB", (790 + (270 * columns + 130 if strongest else 0), max(510, 195 * rows + 105)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((30, 25), f"{name}   {channels} channels × {height} high × {width} wide", "black", _font(21, bold=True))
    mean = activations.mean(axis=0)  # (height, width)
    left, top, right, bottom = 110, 105, 650, 413
    draw.text((left, top - 31), f"mean over {channels} channels", "black", _font(21))
    _paste(sheet, feature_map(mean, value_limits(mean), colors), (left, top, right, bottom))
    draw.rectangle((left, top, right, bottom), outline=INK)
    step = next(step for step in TIME_STEPS if seconds / step <= 6)
    for number in range(math.floor(seconds / step + 1e-6) + 1):
        x = left + round((right - left) * number * step / seconds)
        draw.line((x, bottom, x, bottom + 7), INK, 2)
        draw.text((x, bottom + 12), f"{number * step:g}", INK, _font(19), anchor="ma")
    draw.text(((left + right) / 2, bottom + 40), "seconds", INK, _font(19), anchor="ma")
    for text, y in (("high", top + 8), ("frequency", (top + bottom) / 2), ("low", bottom - 8)):
        draw.text((left - 10, y), text, INK, _font(19 if text != "frequency" else 16), anchor="rm")
    _draw_legend(sheet, value_limits(mean), colors, (675, top, 692, bottom))
    if strongest:
        shared = value_limits(activations[strongest])
        for place, channel in enumerate(strongest):
            x, y = 810 + 270 * (place % columns), 78 + 195 * (place // columns)
            draw.text((x, y), f"channel {channel}", "black", _font(17))
            _paste(sheet, feature_map(activations[channel], shared, colors), (x, y + 27, x + 250, y + 177))
        _draw_legend(sheet, shared, colors, (sheet.width - 118, 105, sheet.width - 101, 60 + 195 * rows))
    return sheet


def png_bytes(image: Image.Image) -> bytes:
    """`image` as a PNG file: a map's few pixels as small as they get, a figure in two thirds of the usual time."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=image.mode == "P", compress_level=3)  # `optimize` takes the highest level
    return buffer.getvalue()


def decibel_limits(decibels: Floats) -> tuple[float, float]:
    """Colour range of a spectrogram: from its faintest to its loudest point, at most `SPECTROGRAM_RANGE_DB`."""
    high = float(decibels.max())
    return min(max(float(decibels.min()), high - SPECTROGRAM_RANGE_DB), high - 1.0), high


def evidence_limits(marked: Floats) -> tuple[float, float]:
    """Colour range of evidence: from 0 to what only a few points exceed, which would leave the rest in the dark."""
    return 0.0, float(np.quantile(marked, 0.995)) or float(marked.max()) or 1.0


def value_limits(values: Floats) -> tuple[float, float]:
    """Colour range of a layer: from 0 when nothing is negative, else symmetric, so that zero is in the middle."""
    largest = float(np.abs(values).max()) or 1.0
    return (0.0, largest) if float(values.min()) >= 0 else (-largest, largest)


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


def _paste(sheet: Image.Image, picture: Image.Image, box: tuple[int, int, int, int]) -> None:
    """Put a feature map into a box of a sheet, its pixels as even rectangles."""
    left, top, right, bottom = box
    sheet.paste(picture.convert("RGB").resize((right - left, bottom - top), Image.Resampling.NEAREST), (left, top))


def _draw_legend(
    sheet: Image.Image, limits: tuple[float, float], colormap: str, box: tuple[int, int, int, int]
) -> None:
    """An upright colour bar with the values of its ends and its middle."""
    _, top, right, bottom = box
    draw = ImageDraw.Draw(sheet)
    _paste(sheet, color_bar(colormap).rotate(90, expand=True), box)
    draw.rectangle(box, outline=INK)
    low, high = limits
    for value, y in ((high, top), ((low + high) / 2, (top + bottom) // 2), (low, bottom)):
        draw.line((right, y, right + 6, y), INK, 2)
        draw.text((right + 12, y), f"{value:.3g}".replace("-", "\u2212"), INK, _font(17), anchor="lm")


@functools.cache
def _font(pixels: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The typeface that comes with matplotlib and that its figures are set in."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), pixels)
