"""What sounded, from when to when, in one recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import Source, source_name
from escnn.detection.events import EventFinder, Run
from escnn.detection.frame_scores import BLOCK_SECONDS, Recording, score_recordings
from escnn.errors import UsageError
from escnn.inference.classifier import Classifier
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Event:
    """A sound of a known class. Times are in seconds from the start of the recording."""

    start: float
    end: float
    peak: float  # the middle of the frame with the highest score
    label: str
    class_id: int
    score: float  # the highest of its frames, 0 to 1


@dataclass(frozen=True)
class Detections:
    """The events of one recording, by their start. Those of different classes may overlap."""

    name: str
    seconds: float  # of the recording
    events: tuple[Event, ...]
    model: ModelCard
    settings: EventSettings
    warnings: tuple[str, ...] = ()
    frame_scores: NDArray[np.float32] | None = field(default=None, repr=False)  # (frames, classes), if asked for

    @property
    def frame_seconds(self) -> float:
        """How far frames lie apart; frame i is centred on i times that."""
        return self.model.frame_seconds

    def to_dataframe(self) -> pandas.DataFrame:
        """A table with a row an event: start, end and peak in seconds, label, class_id, score."""
        import pandas

        columns = list(Event.__dataclass_fields__)
        return pandas.DataFrame([[getattr(event, name) for name in columns] for event in self.events], columns=columns)


def detect(
    source: Source,
    model: Path | str | Classifier | None = None,
    *,
    name: str | None = None,
    frame_scores: bool = False,
    device: str = "auto",
    block_seconds: float = BLOCK_SECONDS,
    **settings: Any,
) -> Detections:
    """Find what sounds when in a recording of up to a day, in one pass and in memory that does not grow with it.

    >>> detect("night.wav").to_dataframe()  # doctest: +SKIP

    Args:
        source: a path, the content of a file, or ``(samples, sample_rate)``.
        model: a model file, a run folder or a `Classifier`; None is the bundled model. One with a frame head was
            taught when sounds begin and end; any other one knows it less well.
        name: what to call the recording; by default the path.
        frame_scores: whether to keep the scores of all frames, about 90 MB for a day.
        device: auto, cpu, cuda or mps, where a model is opened.
        block_seconds: how much of the recording the network is shown at once; no result depends on it.
        settings: fields of `EventSettings`, by default those of the model.

    Raises:
        AudioError: there is no sound to be had from it.
        ModelError: there is no model, or a damaged one.
        UsageError: a setting that cannot be.
    """
    classifier = model if isinstance(model, Classifier) else Classifier.load(model, device=device)
    card = classifier.card
    chosen = event_settings(card, settings)
    finder = EventFinder.of(chosen, len(card.labels), card.frame_seconds)
    found: list[tuple[int, Run]] = []
    kept: list[NDArray[np.float32]] = []
    recording = Recording(source, name or source_name(source))
    for _, part in score_recordings([recording], classifier.runtime, block_seconds):
        if part is not None:
            found += finder.feed(part.scores)
            if frame_scores:
                kept.append(part.scores)
    if recording.error is not None:
        raise recording.error
    found += finder.end()
    events = sorted(
        (event_of(card, class_id, run, recording.seconds) for class_id, run in found),
        key=lambda event: (event.start, event.class_id),
    )
    scores = np.concatenate(kept) if frame_scores else None
    return Detections(recording.name, recording.seconds, tuple(events), card, chosen, recording.warnings, scores)


def event_settings(card: ModelCard, changes: dict[str, Any]) -> EventSettings:
    """The settings of a model, with some changed.

    Raises:
        UsageError: no such setting, or a value that it may not have.
    """
    settings = card.events
    if unknown := sorted(set(changes) - set(EventSettings.__struct_fields__)):
        raise UsageError(f"{unknown[0]:.60}: no such setting; known are {', '.join(EventSettings.__struct_fields__)}")
    values = {name: getattr(settings, name) for name in EventSettings.__struct_fields__}
    return EventSettings(**{**values, **changes})


def event_of(card: ModelCard, class_id: int, run: Run, seconds: float) -> Event:
    """A run of frames as an event: frame i stands for what is nearer to it than to its neighbours."""
    apart = card.frame_seconds
    start, end = max(0.0, (run.start - 0.5) * apart), min(seconds, (run.end - 0.5) * apart)
    return Event(
        round(start, 3), round(max(start, end), 3), round(min(run.peak * apart, seconds), 3),
        card.labels[class_id], class_id, run.score,
    )  # fmt: skip
