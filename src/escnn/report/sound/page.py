"""The page of one sound: one HTML file that needs nothing but itself, offline, with script or without."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from escnn.analysis.analysis import Analysis, WindowDetail, best_classes
from escnn.analysis.filtered_sound import filter_sound
from escnn.audio.encoding import encode, envelope
from escnn.audio.log_mel import mel_frequencies
from escnn.report.html import display_label, moment, percent, render_page
from escnn.report.pictures import images
from escnn.report.pictures.axes import frequency_ticks, time_ticks, waveform_path
from escnn.report.sound.layers import DrawnLayer

FilteredSounds = Mapping[int, Sequence[Future[bytes]]]  # number of a window -> for each of its classes, an MP3
STYLES = ("style.css", "sound/sound.css")
SCRIPTS = ("palette.js", "sound/players.js", "sound/maps.js")
ENVELOPE_COLUMNS = 1000  # of the waveform on the page
TONES = 6  # colours of the timeline; rarer classes share the last one
LISTED_CLASSES = 3  # of every window
FAINT = 0.01  # score below which the evidence for a class is drawn faintly: it could not have won


def filter_sounds(analysis: Analysis, pool: Executor) -> FilteredSounds:
    """Begin to filter every window to the evidence for each of its classes: the longest work that a page needs."""
    audio = analysis.card.audio

    def filtered(detail: WindowDetail, saliency: NDArray[np.float32]) -> bytes:
        return encode(filter_sound(detail.samples, saliency, audio), audio.sample_rate, "MP3")

    return {
        number: [
            pool.submit(filtered, detail, saliency) for saliency in (() if detail.saliency is None else detail.saliency)
        ]
        for number, detail in analysis.details.items()
    }


def sound_page(
    analysis: Analysis,
    layers: Sequence[DrawnLayer],
    *,
    top_k: int = 5,
    command: Sequence[str] = (),
    created: datetime | None = None,
    filtered: FilteredSounds | None = None,
) -> str:
    """The page of one sound as HTML that can be encoded as UTF-8.

    Equal analyses give equal text: only the time tells two pages apart.

    Args:
        analysis: of the sound.
        layers: to show, from `draw_layers`.
        top_k: classes to name.
        command: as typed; an empty one is not shown.
        created: by default now.
        filtered: from `filter_sounds`, if that was begun already.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:  # encoders of sounds run without Python's lock
        sounds = filter_sounds(analysis, pool) if filtered is None else filtered
        views = {number: _WindowView(analysis, number, sounds[number]) for number in analysis.details}
        names = {layer.name for layer in layers}
        scores = analysis.prediction.top(top_k)
        return render_page(
            "sound/page.html.j2",
            styles=STYLES,
            scripts=SCRIPTS,
            analysis=analysis,
            card=analysis.card,
            title=title(analysis.prediction.name),
            scores=scores,
            certainty=certainty([(label, score) for label, _, score in scores]),
            main=views[analysis.main],
            segments=_segments(analysis, views) if is_recording(analysis) else [],
            seconds=_shown_seconds(analysis),
            recording_ticks=time_ticks(0.0, _shown_seconds(analysis)),
            # Blocks lie inside their stage; a block whose stage was not asked for stands for itself.
            stages=[
                (layer, [inner for inner in layers if inner.stage == layer.name and inner is not layer])
                for layer in layers
                if layer.stage == layer.name or layer.stage not in names
            ],
            command=shlex.join(["escnn", *command]) if command else "",
            created=created or datetime.now(UTC).replace(microsecond=0),
            faint=FAINT,
            color_strip=lambda colors: images.png_bytes(images.color_bar(colors)),
        )


