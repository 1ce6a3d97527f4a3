"""Arrays to figures with axes: waveform, spectrogram, evidence, confusion matrix, training curves.

Everything here returns a `PIL.Image.Image`; the caller saves it. matplotlib is used through its objects, never through
pyplot, and with its own defaults, so the same arrays give the same pixels whatever a user's matplotlibrc says. What
draws figures is imported by those who draw one: it takes a third of a second, in which threads can encode.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from escnn import images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Floats = NDArray[np.floating[Any]]
Rows = Sequence[Mapping[str, Any]]
Edges = tuple[float, float, float, float]  # left, right, bottom, top
P = ParamSpec("P")

PURPLE, GREY = "#5f187f", "#8a8194"

DPI = 150
# Left, bottom, width and height as shares of the figure: matplotlib's own search for them takes as long as the drawing.
SPECTROGRAM_BOX, LEGEND_BOX = (0.065, 0.125, 0.84, 0.795), (0.92, 0.125, 0.014, 0.795)
LABELLED_HZ = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
TICK_DISTANCE = 0.05  # share of the height: closer labels would touch
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": f"cycler(color=['{PURPLE}', '#d8456c', '#1f8a8c', '#c98a14', '#4a78c2'])",
    "axes.edgecolor": "#6b6375",
    "xtick.color": images.INK,
    "ytick.color": images.INK,
    "figure.constrained_layout.h_pad": 0.1,  # inches
    "figure.constrained_layout.w_pad": 0.1,
    "legend.frameon": False,
    "text.parse_math": False,  # a `$` in a file name is a `$`
}


def _drawn(draw: Callable[P, Figure]) -> Callable[P, Image.Image]:
    """Turn a function that draws a figure into one that returns its pixels, in our style and nobody else's."""

    @functools.wraps(draw)
    def picture(*args: P.args, **kwargs: P.kwargs) -> Image.Image:
        import matplotlib.style
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # emoji in a file name: an empty box will do
            canvas: Any = FigureCanvasAgg(draw(*args, **kwargs))
            canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    return picture


@_drawn
def waveform(samples: Floats, sample_rate: int, title: str) -> Figure:
    """Peak envelope of `samples`, shape (time,) at `sample_rate` Hz: lowest and highest in every pixel column."""
    figure = _figure(10, 2.6)
    axes = figure.add_axes((0.075, 0.19, 0.91, 0.68))
    columns = round(axes.bbox.width)
    low, high = envelope(samples, columns)
    seconds = samples.size / sample_rate
    time = (np.arange(columns) + 0.5) * seconds / columns
    axes.fill_between(time, low, high, color=PURPLE, linewidth=0.7)
    peak = max(abs(float(low.min())), abs(float(high.max()))) or 1.0
    axes.set(xlim=(0, seconds), ylim=(-1.05 * peak, 1.05 * peak), xlabel="seconds", ylabel="amplitude")
    axes.set_title(_printable(title))
    return figure


@_drawn
def spectrogram(decibels: Floats, mel_frequencies_hz: Sequence[float], hop_seconds: float, title: str) -> Figure:
    """Log-mel picture of `decibels`, shape (mels, frames), low frequencies at the bottom.

    `mel_frequencies_hz` are the centres of the bands, lowest first. Frame k is centred on ``k * hop_seconds``.
    """
    limits = images.decibel_limits(decibels)
    figure, axes, edges = _spectrogram_axes(decibels, mel_frequencies_hz, hop_seconds, title)
    image = _show(axes, decibels, limits, images.SPECTROGRAM_COLORS, edges)
    extend = "min" if float(decibels.min()) < limits[0] else "neither"
    figure.colorbar(image, cax=figure.add_axes(LEGEND_BOX), label="dB", extend=extend)
    return figure


