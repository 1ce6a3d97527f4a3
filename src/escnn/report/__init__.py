"""The page of `escnn visualize`: one HTML file that needs nothing but itself, offline, with script or without.

`render` fills `template.html.j2` with a `ReportPage` of plain values; pictures and sound come as encoded bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from escnn.report.html import percent, render_page, spoken

TICK_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600)  # seconds
TONES = 6  # colours of the timeline; rarer classes share the last one


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

    encoded: bytes  # a file of `media_type`
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
    media_type: str = "audio/flac"
    sample_rate: int | None = None  # Hz, of `encoded`: said beside the player when known
    bits: int | None = 16  # of a sample in `encoded`; None: a codec that has no such thing


@dataclass(frozen=True, slots=True)
class WhyClass:
    """What spoke for one class, as a picture to lay over the spectrogram and as the sound that it left through."""

    label: str
    score: float  # 0 to 1
    overlay_png: bytes  # 8-bit palette with transparency (tRNS), laid out as the spectrogram's picture
    scale: ColorScale  # evidence in the unit of the method
    peak: tuple[float, float] | None  # strongest evidence: shares of width and height; None: the same everywhere
    encoded: bytes  # the sound filtered to what spoke for the class, as long as the original
    media_type: str = "audio/flac"


@dataclass(frozen=True, slots=True)
class WhyView:
    """Which moments and bands of a sound spoke for which class, `classes` best first."""

    method: str  # its name
    source: str  # citation
    explanation: str  # how to read the picture
    evidence: str  # a sentence with measured figures: how far the score falls without what is marked
    classes: Sequence[WhyClass]


@dataclass(frozen=True, slots=True)
class WindowView:
    """One window of a long recording. With a `sound` of its own the page can show it, else it is only listed."""

    start_seconds: float  # in the recording
    seconds: float
    scores: Sequence[ClassScore]  # its best answers, best first: three or so
    strip_png: bytes | None = None  # a small spectrogram, low frequencies at the bottom, any size
    sound: SoundView | None = None
    why: WhyView | None = None


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
    receptive_seconds: float | None = None  # how much time one value of the layer takes in
    receptive_hz: tuple[float, float] | None = None  # lowest and highest frequency it takes in around the middle band
    receptive_bands: int | None = None  # mel bands it takes in


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
    """Everything on the page. `scores` are the best answers, best first; `layers` the stages in the network's order.

    Of several `windows`, the one at index `shown_window` is the most telling: `sound`, `why` and `layers` are about it.
    """

    scores: Sequence[ClassScore]
    sound: SoundView
    layers: Sequence[LayerView]
    source: SourceView
    model: ModelView
    versions: Sequence[tuple[str, str]]
    command: str
    created: datetime
    warnings: Sequence[str] = ()
    why: WhyView | None = None
    windows: Sequence[WindowView] = ()
    shown_window: int = 0


@dataclass(frozen=True, slots=True)
class _View:
    """A sound and its reasons as the template draws them; `key` ends the ids of its elements."""

    key: str
    sound: SoundView
    why: WhyView | None

    @property
    def waveform(self) -> str:
        return waveform_path(self.sound.envelope_low, self.sound.envelope_high)

    @property
    def amplitude(self) -> float:
        return max(map(abs, (*self.sound.envelope_low, *self.sound.envelope_high)))

    @property
    def time_ticks(self) -> list[tuple[str, float]]:
        return time_ticks(self.sound.start_seconds, self.sound.seconds)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A window on the timeline: where it lies (shares of the recording), its colour, and its view if it has one."""

    window: WindowView
    left: float
    width: float
    tone: int
    view: _View | None
    main: bool


def render(page: ReportPage) -> str:
    """The page as HTML that can be encoded as UTF-8. Equal pages give equal text: only ``created`` tells runs apart."""
    segments = _segments(page) if len(page.windows) > 1 else []
    return render_page(
        "template.html.j2",
        styles=["style.css", "sound.css"],
        scripts=["palette.js", "players.js", "maps.js"],
        page=page,
        certainty=certainty(page.scores),
        main_view=_View("", page.sound, page.why),
        segments=segments,
        recording_ticks=time_ticks(0.0, _recording_seconds(page)),
        excerpt=page.source.seconds - page.sound.seconds > 0.05,
        place=_place,
        frequency=_frequency,
        moment=lambda sound, peak: sound.start_seconds + peak[0] * sound.seconds,
        band=_band,
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
    step = next((step for step in TICK_STEPS if seconds / step <= 7), TICK_STEPS[-1])
    first, last = math.ceil(start_seconds / step - 1e-6), math.floor((start_seconds + seconds) / step + 1e-6)
    return [(f"{k * step:g}", (k * step - start_seconds) / seconds) for k in range(first, last + 1)]


def _place(sound: SoundView, peak: tuple[float, float]) -> str:
    """A point of a feature map in words."""
    return f"{sound.start_seconds + peak[0] * sound.seconds:.1f} s in the {_band(peak)} frequencies"


def _band(peak: tuple[float, float]) -> str:
    return ("low", "middle", "high")[min(int(3 * peak[1]), 2)]


def _frequency(sound: SoundView, peak: tuple[float, float]) -> float:
    """Centre in Hz of the band that a point of the spectrogram lies in."""
    bands = len(sound.mel_frequencies_hz)
    return sound.mel_frequencies_hz[min(int(peak[1] * bands), bands - 1)]


def _recording_seconds(page: ReportPage) -> float:
    return max([page.source.seconds, *(window.start_seconds + window.seconds for window in page.windows)])


def _segments(page: ReportPage) -> list[_Segment]:
    """The timeline. Classes take their colours by how many windows they lead, the first of equals first."""
    total = _recording_seconds(page)
    leading = Counter(window.scores[0].label for window in page.windows)
    tones = {label: min(rank, TONES - 1) for rank, (label, _) in enumerate(leading.most_common())}
    return [
        _Segment(
            window=window,
            left=window.start_seconds / total,
            width=min(window.seconds, total - window.start_seconds) / total,
            tone=tones[window.scores[0].label],
            view=_window_view(page, index),
            main=index == page.shown_window,
        )
        for index, window in enumerate(page.windows)
    ]


def _window_view(page: ReportPage, index: int) -> _View | None:
    if index == page.shown_window:
        return _View("", page.sound, page.why)
    window = page.windows[index]
    return _View(f"-{index}", window.sound, window.why) if window.sound else None
