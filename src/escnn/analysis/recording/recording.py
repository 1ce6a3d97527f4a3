"""A recording of any length: what was found in it, and of the surest events all that can be shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escnn.analysis.recording.excerpts import Cutter, Excerpt, Span, plan_excerpts
from escnn.analysis.recording.found import FoundEvents, Highest
from escnn.analysis.recording.long_term import LongTermListener, LongTermSpectrogram
from escnn.audio.decoding import Samples, SoundInfo, Source, open_sound, source_name
from escnn.audio.encoding import encode
from escnn.detection.detector import Detector, Event, event_settings
from escnn.detection.frame_scores import Recording
from escnn.inference.classifier import Classifier, OnProgress, Progress
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings

Array = NDArray[np.float32]
MOST_EXCERPT_BYTES = 13_500_000  # of a page of 15 MB
LONGEST_SOUND_SECONDS = 60.0  # what is longer is a recording
LOUD_PEAK = 0.5  # of full scale: excerpts are made as loud,
MOST_GAIN = 31.6  # but by no more than 30 dB
FINEST_BANDS, FINEST_COLUMN_SECONDS = 64, 0.02  # of the spectrograms of excerpts
TOLD_EVERY_SECONDS = 30.0  # of sound: progress


@dataclass(frozen=True, slots=True)
class Found:
    """What a detector found in one recording; see `FoundEvents`."""

    name: str
    seconds: float  # of the recording
    events: tuple[Event, ...]  # by their start
    counts: Mapping[int, int]  # of each class, those that were not kept among them
    settings: EventSettings
    class_ids: tuple[int, ...] = ()  # that were asked for; none: all
    highest: Highest | None = None  # None where it is not known
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SurestWindow:
    """The network's window around the peak of the surest event."""

    event: Event
    start: float  # in seconds
    samples: Samples  # (time,) at the model's rate


