"""The sheet of a layer: the mean over its channels, and the channels that answer most strongly."""

from __future__ import annotations

import functools
import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from escnn.report.pictures.axes import time_ticks
from escnn.report.pictures.images import (
    INK,
    Floats,
    color_bar,
    colormap_for,
    feature_map,
    strongest_channels,
    value_limits,
)
from escnn.report.pictures.library import matplotlib


def layer_sheet(
    name: str, activations: Floats, seconds: float, top_channels: int = 8, colormap: str | None = None
) -> Image.Image:
    """One layer of the network, its `top_channels` strongest channels beside their mean.

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
    for label, place in time_ticks(0, seconds, most_steps=6):
        x = left + round((right - left) * place)
        draw.line((x, bottom, x, bottom + 7), INK, 2)
        draw.text((x, bottom + 12), label, INK, _font(19), anchor="ma")
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
