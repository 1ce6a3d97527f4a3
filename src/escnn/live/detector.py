"""Sound in, piece by piece; events out: provisional ones as they begin, final ones once they are over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from escnn.detection.detector import Event, event_of
from escnn.detection.events import EventFinder, Run
from escnn.inference.classifier import Classifier
from escnn.live.scores import EarlyScores, FinalScores
from escnn.model.frames import EventSettings

Array = NDArray[np.float32]
Scores = NDArray[np.float64]
State = Literal["provisional", "withdrawn", "final"]
LATEST = 3  # early scores, the highest of which is how much a class sounds now
RECENT_SECONDS = 1.5  # of early scores, in which an event may begin
# Of the way from the onset score to 1, which an early score must go: see benchmarks/live.md.
EARLY_SHARE = 0.75
FAR_SECONDS = 2.0  # an event that begins later, or was over earlier, is not the one that was told provisionally


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """What became known of an event: it seems to begin, it was none after all, or it is over."""

    id: int  # from 1 on; a provisional event has the same when it is withdrawn or final
    state: State
    event: Event  # of a provisional one, its end is how far the sound was known
    told_seconds: float  # of the sound, when this became known


@dataclass(slots=True)
class _Told:
    """A provisional event: the score at which it was told, by its number."""

    id: int
    frame: int
    event: Event


class LiveDetector:
    """Finds events in a sound that comes piece by piece, in memory that does not grow with it.

    Final events are those that `detect` finds in the same sound. What is found depends on no piece's length.
    """

    def __init__(
        self,
        classifier: Classifier,
        settings: EventSettings,
        class_ids: Iterable[int] = (),
        *,
        thresholds: Mapping[int, float] = MappingProxyType({}),
        provisional: bool = True,
        provisional_score: float | None = None,
        first_id: int = 1,
    ) -> None:
        """Events of `class_ids` are told, of all classes if there are none; see `detection.detector.Detector`.

        Args:
            classifier: the model.
            settings: when scores make an event.
            class_ids: the classes that are asked for; none are all.
            thresholds: onset scores of classes for which that of the settings does not hold.
            provisional: whether events are told as they begin.
            provisional_score: that an early score must reach for it; by default so high that nine of ten come true.
            first_id: the number of the first event.
        """
        self.card, self.settings = classifier.card, settings
        self.seconds = 0.0  # of the sound that was looked at
        self.latest: Array = np.zeros(len(self.card.labels), dtype=np.float32)  # early scores of the last step
        self._class_ids = frozenset(class_ids)
        self._final = FinalScores(classifier.runtime)
        self._finder = EventFinder.of(settings, len(self.card.labels), self.card.frame_seconds, thresholds)
        self._onset = onset = np.full(len(self.card.labels), settings.onset_score)
        for class_id, score in thresholds.items():
            onset[class_id] = score
        early = (
            onset + EARLY_SHARE * (1 - onset) if provisional_score is None else np.full_like(onset, provisional_score)
        )
        self._begun = _Begun(early, onset * settings.offset_share, settings.merge_seconds, self.card.frame_seconds)
        self._early = EarlyScores(classifier.runtime, self._begun.recent) if provisional else None
        self._step = self.card.frame_geometry.grid * self.card.audio.hop_length  # samples
        self._samples = 0  # that came
        self._waiting: Array = np.zeros(0, dtype=np.float32)  # samples that are not looked at yet
        # So many are wanted next: with the first ones come those beyond the last frame that it reaches to.
        self._due = (
            self._step + -(-self.card.audio.n_fft // 2 // self.card.audio.hop_length) * self.card.audio.hop_length
        )
        self._told: dict[int, _Told] = {}  # by class, until it is final or withdrawn
        self._next_id = first_id

    @property
    def next_id(self) -> int:
        """That of the next event."""
        return self._next_id

    def feed(self, samples: Array, early: Array | None = None) -> list[LiveEvent]:
        """What becomes known with the next `samples`, (time,), at the model's rate.

        `early` are the samples for provisional events, where those that `detect` would hear are not known as soon.
        """
        found = [] if early is None else list(self._early_of(early))
        self._samples += len(samples)
        waiting = np.concatenate((self._waiting, samples))
        while len(waiting) >= self._due:  # cut where early scores are due, so that nothing depends on how they came
            piece, waiting = waiting[: self._due], waiting[self._due :]
            self._due = self._step
            found += self._known(piece, with_early=early is None)
        self._waiting = waiting.copy()
        return found

    def end(self, seconds: float | None = None) -> list[LiveEvent]:
        """What is known at the end of the sound, which lasted so many `seconds`."""
        if not self._samples:
            return []
        found = self._known(self._waiting, with_early=False)
        self.seconds = seconds or self._samples / self.card.audio.sample_rate
        runs: list[tuple[int, Run]] = []
        for scores in self._final.end():
            runs += self._finder.feed(scores)
        found += self._settled([*runs, *self._finder.end()])
        return found + [self._withdrawn(class_id) for class_id in sorted(self._told)]

    def _known(self, samples: Array, *, with_early: bool) -> list[LiveEvent]:
        self.seconds += len(samples) / self.card.audio.sample_rate
        found = list(self._early_of(samples)) if with_early else []
        for scores in self._final.feed(samples):
            found += self._settled(list(self._finder.feed(scores)))
        return found

    def _early_of(self, samples: Array) -> Iterator[LiveEvent]:
        for first, scores in self._early.feed(samples) if self._early is not None else ():
            self.latest = scores[-LATEST:].max(axis=0)
            yield from self._provisional(first, scores)

    def _provisional(self, first: int, scores: Array) -> Iterator[LiveEvent]:
        apart = self.card.frame_seconds
        for class_id, run in self._begun.feed(first, scores):
            if class_id in self._told or self._is_under_way(class_id) or not self._is_asked_for(class_id):
                continue
            known = (first + len(scores)) * apart
            event = event_of(self.card, class_id, run, known)
            self._told[class_id] = _Told(self._take_id(), run.peak, event)
            yield LiveEvent(self._told[class_id].id, "provisional", event, known)

    def _is_under_way(self, class_id: int) -> bool:
        """Whether what final scores are known of ends within an event of the class."""
        near = self._final.count - self.settings.merge_seconds / self.card.frame_seconds
        return any(
            number == class_id and run.end >= near and run.score >= self._onset[class_id]
            for number, run in self._finder.pending()
        )

    def _settled(self, runs: list[tuple[int, Run]]) -> list[LiveEvent]:
        """Final events, and those provisional ones that did not come true."""
        found = []
        far = FAR_SECONDS / self.card.frame_seconds
        for class_id, run in runs:
            if not self._is_asked_for(class_id):
                continue
            told = self._told.get(class_id)
            mine = told is not None and run.start - far <= told.frame < run.end + far
            number = self._told.pop(class_id).id if mine else self._take_id()
            event = event_of(self.card, class_id, run, self.seconds)
            found.append(LiveEvent(number, "final", event, self.seconds))
        for class_id in sorted(self._told):
            frame = self._told[class_id].frame
            may_come_true = any(
                number == class_id and run.start - far <= frame < run.end + far
                for number, run in self._finder.pending()
            )
            if not may_come_true and self._final.count > frame + far:
                found.append(self._withdrawn(class_id))
        return found

    def _withdrawn(self, class_id: int) -> LiveEvent:
        told = self._told.pop(class_id)
        return LiveEvent(told.id, "withdrawn", told.event, self.seconds)

    def _is_asked_for(self, class_id: int) -> bool:
        return not self._class_ids or class_id in self._class_ids

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


class _Begun:
    """Finds, in early scores, what begins."""

    def __init__(self, onset: Scores, offset: Scores, merge_seconds: float, frame_seconds: float) -> None:
        """`onset` and `offset` are a score a class, (classes,)."""
        self.recent = max(3, round(RECENT_SECONDS / frame_seconds))  # frames
        self._onset, self._offset = onset, offset
        self._merge = max(1.0, merge_seconds / frame_seconds)  # frames
        self._until = np.full(len(onset), -np.inf)  # the frame up to which the class sounds that was told

    def feed(self, first: int, scores: Array) -> Iterator[tuple[int, Run]]:
        """The classes that begin to sound within the last frames, whose `scores`, (frames, classes), begin with number
        `first`; each with the frames that sound.
        """
        end = first + len(scores)
        highest = scores.max(axis=0)
        begun, silent = highest >= self._onset, end - self._until > self._merge
        for class_id in np.flatnonzero(begun & silent).tolist():
            of_class = scores[:, class_id]
            peak = start = int(of_class.argmax())
            while start > 0 and of_class[start - 1] >= self._offset[class_id]:
                start -= 1
            yield class_id, Run(first + start, end, float(of_class[peak]), first + peak)
        self._until[begun | (~silent & (highest >= self._offset))] = end
