"""Model files: a card that says all that is needed to use a network, and its weights, as arrays.

A model file is a safetensors file, which cannot run code when it is opened. Its metadata holds one JSON document, the
card: audio and network settings, labels, normalization, how it was trained, how it scored.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from escnn.audio.log_mel import AudioConfig, Normalization
from escnn.config import to_json
from escnn.errors import EscnnError, ModelError, is_plain, reason, refused_as
from escnn.files import write_bytes
from escnn.model import architecture
from escnn.model.architecture import ModelConfig, Shape
from escnn.model.record import Score, TrainingRecord
from escnn.names import quoted

FORMAT = "escnn.model/1"
BUNDLED_MODEL = Path(__file__).parents[1] / "assets" / "esc50.safetensors"
MODEL_FILE = "model.safetensors"  # its name in a run folder
MOST_LABELS = 10_000
LARGEST_FILE = 1 << 30  # bytes
MOST_NESTED = 20  # objects and lists in one another; the deepest of a real card is 4

Weights = dict[str, NDArray[Any]]


class _CardDocument(msgspec.Struct, frozen=True):
    """The card as it stands in the file."""

    format: str
    name: str
    labels: tuple[str, ...]
    audio: AudioConfig
    model: ModelConfig
    normalization: Normalization
    training: dict[str, Any]
    score: dict[str, Any] | None
    versions: dict[str, str]


@dataclass(frozen=True)
class ModelCard:
    """What a model file says of itself, and the hash of the file. `training` and `score` are kept as they stand.

    `weights_sha256` is the hash of what decides its answers, weights and settings: the same training gives the same,
    wherever and whenever it ran.
    """

    name: str
    labels: tuple[str, ...]
    audio: AudioConfig
    model: ModelConfig
    normalization: Normalization
    training: dict[str, Any] = field(default_factory=dict)
    score: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    weights_sha256: str = ""

    @property
    def record(self) -> TrainingRecord:
        """How it was trained, as far as the program reads it."""
        return msgspec.convert(self.training, TrainingRecord)

    @property
    def folds_seen(self) -> set[int]:
        """Folds that it was trained on or whose clips chose its epoch."""
        return {*self.record.trained_on_folds, self.record.validation_fold} - {None}  # type: ignore[return-value]

    @property
    def clips_seen(self) -> frozenset[str]:
        """Hashes of the contents of the clips in `folds_seen`; none where the file does not say."""
        clips = self.record.clips
        return frozenset() if isinstance(clips, int) else frozenset().union(*clips.values())

    @property
    def training_summary(self) -> dict[str, Any]:
        """`training`, with the number of clips that it was trained on in place of their hashes."""
        record = self.record
        if isinstance(record.clips, int):
            return self.training
        learned = [len(record.clips.get(str(fold), ())) for fold in record.trained_on_folds]
        return {**self.training, "clips": sum(learned)}

    @property
    def seed(self) -> int:
        """The seed of its training, which dealt the clips of a folder data set to folds."""
        return self.record.seed or 0

    @property
    def parameters(self) -> int:
        """Number of weights that training changes."""
        return architecture.parameter_count(self.model, len(self.labels))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers whose feature maps can be recorded, in the network's order."""
        return tuple(architecture.receptive_fields(self.model))

    @property
    def accuracy(self) -> tuple[float, str] | None:
        """How it scored, 0 to 1, and on which clips, in words; None if nobody measured it."""
        if self.score is None:
            return None
        score = msgspec.convert(self.score, Score)
        learned = ", ".join(map(str, self.record.trained_on_folds))
        measured = score.measured or f"on the {score.clips} clips of fold {score.fold}, trained on folds {learned}"
        return score.accuracy, measured

    def describe(self) -> dict[str, Any]:
        """The model as it stands in every prediction."""
        return {"name": self.name, "sha256": self.sha256, "classes": len(self.labels)}


class ModelFile:
    """A model as it lies in a file: either runtime is built from it. Tensor names are those of `tensor_shapes`.

    `weights` are arrays, or a function that reads them each time that they are asked for: nobody keeps them for long.
    """

    def __init__(self, card: ModelCard, weights: Weights | Callable[[], Weights]) -> None:
        self.card = card
        self._read = weights

    @property
    def weights(self) -> Weights:
        """The arrays; `ModelError` if the file turns out to be damaged."""
        return self._read() if callable(self._read) else self._read


@refused_as(ModelError)
def find_model(model: Path | str | None) -> Path:
    """The file behind what a user calls a model: a file, a run folder, or None for the bundled model.

    Raises:
        ModelError: there is none.
    """
    path = BUNDLED_MODEL if model is None else Path(model)
    if path.is_dir():
        file = path / MODEL_FILE
        if not file.is_file():
            state = "its training is not finished" if (path / "last.pt").exists() else "is this a run folder?"
            raise ModelError(
                f"{path}: holds no {MODEL_FILE}; {state}", hint=f"`escnn train --resume {quoted(path)}` finishes it"
            )
        path = file
    if not path.is_file():
        raise ModelError(f"{path}: no such model file", hint="leave out --model to use the bundled model")
    if path.stat().st_size > LARGEST_FILE:
        raise ModelError(f"{path}: larger than {LARGEST_FILE >> 20} MiB, no model of escnn is")
    return path


