"""What sounded, from when to when, in one recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import Source, source_name
from escnn.detection.detector import Detector, Event, event_settings
from escnn.detection.frame_scores import BLOCK_SECONDS, Recording
from escnn.detection.thresholds import class_thresholds
from escnn.inference.classifier import Classifier
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings

if TYPE_CHECKING:
    import pandas


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

        columns = {
            name: pandas.Series(
                [getattr(event, name) for event in self.events],
                dtype=object if name == "label" else None,  # as it is: with pyarrow, pandas would refuse some
            )
            for name in Event.__dataclass_fields__
        }
        return pandas.DataFrame(columns)


def detect(
    source: Source,
    model: Path | str | Classifier | None = None,
    *,
    name: str | None = None,
    frame_scores: bool = False,
    thresholds: Mapping[str, float] | None = None,
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
        thresholds: onset scores by label, for classes for which that of the settings does not suit.
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
    by_class = class_thresholds(classifier, thresholds or {})
    recording = Recording(source, name or source_name(source))
    events: list[Event] = []
    kept: list[NDArray[np.float32]] = []
    for step in Detector(classifier, chosen, thresholds=by_class, block_seconds=block_seconds).run([recording]):
        events += step.events
        if frame_scores:
            kept.append(step.scores)
    if recording.error is not None:
        raise recording.error
    events.sort(key=lambda event: (event.start, event.class_id))
    scores = np.concatenate(kept) if frame_scores else None
    return Detections(recording.name, recording.seconds, tuple(events), card, chosen, recording.warnings, scores)
