"""A trained network with its preprocessing: sounds in, predictions out, in windows and batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import Samples, Source, open_sound, source_name
from escnn.audio.windows import cut_windows, window_start
from escnn.errors import AudioError, UsageError, closest
from escnn.inference.prediction import Failure, Prediction
from escnn.model.model_file import ModelCard, read_model

if TYPE_CHECKING:
    from escnn.network.runtime import TorchRuntime

BATCH_WINDOWS = 4  # as fast as 16 on a CPU, with a third of the memory


class Classifier:
    """A trained network with the preprocessing it was trained with.

    >>> Classifier.load().predict("clip.wav").top(1)  # doctest: +SKIP
    [('dog', 0, 0.93)]
    """

    def __init__(self, runtime: TorchRuntime) -> None:
        self.runtime = runtime
        self.card: ModelCard = runtime.card

    @classmethod
    def load(cls, model: Path | str | None = None, *, device: str = "auto", tta: int = 1) -> Classifier:
        """Open a model file or a run folder; None is the bundled model.

        With `tta` (test-time augmentation) above 1, every window is scored in that many ways and the scores are
        averaged: slower by that factor, a little more accurate.

        Raises:
            ModelError: there is no model, or a damaged one.
            UsageError: the device is not there, or `tta` is not 1 to 5.
        """
        from escnn.network.runtime import TorchRuntime, choose_device

        return cls(TorchRuntime(read_model(model), choose_device(device), tta=tta))

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

    def predict_files(self, sources: Iterable[tuple[Source, str]]) -> Iterator[Prediction | Failure]:
        """Name the sounds in many files, given as (source, name); one result each, in order, as soon as it is known.

        Windows of different files share a batch; memory does not grow with the number or the length of the files.
        """
        config = self.card.audio
        waiting: list[_Pending] = []
        batch: list[tuple[_Pending, Samples]] = []
        for source, name in sources:
            sound = _Pending(name)
            waiting.append(sound)
            try:
                with open_sound(source, name) as reader:
                    for window in cut_windows(reader.blocks(config.sample_rate), config.window_samples):
                        sound.windows += 1
                        batch.append((sound, window))
                        if len(batch) == BATCH_WINDOWS:
                            self._score(batch)
                            batch = []
                sound.seconds, sound.warnings, sound.read = reader.seconds, tuple(reader.warnings), True
            except AudioError as error:
                sound.error = error
            while waiting and waiting[0].done:
                yield waiting.pop(0).result(self.card)
        self._score(batch)
        yield from (sound.result(self.card) for sound in waiting)

    def scores(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (windows, classes), rows adding up to one, of waveforms (windows, time) at the model's rate."""
        return self.runtime.scores(windows)

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

    def _score(self, batch: list[tuple[_Pending, Samples]]) -> None:
        if batch:
            scores = self.scores(np.stack([window for _, window in batch]))
            for (sound, _), row in zip(batch, scores, strict=True):
                sound.scores.append(row.copy())  # the row alone: what it is part of takes more memory


class _Pending:
    """A sound on its way through the batches."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.windows = 0
        self.scores: list[NDArray[np.float32]] = []
        self.seconds = 0.0
        self.warnings: tuple[str, ...] = ()
        self.read = False
        self.error: AudioError | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or (self.read and len(self.scores) == self.windows)

    def result(self, card: ModelCard) -> Prediction | Failure:
        if self.error is not None:
            return Failure(self.name, self.error, card)
        return prediction_of(self.name, self.seconds, np.stack(self.scores), card, self.warnings)


def prediction_of(
    name: str, seconds: float, window_scores: NDArray[np.float32], card: ModelCard, warnings: Sequence[str]
) -> Prediction:
    """The prediction that follows from the scores of a sound's windows, (windows, classes)."""
    # Mean of probabilities, not of logits: one very sure window must not outvote the rest.
    mean = window_scores.mean(axis=0, dtype=np.float64).astype(np.float32)
    starts = (window_start(index, card.audio.clip_seconds, seconds) for index in range(len(window_scores)))
    return Prediction(name, seconds, mean, window_scores, tuple(starts), card, tuple(warnings))
