"""Recordings in, events out, as soon as they are over; what is under way can be put down and taken up again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from escnn.detection.events import EventFinder, FinderState, Run
from escnn.detection.frame_scores import BLOCK_SECONDS, Recording, score_recordings
from escnn.errors import UsageError
from escnn.inference.classifier import Classifier, Progress
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings


@dataclass(frozen=True, slots=True)
class Event:
    """A sound of a known class. Times are in seconds from the start of the recording."""

    start: float
    end: float
    peak: float  # the middle of the frame with the highest score
    label: str
    class_id: int
    score: float  # the highest of its frames, 0 to 1


@dataclass(frozen=True, slots=True)
class Step:
    """What became known of a recording."""

    recording: Recording
    events: list[Event]  # that are over, in the order in which they ended
    scores: NDArray[np.float32]  # of its next frames, (frames, classes)
    ended: bool  # it was read to its end, or its error is set
    place: Callable[[], Place]  # where to go on from here


class Place(msgspec.Struct, frozen=True):
    """Where a detection was put down: in recording `number`, before score `first`, with what the finder knew."""

    number: int
    first: int = 0
    finder: FinderState | None = None
    events: int = 0  # of the recording that were told before


class Detector:
    """Finds the events of one recording after the other."""

    def __init__(
        self,
        classifier: Classifier,
        settings: EventSettings,
        class_ids: Iterable[int] = (),
        *,
        thresholds: Mapping[int, float] = MappingProxyType({}),
        block_seconds: float = BLOCK_SECONDS,
    ) -> None:
        """`class_ids` are the classes that are asked for; none are all. `thresholds` are onset scores of classes for
        which that of the settings does not hold.
        """
        self.card, self.settings, self._thresholds = classifier.card, settings, dict(thresholds)
        self._runtime, self._class_ids, self._block_seconds = classifier.runtime, frozenset(class_ids), block_seconds

    def run(
        self,
        recordings: Iterable[Recording],
        place: Place | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Iterator[Step]:
        """The events of `recordings`, of which the first is the one that `place` is in.

        Args:
            recordings: in order.
            place: where to go on in the first of them.
            on_progress: called after each block.
        """
        nothing = np.zeros((0, len(self.card.labels)), dtype=np.float32)
        finder = self._finder()
        if place is not None and place.finder is not None:
            finder.restore(place.finder)
        for recording, part in score_recordings(_placed(recordings, place), self._runtime, self._block_seconds):
            number = recording.number
            if part is None:
                found = [] if recording.error is not None else list(finder.end())
                finder = self._finder()
                events = self._events(found, recording.seconds)
                yield Step(recording, events, nothing, True, functools.partial(Place, number + 1))
                continue
            found = list(finder.feed(part.scores))
            first = part.first + len(part.scores)
            if on_progress is not None:
                seconds = first * self.card.frame_seconds
                on_progress(Progress(recording.name, number, seconds, recording.declared_seconds))
            events = self._events(found, part.heard_seconds)
            yield Step(recording, events, part.scores, False, functools.partial(_place, number, first, finder))

    def _finder(self) -> EventFinder:
        return EventFinder.of(self.settings, len(self.card.labels), self.card.frame_seconds, self._thresholds)

    def _events(self, found: Iterable[tuple[int, Run]], seconds: float) -> list[Event]:
        return [
            event_of(self.card, class_id, run, seconds)
            for class_id, run in found
            if not self._class_ids or class_id in self._class_ids
        ]


def _placed(recordings: Iterable[Recording], place: Place | None) -> Iterator[Recording]:
    for index, recording in enumerate(recordings):
        if index == 0 and place is not None:
            recording.first = place.first
        yield recording


def _place(number: int, first: int, finder: EventFinder) -> Place:
    return Place(number, first, finder.state())


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
