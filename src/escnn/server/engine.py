"""What answers: a network, the processes that decode and analyze, and a bound on how much is taken on at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np

from escnn.detection.frame_scores import Recording
from escnn.errors import AudioError
from escnn.inference.classifier import Classifier, prediction_of
from escnn.inference.onnx_runtime import usable_cores
from escnn.inference.prediction import Prediction
from escnn.server.batching import Batcher
from escnn.server.detection import EventsWanted, documents
from escnn.server.settings import ServerSettings
from escnn.server.streams import Streams
from escnn.server.workers import analyzer, decoder
from escnn.server.workers.analyzer import Analyzed, AnalyzeRequest, Kind, Unanalyzed
from escnn.server.workers.decoder import Decoded, DecodeRequest, Undecoded
from escnn.server.workers.process import Pool, ProcessDiedError, TookTooLongError


class BusyError(Exception):
    """More is asked for than can be worked on or wait."""


class AnalysisError(Exception):
    """There is no analysis to be had, though the sound is in order; `is_missing`: a package that it takes."""

    def __init__(self, message: str, hint: str | None = None, *, is_missing: bool = False) -> None:
        super().__init__(message)
        self.hint, self.is_missing = hint, is_missing


class Engine:
    """Ready to name and analyze sounds."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.classifier = Classifier.load(settings.model, threads=settings.threads)
        self.in_hand = 0  # requests
        audio = self.classifier.card.audio
        self._decoders = Pool(usable_cores(), decoder.serve, audio)
        self._analyzer = Pool(1, analyzer.serve, settings.model, self.classifier.card.sha256)
        self._batcher = Batcher(self.classifier)
        self.streams = Streams(self.classifier, settings.streams)
        self.detecting = asyncio.Semaphore(usable_cores())  # each holds a decoded sound
        self._decoders.start()

    def stop(self) -> None:
        """End all that it has started."""
        self._decoders.stop()
        self._analyzer.stop()
        self._batcher.stop()
        self.streams.stop()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue.

        Raises:
            BusyError: there is none.
        """
        if self.in_hand >= self.settings.queue:
            raise BusyError
        self.in_hand += 1
        try:
            yield
        finally:
            self.in_hand -= 1

    async def predict(self, content: bytes, name: str) -> Prediction:
        """Name the sound in the content of a file.

        Raises:
            AudioError: there is no sound to be had from it.
        """
        found = await self._decode(DecodeRequest(content, name, self.settings.max_seconds))
        audio = self.classifier.card.audio
        log_mels = np.frombuffer(found.array, dtype=np.float32).reshape(len(found.windows), audio.n_mels, -1)
        scores = await asyncio.wrap_future(self._batcher.submit(log_mels))
        return prediction_of(name, found.seconds, found.windows, scores, self.classifier.card, found.warnings)

    async def detect(
        self, content: bytes, name: str, wanted: EventsWanted
    ) -> tuple[Recording, AsyncIterator[dict[str, Any]]]:
        """The events of the sound in the content of a file, as they are found: documents of `escnn detect`.

        Raises:
            AudioError: there is no sound to be had from it.
        """
        found = await self._decode(DecodeRequest(content, name, self.settings.max_seconds, as_samples=True))
        recording = Recording(b"", name, seconds=found.seconds, warnings=tuple(found.warnings))
        samples = np.frombuffer(found.array, dtype=np.float32)
        return recording, documents(self.classifier, wanted, samples, recording)

    async def analyze(self, kind: Kind, content: bytes, name: str, top_k: int) -> bytes:
        """An analysis as JSON or as a page.

        Raises:
            AudioError: there is no sound to be had from it.
            AnalysisError: there is, but no analysis.
        """
        found = await self._decode(DecodeRequest(content, name, self.settings.max_seconds, as_samples=True))
        request = msgspec.msgpack.encode(AnalyzeRequest(kind, name, found, top_k))
        try:
            answer = await self._analyzer.ask(request, self.settings.timeout_seconds)
        except (ProcessDiedError, TookTooLongError) as error:
            raise AnalysisError("the analysis failed, or took too long", "try again, or a shorter sound") from error
        analyzed = msgspec.msgpack.decode(answer, type=Analyzed | Undecoded | Unanalyzed)
        if isinstance(analyzed, Undecoded):
            raise analyzed.error()
        if isinstance(analyzed, Unanalyzed):
            raise AnalysisError(analyzed.message, analyzed.hint, is_missing=analyzed.is_missing)
        return analyzed.content

    async def _decode(self, request: DecodeRequest) -> Decoded:
        message = msgspec.msgpack.encode(request)
        try:
            answer = await self._decoders.ask(message, self.settings.timeout_seconds)
        except ProcessDiedError as error:
            raise AudioError(f"{request.name}: damaged, its decoder broke down", code="damaged") from error
        except TookTooLongError as error:
            raise AudioError(f"{request.name}: damaged, its decoding takes too long", code="damaged") from error
        found = msgspec.msgpack.decode(answer, type=Decoded | Undecoded)
        if isinstance(found, Undecoded):
            raise found.error()
        return found
