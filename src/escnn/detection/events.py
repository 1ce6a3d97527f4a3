"""From the scores of frames to events, while they come in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
import numpy as np
from numpy.typing import NDArray

from escnn.errors import UsageError
from escnn.model.frames import EventSettings

Array = NDArray[np.float32]


@dataclass(slots=True)
class Run:
    """Frames from `start` to before `end` that belong together, their highest score and its frame."""

    start: int
    end: int
    score: float
    peak: int

    def join(self, later: Run) -> None:
        """Take in a run that comes after this one."""
        self.end = later.end
        if later.score > self.score:
            self.score, self.peak = later.score, later.peak


class FinderState(msgspec.Struct, frozen=True):
    """What an `EventFinder` knows, as JSON types; runs are (class id, start, end, score, peak)."""

    frames: int
    running: list[tuple[int, int, int, float, int]]
    waiting: list[tuple[int, int, int, float, int]]
    context: list[list[float]]


class EventFinder:
    """Finds the events of every class in scores that come piece by piece; what it finds depends on no piece's length.

    An event is a run of frames at the offset score or above, one of them at the onset score of its class or above;
    runs less than `merge` frames apart are one, and what is shorter than `shortest` frames is left out.
    """

    def __init__(self, onset: Array, offset: Array, *, merge: float, shortest: float, median: int = 1) -> None:
        """`onset` and `offset` are a score a class, (classes,); `median` frames, an odd number, are smoothed over."""
        self._onset, self._offset = onset, offset
        self._merge, self._shortest, self._median = merge, shortest, median
        self._running: dict[int, Run] = {}  # by class: a run that goes on
        self._waiting: dict[int, Run] = {}  # an event that a later run may join
        self._frames = 0  # so far
        self._context = np.zeros((0, len(onset)), dtype=np.float32)  # of the median

    @classmethod
    def of(
        cls,
        settings: EventSettings,
        classes: int,
        frame_seconds: float,
        thresholds: Mapping[int, float] = MappingProxyType({}),
    ) -> EventFinder:
        """As the settings say, with the same onset score for all classes but those that `thresholds` names."""
        onset = np.full(classes, settings.onset_score, dtype=np.float32)
        for class_id, score in thresholds.items():
            onset[class_id] = score
        return cls(
            onset,
            onset * np.float32(settings.offset_share),
            merge=settings.merge_seconds / frame_seconds,
            shortest=settings.min_seconds / frame_seconds,
            median=settings.median_frames,
        )

    def feed(self, scores: Array) -> Iterator[tuple[int, Run]]:
        """The events, with their class ids, that are over once the next `scores`, (frames, classes), are known."""
        half = self._median // 2
        if not half:
            yield from self._find(scores)
            return
        if not len(self._context):
            self._context = np.repeat(scores[:1], half, axis=0)
        joined = np.concatenate((self._context, scores))
        self._context = joined[-2 * half :]
        yield from self._find(self._smoothed(joined))

    def end(self) -> Iterator[tuple[int, Run]]:
        """The events that were not over."""
        half = self._median // 2
        if half and len(self._context):
            yield from self._find(self._smoothed(np.concatenate((self._context, self._context[-1:].repeat(half, 0)))))
        for class_id in sorted(self._running):
            yield from self._close(class_id, self._running[class_id])
        self._running.clear()
        for class_id in sorted(self._waiting):
            yield from self._over(class_id)

    def pending(self) -> Iterator[tuple[int, Run]]:
        """The runs, with their class ids, that may yet become events, or be joined to one."""
        yield from self._waiting.items()
        yield from self._running.items()

    def state(self) -> FinderState:
        """Everything needed to go on."""

        def rows(runs: dict[int, Run]) -> list[tuple[int, int, int, float, int]]:
            return [(class_id, run.start, run.end, run.score, run.peak) for class_id, run in sorted(runs.items())]

        return FinderState(self._frames, rows(self._running), rows(self._waiting), self._context.tolist())

    def restore(self, state: FinderState) -> None:
        """Take up where `state` was given.

        Raises:
            UsageError: it is not a state of such a finder.
        """
        classes = len(self._onset)
        of_others = any(not 0 <= row[0] < classes for row in (*state.running, *state.waiting))
        if of_others or any(len(row) != classes for row in state.context):
            raise UsageError("what was noted of the detection is of another model", hint="begin anew, with --force")
        self._frames = state.frames
        self._running, self._waiting = (
            {class_id: Run(start, end, score, peak) for class_id, start, end, score, peak in runs}
            for runs in (state.running, state.waiting)
        )
        self._context = np.array(state.context, dtype=np.float32).reshape(-1, classes)

    def _smoothed(self, scores: Array) -> Array:
        if len(scores) < self._median:
            return scores[:0]
        windows = np.lib.stride_tricks.sliding_window_view(scores, self._median, axis=0)
        return np.median(windows, axis=-1).astype(np.float32)

    def _find(self, scores: Array) -> Iterator[tuple[int, Run]]:
        if not len(scores):
            return
        first, self._frames = self._frames, self._frames + len(scores)
        above = scores >= self._offset
        for class_id in np.flatnonzero(above.any(axis=0)).tolist():
            edges = np.flatnonzero(np.diff(above[:, class_id].astype(np.int8), prepend=0, append=0))
            for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
                peak = start + int(scores[start:end, class_id].argmax())
                run = Run(first + start, first + end, float(scores[peak, class_id]), first + peak)
                before = self._running.pop(class_id, None) if start == 0 else None
                if before is not None:
                    before.join(run)
                    run = before
                yield from self._close_running(class_id)
                if end == len(scores):
                    self._running[class_id] = run
                else:
                    yield from self._close(class_id, run)
        for class_id in [k for k, run in self._running.items() if run.end < self._frames]:
            yield from self._close_running(class_id)
        for class_id in sorted(self._waiting):
            going_on = self._running.get(class_id)
            if (going_on.start if going_on else self._frames) - self._waiting[class_id].end >= self._merge:
                yield from self._over(class_id)

    def _close_running(self, class_id: int) -> Iterator[tuple[int, Run]]:
        if class_id in self._running:
            yield from self._close(class_id, self._running.pop(class_id))

    def _close(self, class_id: int, run: Run) -> Iterator[tuple[int, Run]]:
        """A run has ended: it joins the event before it, or follows it."""
        if run.score < self._onset[class_id]:
            return
        waiting = self._waiting.get(class_id)
        if waiting is not None and run.start - waiting.end < self._merge:
            waiting.join(run)
            return
        if waiting is not None:
            yield from self._over(class_id)
        self._waiting[class_id] = run

    def _over(self, class_id: int) -> Iterator[tuple[int, Run]]:
        run = self._waiting.pop(class_id)
        if run.end - run.start >= self._shortest:
            yield class_id, run