def read_model(model: Path | str | None = None, *, lazily: bool = False) -> ModelFile:
    """Open a model file, a run folder, or the bundled model; `lazily` reads the weights when they are asked for.

    The file is not believed: settings are checked against their ranges, names and shapes of all tensors against the
    settings, and only then is memory taken for them. Weights kept in half precision come as float32.

    Raises:
        ModelError: missing, damaged, of another format, or not what its own settings say.
    """
    path = find_model(model)
    with _opened(path) as file:
        card = _read_card(path, file.metadata() or {})
        shapes = architecture.tensor_shapes(card.model, len(card.labels))
        if set(file.keys()) != set(shapes):
            odd = sorted(set(file.keys()) ^ set(shapes))[0]
            raise ModelError(f"{path}: tensor {odd!r} does not fit the network that the file describes")
        for name, shape in shapes.items():
            found = tuple(file.get_slice(name).get_shape())
            if found != shape:
                raise ModelError(f"{path}: tensor {name!r} has shape {found}, the network needs {shape}")
        card = _with_hashes(card, path)
    read = functools.partial(_read_weights, path, shapes)
    return ModelFile(card, read if lazily else read())


def write_model(path: Path, model: ModelFile, *, half: bool = False) -> None:
    """Write a model to `path`, whole or not at all; with `half`, weights rounded to float16: half the size."""
    weights = {name: np.asarray(array, order="C") for name, array in model.weights.items()}
    if half:
        weights = {name: array.astype(np.float16) if array.ndim > 1 else array for name, array in weights.items()}
    write_bytes(path, safetensors.numpy.save(weights, metadata={"escnn": json.dumps(card_document(model.card))}))


def card_document(card: ModelCard) -> dict[str, Any]:
    """The card as JSON types, as it stands in a file."""
    return {
        "format": FORMAT,
        "name": card.name,
        "labels": list(card.labels),
        "audio": to_json(card.audio),
        "model": to_json(card.model),
        "normalization": to_json(card.normalization),
        "training": card.training,
        "score": card.score,
        "versions": card.versions,
    }


def add_score(path: Path, score: dict[str, Any]) -> None:
    """Write into the model file at `path` how it scored."""
    model = read_model(path)
    write_model(path, ModelFile(dataclasses.replace(model.card, score=score), model.weights))


def _read_card(path: Path, metadata: dict[str, str]) -> ModelCard:
    """The card, checked whole: what the program will ever read of it has the type that it expects."""
    if "escnn" not in metadata:
        raise ModelError(f"{path}: a safetensors file, but not a model of escnn", hint="`escnn train` writes them")
    document = json.loads(metadata["escnn"])
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else None
        raise ModelError(f"{path}: model format {found!r:.60}, this escnn reads {FORMAT!r}", hint="update escnn")
    try:
        read = msgspec.convert(document, _CardDocument)
        card = ModelCard(**{name: getattr(read, name) for name in _CardDocument.__struct_fields__ if name != "format"})
        card.record, card.accuracy  # noqa: B018 - as much as will be read of them
        if _nested_deeper(document, MOST_NESTED):
            raise ValueError("nested too deeply")  # what can be read just so may not be written again
    except (ValueError, EscnnError, OverflowError) as error:
        raise ModelError(f"{path}: damaged model card ({reason(error)})") from error
    if not 2 <= len(card.labels) <= MOST_LABELS or len(set(card.labels)) != len(card.labels):
        raise ModelError(f"{path}: {len(card.labels)} labels; a model has 2 to {MOST_LABELS} different ones")
    if not all(map(is_plain, (card.name, *card.labels))):
        raise ModelError(f"{path}: its name or a label holds control characters")
    if not (math.isfinite(card.normalization.mean_db) and 0 < card.normalization.std_db < math.inf):
        raise ModelError(f"{path}: normalization must be finite, its deviation positive")
    architecture.check_size(card.audio, card.model, len(card.labels), str(path))
    return card


def _with_hashes(card: ModelCard, path: Path) -> ModelCard:
    """The card with the hash of its file, and that of what decides an answer: settings, and tensors by name."""
    told = ("format", "name", "training", "score", "versions")
    settings = {key: value for key, value in card_document(card).items() if key not in told}
    with path.open("rb") as file:
        size = file.read(8)
        header = file.read(int.from_bytes(size, "little"))
        tensors = {name: place for name, place in json.loads(header).items() if name != "__metadata__"}
        whole = hashlib.sha256(size + header)
        weights = hashlib.sha256(json.dumps([settings, tensors], sort_keys=True).encode())
        while block := file.read(1 << 20):
            whole.update(block)
            weights.update(block)
    return dataclasses.replace(card, sha256=whole.hexdigest(), weights_sha256=weights.hexdigest())


def _nested_deeper(document: Any, levels: int) -> bool:
    children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return levels == 0 or any(_nested_deeper(child, levels - 1) for child in children)


def _read_weights(path: Path, shapes: Mapping[str, Shape]) -> Weights:
    """The tensors, whose shapes are known to be right, in the types that the network computes with."""
    weights: Weights = {}
    with _opened(path) as file:
        for name in shapes:
            kind = np.int64 if name.endswith("num_batches_tracked") else np.float32
            weights[name] = file.get_tensor(name).astype(kind)
            if not np.isfinite(weights[name]).all():
                raise ModelError(f"{path}: tensor {name!r} holds values that are not finite")
    return weights


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open safetensors file; whatever goes wrong with it is a `ModelError`."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            yield file
    except (safetensors.SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path}: not a model file of escnn ({reason(error)})",
            hint="models are .safetensors files that `escnn train` writes",
        ) from error
