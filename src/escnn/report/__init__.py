"""The page of `escnn visualize`: one HTML file that needs nothing but itself, offline, with script or without.

`render` fills `template.html.j2` with a `ReportPage` of plain values; pictures and sound come as encoded bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from escnn.report.html import percent, render_page, spoken


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One answer: the label as the model has it, and its score, 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class ColorScale:
    """What the colours of a picture mean: the values of the first and the last one, and all of them as a PNG strip."""

    low: float
    high: float
    png: bytes


@dataclass(frozen=True, slots=True)
class SoundView:
    """The stretch of sound that the page shows, `seconds` long; waveform, spectrogram and player all cover it."""

    flac: bytes
    start_seconds: float  # where the stretch begins in the recording
    seconds: float
    envelope_low: Sequence[float]  # lowest sample of each column of the waveform
    envelope_high: Sequence[float]  # highest
    spectrogram_png: bytes  # one pixel a band and frame, low frequencies at the bottom, no axes
    spectrogram_scale: ColorScale  # dB
    frames: int
    hop_seconds: float  # frame k is centred on k * hop_seconds
    mel_frequencies_hz: Sequence[float]  # centres of the bands, lowest first
    frequency_ticks: Sequence[tuple[str, float]]  # label, and height in the picture from 0 (bottom) to 1
    peak: tuple[float, float] | None  # loudest point of the spectrogram: shares of width and height


@dataclass(frozen=True, slots=True)
class MapView:
    """One picture of a layer at its own resolution, low frequencies at the bottom."""

    caption: str
    png: bytes
    scale: ColorScale
    peak: tuple[float, float] | None  # where the largest value lies: shares of width and height; None: all are equal


@dataclass(frozen=True, slots=True)
class LayerView:
    """One layer: the mean over its channels and the strongest of them; a stage has the layers of its blocks inside."""

    name: str
    summary: str  # what it does, in a few words
    shape: tuple[int, int, int]  # channels, height (frequency), width (time)
    mean: MapView
    channels: Sequence[MapView]  # they share one scale
    parameters: int | None = None
    inner: Sequence[LayerView] = ()


@dataclass(frozen=True, slots=True)
class SourceView:
    """The file that the sound came from."""

    name: str
    sha256: str
    sample_rate: int  # Hz
    channels: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelView:
    """The model that listened."""

    name: str
    sha256: str
    classes: int
    parameters: int
    accuracy: float | None = None  # 0 to 1
    measured: str | None = None  # how: on which clips, trained on which


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Everything on the page. `scores` are the best answers, best first; `layers` the stages in the network's order."""

    scores: Sequence[ClassScore]
    sound: SoundView
    layers: Sequence[LayerView]
    source: SourceView
    model: ModelView
    versions: Sequence[tuple[str, str]]
    command: str
    created: datetime
    warnings: Sequence[str] = ()


def render(page: ReportPage) -> str:
    """The page as HTML that can be encoded as UTF-8. Equal pages give equal text: only ``created`` tells runs apart."""
    return render_page(
        "template.html.j2",
        styles=["style.css"],
        scripts=["script.js"],
        page=page,
        certainty=certainty(page.scores),
        waveform=waveform_path(page.sound.envelope_low, page.sound.envelope_high),
        waveform_peak=_largest(page.sound),
        time_ticks=time_ticks(page.sound.start_seconds, page.sound.seconds),
        loudest_hz=_loudest_hz(page.sound),
        excerpt=page.source.seconds - page.sound.seconds > 0.05,
        place=lambda peak: _place(page.sound, peak),
    )


def certainty(scores: Sequence[ClassScore]) -> tuple[str, str]:
    """How sure the network is: a few words, and a sentence with the numbers behind them.

    Labels stand between Unicode isolates, so that one written from right to left leaves its sentence alone.
    """
    best = scores[0]
    second = scores[1] if len(scores) > 1 else ClassScore("", 0.0)
    runner_up = f"\u2068{spoken(second.label)}\u2069"
    next_best = f"Next comes {runner_up} with {percent(second.score)}." if second.label else ""
    margin = best.score - second.score
    if best.score < 0.3:
        hint = "take it as a hint, not as an answer."
        return "It does not know.", f"Even its best guess scores only {percent(best.score)}: {hint}"
    if margin < 0.15:
        return (
            "It is torn.",
            f"The runner-up, {runner_up}, is {100 * margin:.1f} points behind: it could well be either.",
        )
    if best.score >= 0.9:
        return "Close to certain.", next_best
    if best.score >= 0.6:
        return "Fairly sure.", next_best
    return "A leaning, no more.", next_best


def waveform_path(low: Sequence[float], high: Sequence[float]) -> str:
    """The outline of an envelope as an SVG path: x counts columns, y runs from 0 (highest) over 100 (zero) to 200."""
    scale = 95 / (max(map(abs, (*low, *high))) or 1.0)
    upper = [f"{column} {100 - scale * value:.1f}" for column, value in enumerate(high)]
    lower = [f"{column} {100 - scale * value:.1f}" for column, value in enumerate(low)]
    return "M" + "L".join(upper + lower[::-1]) + "Z"


def time_ticks(start_seconds: float, seconds: float) -> list[tuple[str, float]]:
    """Round times within a stretch of sound, each with its place in it, from 0 to 1: a handful."""
    step = next((step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if seconds / step <= 7), 60)
    first, last = math.ceil(start_seconds / step - 1e-6), math.floor((start_seconds + seconds) / step + 1e-6)
    return [(f"{k * step:g}", (k * step - start_seconds) / seconds) for k in range(first, last + 1)]


def _place(sound: SoundView, peak: tuple[float, float]) -> str:
    """A point of a feature map in words."""
    band = ("low", "middle", "high")[min(int(3 * peak[1]), 2)]
    return f"{sound.start_seconds + peak[0] * sound.seconds:.1f} s in the {band} frequencies"


def _loudest_hz(sound: SoundView) -> float | None:
    if sound.peak is None:
        return None
    return sound.mel_frequencies_hz[int(sound.peak[1] * len(sound.mel_frequencies_hz))]


def _largest(sound: SoundView) -> float:
    return max(map(abs, (*sound.envelope_low, *sound.envelope_high)))
