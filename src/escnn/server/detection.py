"""Events of a sound that was sent, as documents, as soon as each is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from escnn.detection.detector import event_of, event_settings
from escnn.detection.events import EventFinder, Run
from escnn.detection.frame_scores import Recording, read_frame_scores
from escnn.detection.output.formats import DetectionSettings, event_document, recording_document
from escnn.inference.classifier import Classifier
from escnn.model.frames import EventSettings

PIECE_SAMPLES = 1 << 20  # that are handed on at once


class EventsWanted:
    """Which events, and when scores make one: checked against the model."""

    def __init__(self, classifier: Classifier, classes: Iterable[str], changes: dict[str, float | None]) -> None:
        """`changes` are fields of `EventSettings`; None leaves the model's.

        Raises:
            UsageError: the model has no such class, or it is a value that cannot be.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        self.settings: EventSettings = event_settings(classifier.card, given)
        self.class_ids = classifier.class_ids(list(classes))

    def described(self, classifier: Classifier) -> DetectionSettings:
        """As results tell it."""
        card = classifier.card
        return DetectionSettings(
            weights_sha256=card.weights_sha256,
            runtime="torch" if "torch" in classifier.runtime.versions else "onnx",
            **structs.asdict(self.settings),
            classes=sorted(card.labels[number] for number in self.class_ids),
        )


async def documents(
    classifier: Classifier,
    wanted: EventsWanted,
    samples: NDArray[np.float32],
    recording: Recording,
) -> AsyncIterator[dict[str, Any]]:
    """The events of a decoded sound, (time,) at the model's rate, and last the line that ends a recording."""
    lines = _lines(classifier, wanted, samples, recording)
    while (line := await asyncio.to_thread(next, lines, None)) is not None:
        yield line


def _lines(
    classifier: Classifier, wanted: EventsWanted, samples: NDArray[np.float32], recording: Recording
) -> Iterator[dict[str, Any]]:
    card, count = classifier.card, 0
    for class_id, run, seconds in _runs(classifier, wanted.settings, samples, recording.seconds):
        if not wanted.class_ids or class_id in wanted.class_ids:
            count += 1
            yield event_document(recording.name, event_of(card, class_id, run, seconds), None, None)
    yield recording_document(recording, count, card, wanted.described(classifier), None)


def _runs(
    classifier: Classifier, settings: EventSettings, samples: NDArray[np.float32], seconds: float
) -> Iterator[tuple[int, Run, float]]:
    """The events, with their class ids and how much of the sound was known when they were found."""
    card = classifier.card
    finder = EventFinder.of(settings, len(card.labels), card.frame_seconds)
    pieces = (samples[first : first + PIECE_SAMPLES] for first in range(0, len(samples), PIECE_SAMPLES))
    for part in read_frame_scores(pieces, classifier.runtime):
        yield from ((*found, part.heard_seconds) for found in finder.feed(part.scores))
    yield from ((*found, seconds) for found in finder.end())
