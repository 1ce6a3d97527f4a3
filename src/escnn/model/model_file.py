"""Model files: a card that says all that is needed to use a network, and its weights, as arrays.

A model file is a safetensors file, which cannot run code when it is opened. Its metadata holds one JSON document, the
card: audio and network settings, labels, normalization, how it was trained, how it scored.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from escnn.errors import ModelError, reason, refused_as
from escnn.files import write_bytes
from escnn.model.architecture import Shape
from escnn.model.card import ModelCard, card_document, read_card
from escnn.names import quoted

BUNDLED_MODEL = Path(__file__).parents[1] / "assets" / "esc50.safetensors"
MODEL_FILE = "model.safetensors"  # its name in a run folder
LARGEST_FILE = 1 << 30  # bytes

Weights = dict[str, NDArray[Any]]


class ModelFile:
    """A model as it lies in a file: either runtime is built from it. Tensor names are those of `tensor_shapes`.

    `weights` are arrays, or a function that reads them each time that they are asked for: nobody keeps them for long.
    """

    def __init__(self, card: ModelCard, weights: Weights | Callable[[], Weights]) -> None:
        self.card = card
        self._read = weights

    @property
    def is_in_memory(self) -> bool:
        """Whether its weights may be others than those of the file that the card has the hash of."""
        return not callable(self._read)

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
        card = read_card(path, file.metadata() or {})
        shapes = card.tensor_shapes
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


def add_score(path: Path, score: dict[str, Any]) -> None:
    """Write into the model file at `path` how it scored."""
    model = read_model(path)
    write_model(path, ModelFile(dataclasses.replace(model.card, score=score), model.weights))


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
