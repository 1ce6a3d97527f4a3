"""What figures share, and where ticks and outlines lie, on figures and pages alike.

A figure is drawn by a function that returns it, under `drawn`, and comes as a `PIL.Image.Image`; the caller saves it.
matplotlib is used through its objects, never through pyplot, and with its own defaults, so the same arrays give the
same pixels whatever a user's matplotlibrc says. What draws figures is imported by those who draw one: it takes a third
of a second, in which threads can encode.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from PIL import Image

from escnn.report.pictures.fonts import complete, drawable
from escnn.report.pictures.images import INK
from escnn.report.pictures.library import quietly

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
Ticks = list[tuple[str, float]]  # labels and their places, from 0 to 1

PURPLE, GREY, GRID = "#5f187f", "#8a8194", "#ece9f0"
DPI = 150
LABELLED_HZ = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
TICK_DISTANCE = 0.05  # share of the height: closer labels would touch
TIME_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600)  # seconds
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": f"cycler(color=['{PURPLE}', '#d8456c', '#1f8a8c', '#c98a14', '#4a78c2'])",
    "axes.edgecolor": "#6b6375",
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.constrained_layout.h_pad": 0.1,  # inches
    "figure.constrained_layout.w_pad": 0.1,
    "legend.frameon": False,
    "text.parse_math": False,  # a `$` in a file name is a `$`
}


def drawn(draw: Callable[P, Figure]) -> Callable[P, Image.Image]:
    """Turn a function that draws a figure into one that returns its pixels, in our style and nobody else's."""

    @functools.wraps(draw)
    def picture(*args: P.args, **kwargs: P.kwargs) -> Image.Image:
        import matplotlib.style
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        with quietly(), matplotlib.style.context(["default", STYLE]):
            figure = draw(*args, **kwargs)
            complete(figure)
            canvas: Any = FigureCanvasAgg(figure)
            canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    return picture


def figure(width: float, height: float, **options: Any) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, **options)


def printable(text: str) -> str:
    """`text` with escapes for what no typeface holds, and short enough for a title."""
    clean = drawable(text)
    return clean if len(clean) <= 100 else f"{clean[:60]} … {clean[-37:]}"


def waveform_path(low: Sequence[float], high: Sequence[float]) -> str:
    """The outline of an envelope as an SVG path: x counts columns, y runs from 0 (highest) over 100 (zero) to 200."""
    scale = 95 / (max(map(abs, (*low, *high))) or 1.0)
    upper = [f"{column} {100 - scale * value:.1f}" for column, value in enumerate(high)]
    lower = [f"{column} {100 - scale * value:.1f}" for column, value in enumerate(low)]
    return "M" + "L".join(upper + lower[::-1]) + "Z"


def frequency_ticks(mel_frequencies_hz: Sequence[float]) -> Ticks:
    """Round frequencies, each with its height in a mel picture (0: lower edge, 1: upper), none too close to another."""
    bands = len(mel_frequencies_hz)
    ticks: Ticks = []
    for hz in reversed(LABELLED_HZ):
        height = (float(np.interp(hz, mel_frequencies_hz, range(bands))) + 0.5) / bands
        inside = mel_frequencies_hz[0] <= hz <= mel_frequencies_hz[-1]
        if inside and (not ticks or ticks[-1][1] - height > TICK_DISTANCE):
            ticks.append((f"{hz // 1000}k" if hz >= 1000 else str(hz), height))
    return ticks[::-1]


def time_ticks(start_seconds: float, seconds: float, most_steps: int = 7) -> Ticks:
    """Round times within a stretch of sound: seconds, or m:ss where it ends later than a minute."""
    step = next((step for step in TIME_STEPS if seconds / step <= most_steps), TIME_STEPS[-1])
    end = start_seconds + seconds
    first, last = math.ceil(start_seconds / step - 1e-6), math.floor(end / step + 1e-6)
    label = "{:g}".format if end <= 60 + 1e-6 else _clock
    return [(label(k * step), (k * step - start_seconds) / seconds) for k in range(first, last + 1)]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 2), 60)
    whole, point, decimals = f"{rest:g}".partition(".")
    return f"{minutes:.0f}:{whole:0>2}{point}{decimals}"


def zero_based_ticks(highest: float) -> tuple[float, Ticks]:
    """The top of an axis that begins at 0 and holds `highest`, and three to seven round ticks."""
    if highest <= 0:
        return 1.0, [("0", 0.0), ("1", 1.0)]
    size = 10.0 ** math.floor(math.log10(highest))
    step = next(part * size for part in (0.2, 0.5, 1.0, 2.0) if highest <= 5 * part * size)
    count = math.ceil(highest / step - 1e-9)
    return count * step, [(f"{k * step:g}", k / count) for k in range(count + 1)]


def epoch_place(epoch: int, first: int, last: int) -> float:
    """Where an epoch lies on an axis from the first to the last, from 0 to 1; in the middle if there is one only."""
    return (epoch - first) / (last - first) if last > first else 0.5


def epoch_ticks(first: int, last: int) -> Ticks:
    """The first epoch, the last, and round ones between that keep clear of both."""
    span = last - first
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if span / step <= 7)
    between = range(math.ceil(first / step) * step, last, step)
    inner = [epoch for epoch in between if epoch - first >= 0.6 * step and last - epoch >= 0.6 * step]
    return [(str(epoch), epoch_place(epoch, first, last)) for epoch in sorted({first, *inner, last})]