class _WindowView:
    """A window kept whole, as the template draws it; `key` ends the ids of its elements."""

    def __init__(self, analysis: Analysis, number: int, filtered: Sequence[Future[bytes]]) -> None:
        self._analysis, self._filtered = analysis, filtered
        self.detail = analysis.details[number]
        self.audio = analysis.card.audio
        self.is_main = number == analysis.main
        self.key = "" if self.is_main else f"-{number}"
        self.start_seconds = analysis.prediction.window_starts[number]
        self.seconds = self.audio.clip_seconds
        self.scores = analysis.prediction.window_scores[number]
        self.hop_seconds = self.audio.hop_length / self.audio.sample_rate
        self.frequencies = mel_frequencies(self.audio)
        self.frequency_ticks = frequency_ticks(self.frequencies)
        self.time_ticks = time_ticks(self.start_seconds, self.seconds)
        self.limits = images.decibel_limits(self.detail.log_mel)
        self.colors = images.SPECTROGRAM_COLORS
        self.peak = images.peak(self.detail.log_mel)
        self.media_type = "audio/wav" if self.is_main else "audio/mpeg"  # kept as it was; the others small: many

    @cached_property
    def encoded(self) -> bytes:
        return encode(self.detail.samples, self.audio.sample_rate, "WAV" if self.is_main else "MP3")

    @cached_property
    def spectrogram_png(self) -> bytes:
        return images.png_bytes(images.feature_map(self.detail.log_mel, self.limits, self.colors))

    @cached_property
    def amplitude(self) -> float:
        return max(float(np.abs(side).max()) for side in self._envelope)

    @cached_property
    def waveform(self) -> str:
        low, high = self._envelope
        return waveform_path(low.tolist(), high.tolist())

    @cached_property
    def _envelope(self) -> tuple[images.Floats, images.Floats]:
        return envelope(self.detail.samples, ENVELOPE_COLUMNS)

    @property
    def waveform_width(self) -> int:
        return ENVELOPE_COLUMNS - 1

    def frequency(self, peak: tuple[float, float]) -> float:
        """Centre in Hz of the band that a point of the spectrogram lies in."""
        return self.frequencies[min(int(peak[1] * len(self.frequencies)), len(self.frequencies) - 1)]

    def moment(self, peak: tuple[float, float]) -> float:
        """Seconds in the recording of a point of a picture of this window."""
        return self.start_seconds + peak[0] * self.seconds

    def place(self, peak: tuple[float, float]) -> str:
        """A point of a feature map in words."""
        return f"{moment(self.moment(peak))} in the {self.band(peak)} frequencies"

    def band(self, peak: tuple[float, float]) -> str:
        """In which third of the frequencies a point of a picture lies."""
        return ("low", "middle", "high")[min(int(3 * peak[1]), 2)]

    @property
    def evidence(self) -> list[_Evidence]:
        """What there is for each class of the window; nothing where it was not computed."""
        if self.detail.saliency is None:
            return []
        return [
            _Evidence(
                label=self._analysis.card.labels[class_id],
                score=float(self.scores[class_id]),
                overlay_png=images.png_bytes(images.overlay(saliency, images.saliency_limits(saliency))),
                limits=images.saliency_limits(saliency),
                colors=images.SALIENCY_COLORS,
                peak=images.peak(saliency),
                encoded=sound.result(),
            )
            for class_id, saliency, sound in zip(
                self.detail.class_ids, self.detail.saliency, self._filtered, strict=True
            )
        ]

    @property
    def measured(self) -> str:
        """How far the score falls without the evidence, in a sentence; of the main window only."""
        first, analysis = self.detail.class_ids[0], self._analysis
        if not self.is_main or analysis.score_without_saliency is None or analysis.score_without_random is None:
            return ""
        return (
            f"Blanking the fifth of the spectrogram with the strongest evidence takes the score of "
            f"{display_label(analysis.card.labels[first])} from {percent(float(self.scores[first]))} to "
            f"{percent(analysis.score_without_saliency)}; blanking a random fifth leaves "
            f"{percent(analysis.score_without_random)}."
        )


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The evidence for one class, as a picture to lay over the spectrogram and as a sound."""

    label: str
    score: float
    overlay_png: bytes
    limits: tuple[float, float]
    colors: str
    peak: tuple[float, float] | None
    encoded: bytes


@dataclass(frozen=True, slots=True)
class _Segment:
    """A window on the timeline: where it lies (shares of the recording), its colour, and its view if it has one."""

    span: str
    left: float
    width: float
    tone: int
    best: Sequence[tuple[str, float]]
    thumbnail_png: bytes
    view: _WindowView | None
    is_main: bool


def _segments(analysis: Analysis, views: Mapping[int, _WindowView]) -> list[_Segment]:
    """The timeline. Classes take their colours by how many windows they lead, the first of equals first."""
    prediction, labels = analysis.prediction, analysis.card.labels
    total, length = _shown_seconds(analysis), analysis.card.audio.clip_seconds
    leading = [int(row.argmax()) for row in prediction.window_scores]
    tones = {label: min(rank, TONES - 1) for rank, (label, _) in enumerate(Counter(leading).most_common())}
    limits = images.decibel_limits(analysis.thumbnails)
    return [
        _Segment(
            span=span(start, start + length),
            left=start / total,
            width=min(length, total - start) / total,
            tone=tones[leading[number]],
            best=[(labels[best], float(row[best])) for best in best_classes(row, LISTED_CLASSES)],
            thumbnail_png=images.png_bytes(
                images.feature_map(analysis.thumbnails[number], limits, images.SPECTROGRAM_COLORS)
            ),
            view=views.get(number),
            is_main=number == analysis.main,
        )
        for number, (start, row) in enumerate(zip(prediction.window_starts, prediction.window_scores, strict=True))
    ]


def _shown_seconds(analysis: Analysis) -> float:
    """The length of the timeline: that of the sound, and at least that of its windows."""
    return max(analysis.prediction.seconds, analysis.prediction.window_starts[-1] + analysis.card.audio.clip_seconds)


def certainty(scores: Sequence[tuple[str, float]]) -> tuple[str, str]:
    """How sure the network is of its answers, (label, score), best first: a few words, and a sentence with the numbers
    behind them.

    Labels stand between Unicode isolates, so that one written from right to left leaves its sentence alone.
    """
    (_, best), *others = scores
    runner_up, second = (f"\u2068{display_label(others[0][0])}\u2069", others[0][1]) if others else ("", 0.0)
    next_best = f"Next comes {runner_up} with {percent(second)}." if others else ""
    margin = best - second
    if best < 0.3:
        return (
            "No clear answer.",
            f"Even the best class scores only {percent(best)}: take it as a hint.",
        )
    if margin < 0.15:
        return (
            "Ambiguous.",
            f"The runner-up, {runner_up}, is {100 * margin:.1f} points behind: it could be either.",
        )
    if best >= 0.9:
        return "Close to certain.", next_best
    if best >= 0.6:
        return "Fairly sure.", next_best
    return "A weak preference.", next_best


def is_recording(analysis: Analysis) -> bool:
    """Whether the sound had more than one window, even if all but one were digital silence and were left out."""
    longer = analysis.prediction.seconds > 1.01 * analysis.card.audio.clip_seconds
    return longer or len(analysis.thumbnails) > 1


def span(start_seconds: float, end_seconds: float) -> str:
    """A stretch of a sound: "5.0–10.0 s", from a minute on "1:05.0–1:10.0"."""
    return f"{moment(start_seconds).removesuffix(' s')}–{moment(end_seconds)}"


def title(name: str) -> str:
    """What to call a sound on a page: the name of its file, without folders."""
    return "stdin" if name == "-" else Path(name).name
