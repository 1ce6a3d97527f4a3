"""Name the sound in a clip: windows, batches, averaging. Evaluation, prediction and pictures all go through here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from escnn import audio, checkpoint, files
from escnn.audio import Samples, SoundSource
from escnn.augment import stretch
from escnn.checkpoint import ModelCard
from escnn.errors import AudioError, ModelError, UsageError
from escnn.features import LogMel, normalize
from escnn.model import ResNet

SCHEMA = "escnn.prediction/1"
BATCH_WINDOWS = 4  # as fast as 16 on a CPU, with a third of the memory
# Ways to hear a window, the plain one first: times as fast, and share of the mel axis by which it is lowered.
VIEWS = ((1.0, 0.0), (1.0, 0.02), (1.0, -0.02), (1.15, 0.0), (1 / 1.15, 0.0))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network makes of a sound. `scores` (classes,) add up to one: the mean over its windows."""

    name: str
    seconds: float
    windows: int
    scores: NDArray[np.float32]
    labels: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def top(self, count: int, min_score: float = 0.0) -> list[tuple[str, int, float]]:
        """The best `count` classes as (label, class id, score), best first, none below `min_score`."""
        best = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.labels[i], int(i), float(self.scores[i])) for i in best if self.scores[i] >= min_score]


@dataclass(frozen=True, slots=True)
class Failure:
    """A sound that could not be read, and why."""

    name: str
    error: AudioError


Result = Prediction | Failure


