"""A sound in figures: its waveform, its spectrogram, and the saliency of a class over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from escnn.audio.encoding import envelope
from escnn.report.pictures.axes import PURPLE, drawn, figure, frequency_ticks, printable
from escnn.report.pictures.images import (
    SALIENCY_COLORS,
    SPECTROGRAM_COLORS,
    Floats,
    decibel_limits,
    saliency_limits,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Edges = tuple[float, float, float, float]  # left, right, bottom, top

# Left, bottom, width and height as shares of the figure: matplotlib's own search for them takes as long as the drawing.
SPECTROGRAM_BOX, LEGEND_BOX = (0.065, 0.125, 0.84, 0.795), (0.92, 0.125, 0.014, 0.795)


@drawn
def waveform(samples: Floats, sample_rate: int, title: str) -> Figure:
    """Peak envelope of `samples`, shape (time,) at `sample_rate` Hz: lowest and highest in every pixel column."""
    sheet = figure(10, 2.6)
    axes = sheet.add_axes((0.075, 0.19, 0.91, 0.68))
    columns = round(axes.bbox.width)
    low, high = envelope(samples, columns)
    seconds = samples.size / sample_rate
    time = (np.arange(columns) + 0.5) * seconds / columns
    axes.fill_between(time, low, high, color=PURPLE, linewidth=0.7)
    peak = max(abs(float(low.min())), abs(float(high.max()))) or 1.0
    axes.set(xlim=(0, seconds), ylim=(-1.05 * peak, 1.05 * peak), xlabel="seconds", ylabel="amplitude")
    axes.set_title(printable(title))
    return sheet


@drawn
def spectrogram(decibels: Floats, mel_frequencies_hz: Sequence[float], hop_seconds: float, title: str) -> Figure:
    """Log-mel picture of `decibels`, shape (mels, frames), low frequencies at the bottom.

    `mel_frequencies_hz` are the centres of the bands, lowest first. Frame k is centred on ``k * hop_seconds``.
    """
    limits = decibel_limits(decibels)
    sheet, axes, edges = _spectrogram_axes(decibels, mel_frequencies_hz, hop_seconds, title)
    image = _show(axes, decibels, limits, SPECTROGRAM_COLORS, edges)
    extend = "min" if float(decibels.min()) < limits[0] else "neither"
    sheet.colorbar(image, cax=sheet.add_axes(LEGEND_BOX), label="dB", extend=extend)
    return sheet


@drawn
def saliency(
    decibels: Floats, values: Floats, mel_frequencies_hz: Sequence[float], hop_seconds: float, title: str
) -> Figure:
    """The evidence for a class, `values`, shape (mels, frames), at least 0, over the spectrogram in grey."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    limits = saliency_limits(values)
    sheet, axes, edges = _spectrogram_axes(decibels, mel_frequencies_hz, hop_seconds, title)
    _show(axes, decibels, decibel_limits(decibels), "gray", edges)
    image = _show(axes, values, limits, SALIENCY_COLORS, edges)
    image.set_alpha(np.clip(values / limits[1], 0, 1))
    scale = ScalarMappable(Normalize(*limits), SALIENCY_COLORS)  # without the picture's transparency
    sheet.colorbar(scale, cax=sheet.add_axes(LEGEND_BOX), label="evidence, 1: strongest", extend="max")
    return sheet


def _spectrogram_axes(
    decibels: Floats, mel_frequencies_hz: Sequence[float], hop_seconds: float, title: str
) -> tuple[Figure, Axes, Edges]:
    """A figure for pictures of (mels, frames), its axes in seconds and Hz, and where the edges of a picture belong."""
    mels, frames = decibels.shape
    sheet = figure(10, 4)
    axes = sheet.add_axes(SPECTROGRAM_BOX)
    ticks = frequency_ticks(mel_frequencies_hz)
    axes.set_yticks([height * mels for _, height in ticks], [label for label, _ in ticks])
    axes.set(xlim=(0, (frames - 0.5) * hop_seconds), ylim=(0, mels), xlabel="seconds", ylabel="Hz")
    axes.set_title(printable(title))
    return sheet, axes, (-0.5 * hop_seconds, (frames - 0.5) * hop_seconds, 0, mels)


def _show(axes: Axes, values: Floats, limits: tuple[float, float], colormap: str, edges: Edges) -> AxesImage:
    """Draw `values`, shape (height, width), first row lowest."""
    low, high = limits
    return axes.imshow(
        values, colormap, vmin=low, vmax=high, origin="lower", aspect="auto", interpolation="nearest", extent=edges
    )
