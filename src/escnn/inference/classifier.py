"""A trained network with its preprocessing: sounds in, predictions out, in windows and batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import Source, open_sound, source_name
from escnn.audio.log_mel import AudioConfig
from escnn.audio.windows import read_windows, window_start, window_weight
from escnn.errors import AudioError, UsageError, closest
from escnn.inference.prediction import Failure, Prediction
from escnn.inference.read_ahead import read_ahead
from escnn.inference.test_time_augmentation import augmented, check_tta
from escnn.model.card import ModelCard, no_numbers
from escnn.model.model_file import read_model

if TYPE_CHECKING:
    from escnn.inference.onnx_runtime import OnnxRuntime
    from escnn.network.runtime import TorchRuntime

RUNTIMES = ("auto", "onnx", "torch")
SHORTEST_HOP_SECONDS = 0.1
AHEAD_WINDOWS = 12  # got ready while the network is at work


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the sounds are."""

    name: str  # of the sound that is read
    sounds: int  # before it, in this call
    seconds: float  # of it that were scored
    of_seconds: float | None  # how long its header says it is


OnProgress = Callable[[Progress], None]


class Classifier:
    """A trained network with the preprocessing it was trained with.

    >>> Classifier.load().predict("clip.wav").top(1)  # doctest: +SKIP
    [('dog', 0, 0.93)]
    """

    def __init__(self, runtime: OnnxRuntime | TorchRuntime, *, tta: int = 1, hop_seconds: float | None = None) -> None:
        check_tta(tta)
        self.runtime, self.tta = runtime, tta
        self.card: ModelCard = runtime.card
        self.hop_seconds = _checked_hop(hop_seconds, self.card.audio)

    @classmethod
    def load(
        cls,
        model: Path | str | None = None,
        *,
        device: str = "auto",
        tta: int = 1,
        runtime: str = "auto",
        threads: int | None = None,
        hop_seconds: float | None = None,
    ) -> Classifier:
        """Open a model file or a run folder; None is the bundled model.

        Args:
            model: a model file or a run folder.
            device: auto, cpu, cuda or mps. To look for a GPU takes torch's import, so auto is the CPU unless `runtime`
                is torch.
            tta: test-time augmentation: score every window in that many ways and average; slower by that factor, a
                little more accurate.
            runtime: onnx (ONNX Runtime on the CPU; starts in a fraction of a second), torch, or auto: onnx, unless the
                device asks for torch.
            threads: of the network, by default as many as there are cores; 1 where many processes run side by side.
            hop_seconds: a window begins every so many seconds, rounded to a sample; by default they lie end to end.

        Raises:
            ModelError: there is no model, or a damaged one.
            UsageError: the device or the runtime is not there, `tta` is not 1 to 5, or `hop_seconds` is not
                `SHORTEST_HOP_SECONDS` to the length of a window.
        """
        if runtime not in RUNTIMES:
            raise UsageError(f"runtime {runtime!r:.60}: must be one of {', '.join(RUNTIMES)}")
        if runtime == "onnx" and device not in ("auto", "cpu"):
            raise UsageError(f"runtime onnx computes on the CPU, not on {device!r:.60}", hint="use runtime torch")
        if runtime == "torch" or device not in ("auto", "cpu"):
            from escnn.network.runtime import TorchRuntime, choose_device

            return cls(
                TorchRuntime(read_model(model), choose_device(device), threads=threads),
                tta=tta,
                hop_seconds=hop_seconds,
            )
        from escnn.inference.onnx_runtime import OnnxRuntime

        return cls(OnnxRuntime(read_model(model, lazily=True), threads=threads), tta=tta, hop_seconds=hop_seconds)

    def predict(self, source: Source, name: str | None = None) -> Prediction:
        """Name the sound in a file, given as a path or as its bytes, or in an array.

        Args:
            source: a path, the content of a file, or ``(samples, sample_rate)``.
            name: what to call it; by default the path.

        Raises:
            AudioError: there is no sound to be had from it.
        """
        (result,) = self.predict_files([(source, name or source_name(source))])
        if isinstance(result, Failure):
            raise result.error
        return result

    def predict_files(
        self, sources: Iterable[tuple[Source, str]], on_progress: OnProgress | None = None
    ) -> Iterator[Prediction | Failure]:
        """Name the sounds in many files, given as (source, name); one result each, in order, as soon as it is known.

        Windows of different files share a batch; memory does not grow with the number or the length of the files.
        Decoding and log-mels are computed in a thread, ahead of the network, which computes several batches at once
        where the runtime has a core for each.

        Args:
            sources: the sounds.
            on_progress: called after each batch.
        """
        waiting: deque[_Pending] = deque()
        batch: list[_Window] = []
        scoring: deque[tuple[list[_Window], Future[NDArray[np.float32]]]] = deque()
        pool = ThreadPoolExecutor(self.runtime.parallel)
        try:
            for sound, log_mel in read_ahead(self._log_mels(sources), AHEAD_WINDOWS):
                if log_mel is None:
                    waiting.append(sound)
                else:
                    batch.append((sound, log_mel))
                if len(batch) == self.runtime.batch_windows:
                    scoring.append((batch, pool.submit(self._score, batch)))
                    batch = []
                while scoring and (len(scoring) > self.runtime.parallel or scoring[0][1].done()):
                    scored = _settle(*scoring.popleft())
                    if on_progress:
                        on_progress(scored.progress(self.card.audio, self.hop_seconds))
                while waiting and waiting[0].done:
                    yield waiting.popleft().result(self.card, self.hop_seconds)
            if batch:
                scoring.append((batch, pool.submit(self._score, batch)))
            for settled in scoring:
                _settle(*settled)
            yield from (sound.result(self.card, self.hop_seconds) for sound in waiting)
        finally:
            pool.shutdown(cancel_futures=True)

    def _log_mels(self, sources: Iterable[tuple[Source, str]]) -> Iterator[tuple[_Pending, NDArray[np.float32] | None]]:
        """Every sound, and after it the log-mel of each of its windows, (mels, frames)."""
        for number, (source, name) in enumerate(sources):
            sound = _Pending(name, number)
            yield sound, None
            try:
                with open_sound(source, name) as reader:
                    sound.declared_seconds = reader.declared_seconds
                    for index, window in read_windows(reader, self.card.audio, self.hop_seconds):
                        sound.windows.append(index)
                        yield sound, self.runtime.log_mels(window[None])[0]
                sound.seconds, sound.warnings, sound.ended = reader.seconds, tuple(reader.warnings), True
            except AudioError as error:
                sound.error = error

    def scores(self, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (windows, classes), rows adding up to one, of log-mels in dB, (windows, mels, frames).

        Raises:
            ModelError: they are no numbers, as those of a model with absurd weights.
        """
        ways = [self.runtime.scores(way) for way in augmented(log_mels, self.tta)]
        mean: NDArray[np.float32] = ways[0] if len(ways) == 1 else np.mean(ways, axis=0, dtype=np.float32)
        if not np.isfinite(mean).all():
            raise no_numbers(self.card)
        return mean

    def class_ids(self, names: Sequence[str]) -> list[int]:
        """The ids of classes, named by their labels; a space will do for an underscore.

        Raises:
            UsageError: the model has no such class.
        """
        ids = {label.replace("_", " "): number for number, label in enumerate(self.card.labels)}
        wanted = [name.replace("_", " ") for name in names]
        for name in wanted:
            if name not in ids:
                more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
                some = f"it has {', '.join(list(ids)[:8])}{more}"
                raise UsageError(f"the model has no class {name!r}", hint=closest(name, ids) or some)
        return [ids[name] for name in wanted]

    def _score(self, batch: list[_Window]) -> NDArray[np.float32]:
        return self.scores(np.stack([log_mel for _, log_mel in batch]))


def _settle(batch: list[_Window], scores: Future[NDArray[np.float32]]) -> _Pending:
    """Hand the scores of a batch to its sounds, once they are there; gives the last of them."""
    for (sound, _), row in zip(batch, scores.result(), strict=True):
        sound.scores.append(row.copy())  # the row alone: what it is part of takes more memory
    return batch[-1][0]


class _Pending:
    """A sound on its way through the batches."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.declared_seconds: float | None = None
        self.windows: list[int] = []  # numbers of those that are scored
        self.scores: list[NDArray[np.float32]] = []
        self.seconds = 0.0
        self.warnings: tuple[str, ...] = ()
        self.ended = False  # all of it was read
        self.error: AudioError | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or (self.ended and len(self.scores) == len(self.windows))

    def progress(self, audio: AudioConfig, hop_seconds: float | None) -> Progress:
        seconds = self.windows[len(self.scores) - 1] * (hop_seconds or audio.clip_seconds) + audio.clip_seconds
        return Progress(self.name, self.number, seconds, self.declared_seconds)

    def result(self, card: ModelCard, hop_seconds: float | None) -> Prediction | Failure:
        if self.error is not None:
            return Failure(self.name, self.error, card)
        scores = np.stack(self.scores)
        return prediction_of(self.name, self.seconds, self.windows, scores, card, self.warnings, hop_seconds)


_Window = tuple[_Pending, NDArray[np.float32]]  # of a sound, and its log-mel


def _checked_hop(hop_seconds: float | None, audio: AudioConfig) -> float | None:
    """`hop_seconds`, rounded to a sample."""
    if hop_seconds is None:
        return None
    if not SHORTEST_HOP_SECONDS <= hop_seconds <= audio.clip_seconds:
        raise UsageError(
            f"hop of {hop_seconds:g} seconds: must be {SHORTEST_HOP_SECONDS:g} to {audio.clip_seconds:g}, "
            "the length of a window"
        )
    return round(hop_seconds * audio.sample_rate) / audio.sample_rate


def prediction_of(
    name: str,
    seconds: float,
    windows: Sequence[int],
    window_scores: NDArray[np.float32],
    card: ModelCard,
    warnings: Sequence[str],
    hop_seconds: float | None = None,
) -> Prediction:
    """The prediction that follows from the scores, (windows, classes), of those windows of a sound that have a number
    in `windows`; one begins every `hop_seconds`, by default they lie end to end.
    """
    length = card.audio.clip_seconds
    # Mean of probabilities, not of logits: one very sure window must not outvote the rest. The last window counts by
    # how much later it begins than the one before.
    weights = np.array([window_weight(index, length, seconds, hop_seconds) for index in windows])
    mean = np.average(window_scores.astype(np.float64), axis=0, weights=weights).astype(np.float32)
    starts = tuple(window_start(index, length, seconds, hop_seconds) for index in windows)
    return Prediction(name, seconds, mean, window_scores, starts, card, tuple(warnings))