class Classifier:
    """A trained network with the preprocessing it was trained with.

    >>> Classifier.load().predict("clip.wav").top(1)  # doctest: +SKIP
    [('dog', 0, 0.93)]
    """

    def __init__(
        self, network: ResNet, card: ModelCard, *, device: torch.device, sha256: str = "", views: int = 1
    ) -> None:
        if not 1 <= views <= len(VIEWS):
            raise UsageError(f"{views} views: must be between 1 and {len(VIEWS)}")
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.card = card
        self.device = device
        self.sha256 = sha256
        self.views = views
        self.log_mel = LogMel(card.audio).to(device)

    @classmethod
    def load(cls, model: Path | str | None = None, *, device: str = "auto", views: int = 1) -> Classifier:
        """Open a model file or a run folder; None is the model in the box.

        With more than one of `views` every window is heard that many ways (`VIEWS`) and the scores are averaged:
        slower by that factor, a little more accurate.

        Raises:
            ModelError: there is no model, or a damaged one.
            UsageError: the device is not there, or so many views.
        """
        path = checkpoint.model_file(None if model is None else Path(model))
        network, card = checkpoint.load_model(path)
        return cls(network, card, device=choose_device(device), sha256=files.sha256_file(path), views=views)

    def predict(self, source: SoundSource, name: str | None = None) -> Prediction:
        """Name the sound in a file, given as a path or as its bytes.

        Raises:
            AudioError: there is no sound to be had from it.
        """
        (result,) = self.predict_files([(source, name or ("audio" if isinstance(source, bytes) else str(source)))])
        if isinstance(result, Failure):
            raise result.error
        return result

    def predict_files(self, sources: Iterable[tuple[SoundSource, str]]) -> Iterator[Result]:
        """Name the sounds in many files, given as (source, name); one result each, in order, as soon as it is known.

        Windows of different files share a batch; memory does not grow with the number or the length of the files.
        """
        waiting: list[_Sound] = []
        batch: list[tuple[_Sound, Samples]] = []
        for source, name in sources:
            sound = _Sound(name, len(self.card.labels))
            waiting.append(sound)
            try:
                with audio.open_sound(source, name) as reader:
                    blocks = reader.blocks(self.card.audio.sample_rate)
                    for window in audio.windows(blocks, self.card.audio.window_samples):
                        sound.windows += 1
                        batch.append((sound, window))
                        if len(batch) == BATCH_WINDOWS:
                            self._score(batch)
                            batch = []
                sound.seconds, sound.warnings, sound.read = reader.seconds, tuple(reader.warnings), True
            except AudioError as error:
                sound.error = error
            while waiting and waiting[0].done:
                yield waiting.pop(0).result(self.card.labels)
        self._score(batch)
        yield from (sound.result(self.card.labels) for sound in waiting)

    @torch.inference_mode()
    def scores(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (windows, classes), rows adding up to one, of waveforms (windows, time) at the model's rate.

        Raises:
            ModelError: they are no numbers, as those of a model with absurd weights.
        """
        decibels = self.log_mel(torch.from_numpy(windows).to(self.device))[:, 0]  # (windows, mels, frames)
        total = torch.zeros(len(windows), len(self.card.labels), device=self.device)
        for faster, lowered in VIEWS[: self.views]:  # in turn: five times the batch would take five times the memory
            x = normalize(_view(decibels, faster, lowered), self.card.normalization)[:, None]
            total += self.network(x.contiguous(memory_format=torch.channels_last)).softmax(dim=1)
        mean: NDArray[np.float32] = (total / self.views).cpu().numpy()
        if not np.isfinite(mean).all():
            raise ModelError(
                f"model {self.card.name:.60}: its scores are no numbers", hint="its file is damaged; take another"
            )
        return mean

    def _score(self, batch: list[tuple[_Sound, Samples]]) -> None:
        if not batch:
            return
        scores = self.scores(np.stack([window for _, window in batch]))
        # Mean of probabilities, not of logits: one very sure window must not outvote the rest.
        for (sound, _), row in zip(batch, scores, strict=True):
            sound.total += row
            sound.scored += 1


def _view(decibels: Tensor, faster: float, lowered: float) -> Tensor:
    """Log-mels (windows, mels, frames) as one of `VIEWS` hears them."""
    if (faster, lowered) == (1.0, 0.0):
        return decibels
    same = decibels.new_ones(len(decibels))
    return stretch(decibels, same * faster, same, same * lowered)


class _Sound:
    """A file on its way through the batches."""

    def __init__(self, name: str, classes: int) -> None:
        self.name = name
        self.windows = self.scored = 0
        self.total = np.zeros(classes, dtype=np.float64)
        self.seconds = 0.0
        self.warnings: tuple[str, ...] = ()
        self.read = False
        self.error: AudioError | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or (self.read and self.scored == self.windows)

    def result(self, labels: tuple[str, ...]) -> Result:
        if self.error is not None:
            return Failure(self.name, self.error)
        scores = (self.total / self.windows).astype(np.float32)
        return Prediction(self.name, self.seconds, self.windows, scores, labels, self.warnings)


def choose_device(name: str) -> torch.device:
    """The device called auto, cpu, cuda or mps; auto takes the fastest there is.

    Raises:
        UsageError: it is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    if not there.get(name):
        raise UsageError(f"device {name!r} is not there", hint="--device auto takes the best there is")
    return torch.device(name)


def describe_model(classifier: Classifier) -> dict[str, Any]:
    """The model as it stands in every result."""
    return {"name": classifier.card.name, "sha256": classifier.sha256, "classes": len(classifier.card.labels)}


def to_document(result: Result, model: dict[str, Any], *, top_k: int, min_score: float = 0.0) -> dict[str, Any]:
    """A result as JSON types, after ``docs/prediction.schema.json``."""
    if isinstance(result, Failure):
        error = {"code": result.error.code, "message": result.error.message, "hint": result.error.hint}
        return {
            "schema": SCHEMA, "path": result.name, "status": "error", "duration_seconds": None, "windows": 0,
            "predictions": [], "model": model, "warnings": [], "error": error,
        }  # fmt: skip
    predictions = [
        {"label": label, "class_id": class_id, "score": round(score, 6)}
        for label, class_id, score in result.top(top_k, min_score)
    ]
    return {
        "schema": SCHEMA, "path": result.name, "status": "ok", "duration_seconds": round(result.seconds, 6),
        "windows": result.windows, "predictions": predictions, "model": model, "warnings": list(result.warnings),
        "error": None,
    }  # fmt: skip
