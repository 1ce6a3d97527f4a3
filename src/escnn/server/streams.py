"""Sound that comes through a socket while it sounds: an engine a connection, and a bound on how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from escnn.detection.frame_scores import Recording
from escnn.detection.output.formats import recording_document
from escnn.inference.classifier import Classifier
from escnn.inference.onnx_runtime import usable_cores
from escnn.live.detector import LiveDetector, LiveEvent
from escnn.live.formats import live_document
from escnn.live.pcm import LiveSound, PcmFormat
from escnn.server.detection import EventsWanted

NAME = "stream"  # what results call the sound


class FullError(Exception):
    """As many streams as there may be are under way."""


class Streams:
    """The streams of a server, and the threads that compute for them."""

    def __init__(self, classifier: Classifier, most: int) -> None:
        self.classifier, self.most, self.count = classifier, most, 0
        self._threads = ThreadPoolExecutor(usable_cores(), thread_name_prefix="stream")

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among them.

        Raises:
            FullError: there is none.
        """
        if self.count >= self.most:
            raise FullError
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1

    async def run(self, work: Any, *arguments: Any) -> Any:
        """What a call gives that computes for a stream: its turn comes after those that asked before."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def stop(self) -> None:
        """Compute no more."""
        self._threads.shutdown(wait=True, cancel_futures=True)


class Stream:
    """One sound on its way."""

    def __init__(self, classifier: Classifier, pcm: PcmFormat, wanted: EventsWanted, scores: int) -> None:
        """With `scores`, so many of the best classes are told at every step."""
        self._classifier, self._wanted, self._scores = classifier, wanted, scores
        self._sound = LiveSound(pcm, classifier.card.audio.sample_rate)
        self._detector = LiveDetector(classifier, wanted.settings, wanted.class_ids)
        self._events = 0

    @property
    def seconds(self) -> float:
        """Of the sound that came."""
        return self._sound.seconds

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """What becomes known with some more bytes of PCM."""
        before = self._detector.latest
        lines = self._documents(self._detector.feed(*self._sound.feed(data)))
        if self._scores and self._detector.latest is not before:
            lines.append(self._best(self._detector.latest))
        return lines

    def end(self) -> list[dict[str, Any]]:
        """What is known at the end, and the line that ends a recording."""
        rest = self._sound.end()
        found = self._detector.feed(rest, None if self._sound.is_direct else rest[:0])
        lines = self._documents(found + self._detector.end(self.seconds))
        recording = Recording(b"", NAME, seconds=self.seconds, warnings=tuple(self._sound.notes()))
        described = self._wanted.described(self._classifier)
        return [*lines, recording_document(recording, self._events, self._classifier.card, described, None)]

    def _documents(self, found: list[LiveEvent]) -> list[dict[str, Any]]:
        self._events += sum(event.state == "final" for event in found)
        return [live_document(NAME, event) for event in found]

    def _best(self, scores: np.ndarray) -> dict[str, Any]:
        best = np.argsort(-scores, kind="stable")[: self._scores].tolist()
        labels = self._classifier.card.labels
        return {
            "schema": "escnn.live_scores/1",
            "told_seconds": round(self._detector.seconds, 3),
            "scores": [
                {"label": labels[number], "class_id": number, "score": round(float(scores[number]), 4)}
                for number in best
            ],
        }