@_drawn
def evidence(
    decibels: Floats, marked: Floats, mel_frequencies_hz: Sequence[float], hop_seconds: float, title: str
) -> Figure:
    """What spoke for a class, `marked`, shape (mels, frames), at least 0, over the spectrogram in grey."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    limits = images.evidence_limits(marked)
    figure, axes, edges = _spectrogram_axes(decibels, mel_frequencies_hz, hop_seconds, title)
    _show(axes, decibels, images.decibel_limits(decibels), "gray", edges)
    image = _show(axes, marked, limits, images.EVIDENCE_COLORS, edges)
    image.set_alpha(np.clip(marked / limits[1], 0, 1))
    scale = ScalarMappable(Normalize(*limits), images.EVIDENCE_COLORS)  # without the picture's transparency
    figure.colorbar(scale, cax=figure.add_axes(LEGEND_BOX), label="evidence, 1: strongest", extend="max")
    return figure


@_drawn
def confusion(matrix: NDArray[np.integer[Any]], labels: Sequence[str]) -> Figure:
    """Counts of shape (classes, classes), rows the true class and columns the answer; colours are shares of a row."""
    classes = len(labels)
    side_inches = min(max(0.26 * classes, 5.0), 30.0)
    font = min(10.0, 72 * side_inches / classes * 0.5)  # points: fits a cell, whatever their number
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = _figure(side_inches + 2.6, side_inches + 2.2, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Purples", vmin=0, vmax=1)
    names = [_printable(label.replace("_", " ")) for label in labels]
    axes.set_xticks(range(classes), names, rotation=90, fontsize=font)
    axes.set_yticks(range(classes), names, fontsize=font)
    axes.set_xticks(np.arange(0.5, classes - 1), minor=True)
    axes.set_yticks(np.arange(0.5, classes - 1), minor=True)
    axes.grid(which="minor", color="#ece9f0", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    for row, column in np.argwhere(matrix > 0):
        text = str(matrix[row, column])
        if len(text) <= 4:
            color = "white" if shares[row, column] > 0.5 else "#2d2336"
            axes.text(column, row, text, ha="center", va="center", fontsize=0.9 * font, color=color)
    right, total = int(np.trace(matrix)), int(matrix.sum())
    accuracy = f"{100 * right / total:.1f} % right" if total else "no clips"
    axes.set_title(f"{accuracy} ({right} of {total} clips)", fontsize=13, pad=12)
    axes.set_xlabel("what the network said", fontsize=11)
    axes.set_ylabel("what it was", fontsize=11)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.5, pad=0.015, aspect=35)
    return figure


@_drawn
def curves(rows: Rows) -> Figure:
    """Training curves of one or more rows: ``epoch``, ``*loss``, ``*accuracy`` (0 to 1), ``learning_rate``.

    Values that are None or missing are left out: an accuracy measured every fifth epoch is a line all the same.
    """
    from matplotlib.ticker import MaxNLocator

    figure = _figure(10, 3.8, layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    _draw_columns(losses, rows, "loss", scale=1)
    _draw_columns(accuracies, rows, "accuracy", scale=100)
    rate = losses.twinx()
    _draw_column(rate, rows, "learning_rate", color=GREY, linestyle=":")
    rate.set_ylabel("learning rate (dotted)", color=GREY)
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes, title in ((losses, "Loss"), (accuracies, "Accuracy, %")):
        axes.set(title=title, xlabel="epoch")
        axes.set_xlim(rows[0]["epoch"] - 0.5, rows[-1]["epoch"] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="#ece9f0")
        axes.set_axisbelow(True)
    return figure


def envelope(samples: Floats, columns: int) -> tuple[Floats, Floats]:
    """Lowest and highest in each of `columns` equal stretches of `samples`, shape (time,): two arrays (columns,)."""
    starts = np.arange(columns) * samples.size // columns
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def frequency_ticks(mel_frequencies_hz: Sequence[float]) -> list[tuple[str, float]]:
    """Round frequencies, each with its height in a mel picture (0: lower edge, 1: upper), none too close to another."""
    bands = len(mel_frequencies_hz)
    ticks: list[tuple[str, float]] = []
    for hz in reversed(LABELLED_HZ):
        height = (float(np.interp(hz, mel_frequencies_hz, range(bands))) + 0.5) / bands
        inside = mel_frequencies_hz[0] <= hz <= mel_frequencies_hz[-1]
        if inside and (not ticks or ticks[-1][1] - height > TICK_DISTANCE):
            ticks.append((f"{hz // 1000}k" if hz >= 1000 else str(hz), height))
    return ticks[::-1]


def _figure(width: float, height: float, **options: Any) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, **options)


def _spectrogram_axes(
    decibels: Floats, mel_frequencies_hz: Sequence[float], hop_seconds: float, title: str
) -> tuple[Figure, Axes, Edges]:
    """A figure for pictures of (mels, frames), its axes in seconds and Hz, and where the edges of a picture belong."""
    mels, frames = decibels.shape
    figure = _figure(10, 4)
    axes = figure.add_axes(SPECTROGRAM_BOX)
    ticks = frequency_ticks(mel_frequencies_hz)
    axes.set_yticks([height * mels for _, height in ticks], [label for label, _ in ticks])
    axes.set(xlim=(0, (frames - 0.5) * hop_seconds), ylim=(0, mels), xlabel="seconds", ylabel="Hz")
    axes.set_title(_printable(title))
    return figure, axes, (-0.5 * hop_seconds, (frames - 0.5) * hop_seconds, 0, mels)


def _show(axes: Axes, values: Floats, limits: tuple[float, float], colormap: str, edges: Edges) -> AxesImage:
    """Draw `values`, shape (height, width), first row lowest."""
    low, high = limits
    return axes.imshow(
        values, colormap, vmin=low, vmax=high, origin="lower", aspect="auto", interpolation="nearest", extent=edges
    )


def _draw_columns(axes: Axes, rows: Rows, ending: str, scale: float) -> None:
    """A line for every column whose name ends in `ending` and that holds a value."""
    keys = [key for key in rows[0] if key.endswith(ending) and any(row.get(key) is not None for row in rows)]
    for key in keys:
        _draw_column(axes, rows, key, scale)
    if keys:
        axes.legend()


def _draw_column(axes: Axes, rows: Rows, key: str, scale: float = 1, **style: Any) -> None:
    points = [(row["epoch"], value * scale) for row in rows if (value := row.get(key)) is not None]
    epochs, values = [epoch for epoch, _ in points], [value for _, value in points]
    marker = "o" if len(points) < 20 else ""  # a line through one point shows nothing
    axes.plot(epochs, values, marker=marker, label=key.replace("_", " "), **style)


def _printable(text: str) -> str:
    """`text` without what fonts cannot hold (file names that are not UTF-8), and short enough for a title."""
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return clean if len(clean) <= 100 else f"{clean[:60]} … {clean[-37:]}"
