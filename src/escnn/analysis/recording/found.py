"""The events of a recording while they come in: all of them counted, the surest kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escnn.detection.detector import Event

MOST_EVENTS = 100_000  # that are kept of a recording


@dataclass(frozen=True, slots=True)
class Highest:
    """The highest score of all frames, event or not."""

    class_id: int
    seconds: float
    score: float


class FoundEvents:
    """Takes the events of one recording, in memory that does not grow beyond `most` of them."""

    def __init__(self, frame_seconds: float, most: int = MOST_EVENTS) -> None:
        self.counts: Counter[int] = Counter()  # of each class, those that were not kept among them
        self.highest: Highest | None = None
        self._frame_seconds, self._most = frame_seconds, most
        self._frames = 0
        self._kept: list[Event] = []

    def add(self, events: Iterable[Event]) -> None:
        """Some more events, in any order."""
        for event in events:
            self.counts[event.class_id] += 1
            self._kept.append(event)
            if len(self._kept) >= 2 * self._most:
                self._keep_the_surest()

    def see(self, scores: NDArray[np.float32]) -> None:
        """The scores of the next frames, (frames, classes), from the first on."""
        if len(scores):
            frame, class_id = (int(place) for place in np.unravel_index(int(scores.argmax()), scores.shape))
            score = float(scores[frame, class_id])
            if self.highest is None or score > self.highest.score:
                self.highest = Highest(class_id, (self._frames + frame) * self._frame_seconds, score)
        self._frames += len(scores)

    def kept(self) -> tuple[Event, ...]:
        """The surest, by their start."""
        self._keep_the_surest()
        return tuple(sorted(self._kept, key=lambda event: (event.start, event.class_id)))

    def _keep_the_surest(self) -> None:
        if len(self._kept) > self._most:
            self._kept = sorted(self._kept, key=lambda event: -event.score)[: self._most]