@dataclass(frozen=True)
class RecordingAnalysis:
    """A recording, read a second time to see and hear what was found in it."""

    found: Found
    seconds: float
    start: datetime | None  # its clock time
    levels: tuple[float, ...]  # of each event: how loud the recording gets meanwhile, in dB of full scale
    excerpts: tuple[Excerpt, ...] = field(repr=False)  # in order of time
    excerpt_of: tuple[int | None, ...] = field(repr=False)  # of each event
    long_term: LongTermSpectrogram = field(repr=False)
    surest: SurestWindow | None = field(repr=False)  # None where nothing was found
    info: SoundInfo
    sha256: str
    card: ModelCard
    versions: dict[str, str]

    @property
    def name(self) -> str:
        """What the recording is called."""
        return self.found.name

    @property
    def events(self) -> tuple[Event, ...]:
        """The events, by their start; of more than `MOST_EVENTS` the surest."""
        return self.found.events

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each label were found, the most frequent first; those that were not kept among them."""
        counts, labels = self.found.counts, self.card.labels
        return {labels[class_id]: counts[class_id] for class_id in sorted(counts, key=lambda k: (-counts[k], k))}

    @property
    def least_score(self) -> float:
        """That every event reaches: the onset score, or less where classes have thresholds of their own."""
        lowest = min((event.score for event in self.events), default=1.0)
        return min(self.found.settings.onset_score, math.floor(1000 * lowest) / 1000)

    def to_html(self, *, command: Sequence[str] = ()) -> str:
        """The page of the recording, as one HTML file of at most 15 MB; `command` is shown as typed."""
        from escnn.report.recording.page import recording_page

        return recording_page(self, command=command)

    def save(self, folder: Path | str, *, command: Sequence[str] = ()) -> Path:
        """Write the page into `folder` as ``report.html``; gives its path."""
        from escnn.report.recording.folder import save_recording

        return save_recording(self, Path(folder), command=command)

    def _repr_html_(self) -> str:
        from escnn.report.html import in_frame

        return in_frame(self.to_html())


def analyze_recording(
    source: Source,
    model: Path | str | Classifier | None = None,
    *,
    name: str | None = None,
    classes: Sequence[str] = (),
    start: datetime | None = None,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> RecordingAnalysis:
    """Find what sounds when in a recording of up to a day, and get ready what a page of it shows.

    >>> analyze_recording("night.wav").save("night")  # doctest: +SKIP

    Args:
        source: a path, the content of a file, or ``(samples, sample_rate)``.
        model: a model file, a run folder or a `Classifier`; None is the bundled model.
        name: what to call the recording; by default the path.
        classes: labels that are asked for; none are all.
        start: its clock time, if it is known.
        device: auto, cpu, cuda or mps, where a model is opened.
        on_progress: called after each block while events are looked for.
        settings: fields of `EventSettings`, by default those of the model.

    Raises:
        AudioError: there is no sound to be had from it.
        ModelError: there is no model, or a damaged one.
        UsageError: a setting that cannot be, or no such class.
    """
    classifier = model if isinstance(model, Classifier) else Classifier.load(model, device=device)
    chosen, class_ids = event_settings(classifier.card, settings), classifier.class_ids(classes)
    recording = Recording(source, name or source_name(source))
    events = FoundEvents(classifier.card.frame_seconds)
    for step in Detector(classifier, chosen, class_ids).run([recording], on_progress=on_progress):
        events.add(step.events)
        events.see(step.scores)
    if recording.error is not None:
        raise recording.error
    found = Found(
        recording.name,
        recording.seconds,
        events.kept(),
        events.counts,
        chosen,
        tuple(class_ids),
        events.highest,
        recording.warnings,
    )
    return revisit(source, found, classifier, start=start)


def lasts_longer(source: Source, seconds: float, name: str | None = None) -> bool:
    """Whether a sound is longer than so many `seconds`: it is read until that is known, whatever its header says.

    Raises:
        AudioError: there is no sound to be had from it.
    """
    with open_sound(source, name) as reader:
        for _ in reader.blocks():
            if reader.seconds > seconds:
                return True
    return False


def revisit(
    source: Source,
    found: Found,
    classifier: Classifier,
    *,
    start: datetime | None = None,
    most_bytes: int = MOST_EXCERPT_BYTES,
    on_progress: OnProgress | None = None,
) -> RecordingAnalysis:
    """Read a recording once more for what its page shows of what was `found`, in memory that does not grow with it.

    Args:
        source: the recording.
        found: in it.
        classifier: that found it.
        start: its clock time.
        most_bytes: about so much may excerpts take on a page.
        on_progress: called now and then.

    Raises:
        AudioError: it cannot be read any more.
    """
    audio, events = classifier.card.audio, found.events
    rate = audio.sample_rate
    plan = plan_excerpts(events, found.seconds, most_bytes)
    wanted: list[list[int]] = [[] for _ in plan.spans]  # classes
    for event, number in zip(events, plan.of_event, strict=True):
        if number is not None and event.class_id not in wanted[number]:
            wanted[number].append(event.class_id)
    surest = max(events, key=lambda event: event.score, default=None)
    window = [] if surest is None else [_window(surest, found.seconds, audio.clip_seconds)]
    listener, cutter, window_cutter = LongTermListener(audio), Cutter(plan.spans, rate), Cutter(window, rate)
    cut: list[Samples] = []
    making: dict[int, Future[Excerpt]] = {}
    with ThreadPoolExecutor(2) as pool, open_sound(source, found.name) as reader:

        def make(number: int, samples: Samples) -> None:
            making[number] = pool.submit(_excerpt, classifier, plan.spans[number].start, samples, wanted[number])
            if (before := making.get(number - 8)) is not None:
                before.result()  # no more than a few wait with their samples

        told = 0.0
        for block in reader.blocks(rate):
            listener.add(block)
            cut += [samples for _, samples in window_cutter.add(block)]
            for number, samples in cutter.add(block):
                make(number, samples)
            if on_progress is not None and reader.seconds - told >= TOLD_EVERY_SECONDS:
                told = reader.seconds
                on_progress(Progress(found.name, 0, told, reader.declared_seconds))
        for number, samples in cutter.end():
            make(number, samples)
        cut += [samples for _, samples in window_cutter.end()]
        sha256 = reader.sha256()
    long_term, levels = listener.end()
    numbers = sorted(making)
    place = {number: index for index, number in enumerate(numbers)}
    return RecordingAnalysis(
        found=found,
        seconds=reader.seconds,
        start=start,
        levels=tuple(levels.loudest(event.start, event.end) for event in events),
        excerpts=tuple(making[number].result() for number in numbers),
        excerpt_of=tuple(None if number is None else place.get(number) for number in plan.of_event),
        long_term=long_term,
        surest=SurestWindow(surest, window[0].start, cut[0]) if surest is not None and cut else None,
        info=reader.info,
        sha256=sha256,
        card=classifier.card,
        versions=classifier.runtime.versions,
    )


def _window(event: Event, seconds: float, clip_seconds: float) -> Span:
    start = max(0.0, min(event.peak - clip_seconds / 2, seconds - clip_seconds))
    return Span(start, min(start + clip_seconds, seconds))


def _excerpt(classifier: Classifier, start: float, samples: Samples, class_ids: Sequence[int]) -> Excerpt:
    audio, runtime = classifier.card.audio, classifier.runtime
    log_mel = runtime.log_mels(samples[None])[0]
    peak = float(np.abs(samples).max(initial=0.0))
    gain = min(MOST_GAIN, max(1.0, LOUD_PEAK / peak)) if peak else 1.0
    return Excerpt(
        span=Span(start, round(start + len(samples) / audio.sample_rate, 3)),
        sound=encode(samples * np.float32(gain), audio.sample_rate, "MP3"),
        gain_db=20 * float(np.log10(gain)),
        log_mel=_coarser(log_mel, audio.hop_length / audio.sample_rate),
        evidence={
            class_id: _strongest_is_one(activation)
            for class_id, activation in zip(class_ids, runtime.class_activation(log_mel, class_ids), strict=True)
        },
    )


def _coarser(log_mel: Array, hop_seconds: float) -> Array:
    """A log-mel (mels, frames) with no more than is drawn of it: means of neighbours."""
    for axis, step in ((0, -(-len(log_mel) // FINEST_BANDS)), (1, max(1, round(FINEST_COLUMN_SECONDS / hop_seconds)))):
        starts = np.arange(0, log_mel.shape[axis], step)
        counts = np.diff(np.append(starts, log_mel.shape[axis]))
        sums = np.add.reduceat(log_mel, starts, axis=axis)
        log_mel = (sums / (counts[:, None] if axis == 0 else counts)).astype(np.float32)
    return log_mel


def _strongest_is_one(activation: Array) -> Array:
    """What is above zero, divided by its highest; zeros where nothing is."""
    positive = np.maximum(activation, 0)
    shares: Array = (positive / max(float(positive.max()), 1e-9)).astype(np.float32)
    return shares
