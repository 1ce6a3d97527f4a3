"""Model files and training state: the only place that loads or saves weights.

A model file is a safetensors file, which cannot run code when it is opened. Its metadata holds one JSON document that
says all that is needed to use it: audio and network settings, labels, normalisation, how it was trained, how it scored.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
import torchaudio
from torch import Tensor

import escnn
from escnn.config import AudioConfig, ModelConfig, from_json, to_json
from escnn.errors import EscnnError, ModelError, is_plain, reason
from escnn.features import Normalization
from escnn.files import write_bytes
from escnn.model import ResNet

FORMAT = "escnn.model/1"
MODEL_IN_THE_BOX = Path(__file__).parent / "assets" / "esc50.safetensors"
MODEL_FILE = "model.safetensors"  # its name in a run folder
STATE_FILE = "last.pt"
MOST_LABELS = 10_000
LARGEST_FILE = 1 << 30  # bytes


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model file says of itself. `training` and `score` are for people and for `evaluate`."""

    name: str
    labels: tuple[str, ...]
    audio: AudioConfig
    model: ModelConfig
    normalization: Normalization
    training: dict[str, Any] = field(default_factory=dict)
    score: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Versions of what makes the numbers."""
    return {"escnn": escnn.__version__, "torch": str(torch.__version__), "torchaudio": str(torchaudio.__version__)}


def save_model(path: Path, network: ResNet, card: ModelCard, *, half: bool = False) -> None:
    """Write weights and card to `path`, whole or not at all; with `half`, weights rounded to float16: half the size."""
    document = {
        "format": FORMAT,
        "name": card.name,
        "labels": list(card.labels),
        "audio": to_json(card.audio),
        "model": to_json(card.model),
        "normalization": dataclasses.asdict(card.normalization),
        "training": card.training,
        "score": card.score,
        "versions": card.versions or versions(),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
    write_bytes(path, safetensors.torch.save(tensors, metadata={"escnn": json.dumps(document)}))


def load_model(path: Path) -> tuple[ResNet, ModelCard]:
    """Rebuild the network that a model file holds, in evaluation mode, on the CPU.

    The file is not believed: settings are checked against their ranges, names and shapes of all tensors against the
    settings, and only then is memory taken for them.

    Raises:
        ModelError: missing, damaged, of another format, or not what its own settings say.
    """
    path = _model_path(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            card = _read_card(path, file.metadata() or {})
            with torch.device("meta"):
                network = ResNet(card.model, len(card.labels))
            expected = network.state_dict()
            if set(file.keys()) != set(expected):
                odd = sorted(set(file.keys()) ^ set(expected))[0]
                raise ModelError(f"{path}: tensor {odd!r} does not fit the network that the file describes")
            weights = {name: _read_tensor(path, file, name, like) for name, like in expected.items()}
    except (safetensors.SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path}: not a model file of escnn ({reason(error)})",
            hint="models are .safetensors files that `escnn train` writes",
        ) from error
    network.load_state_dict(weights, assign=True)
    return network.eval(), card


def add_score(path: Path, score: dict[str, Any]) -> None:
    """Write into the model file at `path` how it scored."""
    network, card = load_model(path)
    save_model(path, network, dataclasses.replace(card, score=score))


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write training state (tensors, numbers, strings, lists and dictionaries of them) whole or not at all."""
    buffer = io.BytesIO()  # as torch says of a full disk only that it could not write
    torch.save(state, buffer)
    write_bytes(path, buffer.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Read training state; pickled code is refused (`weights_only`), damage is found by the file's own checksums.

    It takes no more memory than the file is long: what is compressed is refused, and tensors that claim more elements
    than the file holds.

    Raises:
        ModelError: missing or damaged.
    """
    hint = "start the training again"
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # `torch.save` packs nothing. What is packed, or stands there twice, could unfold to any size.
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            if packed or sum(member.file_size for member in members) > path.stat().st_size:
                raise ModelError(f"{path}: not a training state of escnn (packed)", hint=hint)
            damaged = archive.testzip()  # torch.load itself does not look at the checksums
        if damaged:
            raise ModelError(f"{path}: damaged training state ({damaged:.100})", hint=hint)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if any(tensor.nbytes > tensor.untyped_storage().nbytes() for tensor in _tensors(state)):
            raise ValueError("a tensor claims more elements than there are")
    except EscnnError:
        raise
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no training state here", hint="--resume takes the folder of a started run"
        ) from error
    except pickle.UnpicklingError as error:  # in many lines, with advice on how to run the code after all
        raise ModelError(f"{path}: damaged training state, or one that would run code; refused", hint=hint) from error
    except Exception as error:  # the unpickler trusts its input to be well formed: it raises whatever its steps raise
        raise ModelError(f"{path}: damaged training state ({reason(error)})", hint=hint) from error
    if not isinstance(state, dict):
        raise ModelError(f"{path}: not a training state of escnn")
    return state


def _tensors(state: Any) -> Iterator[Tensor]:
    """All tensors in nested dictionaries, lists and tuples."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict | list | tuple):
        for value in state.values() if isinstance(state, dict) else state:
            yield from _tensors(value)


def _model_path(path: Path) -> Path:
    """The model file itself, also when a run folder is given."""
    if path.is_dir():
        file = path / MODEL_FILE
        if not file.is_file():
            state = "its training is not finished" if (path / STATE_FILE).exists() else "is this a run folder?"
            raise ModelError(
                f"{path}: holds no {MODEL_FILE}; {state}", hint=f"`escnn train --resume {path}` finishes it"
            )
        path = file
    if not path.is_file():
        raise ModelError(f"{path}: no such model file", hint="leave out --model to use the model in the box")
    if path.stat().st_size > LARGEST_FILE:
        raise ModelError(f"{path}: larger than {LARGEST_FILE >> 20} MiB, no model of escnn is")
    return path


def model_file(path: Path | None) -> Path:
    """The file behind what a user calls a model: a file, a run folder, or None for the model in the box."""
    return _model_path(MODEL_IN_THE_BOX if path is None else path)


def _read_card(path: Path, metadata: dict[str, str]) -> ModelCard:
    if "escnn" not in metadata:
        raise ModelError(f"{path}: a safetensors file, but not a model of escnn", hint="`escnn train` writes them")
    document = json.loads(metadata["escnn"])
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else None
        raise ModelError(f"{path}: model format {found!r}, this escnn reads {FORMAT!r}", hint="update escnn")
    try:
        normalization = document["normalization"]
        card = ModelCard(
            name=_expect(str, document["name"]),
            labels=tuple(_expect(str, label) for label in _expect(list, document["labels"])),
            audio=from_json(AudioConfig, document["audio"], "audio"),
            model=from_json(ModelConfig, document["model"], "model"),
            normalization=Normalization(float(normalization["mean_db"]), float(normalization["std_db"])),
            training=_expect(dict, document["training"]),
            score=None if document["score"] is None else _expect(dict, document["score"]),
            versions=_expect(dict, document["versions"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, EscnnError) as error:
        raise ModelError(f"{path}: damaged model card ({error!r:.200})") from error
    if not 2 <= len(card.labels) <= MOST_LABELS or len(set(card.labels)) != len(card.labels):
        raise ModelError(f"{path}: {len(card.labels)} labels; a model has 2 to {MOST_LABELS} different ones")
    if not all(map(is_plain, (card.name, *card.labels))):
        raise ModelError(f"{path}: its name or a label holds control characters")
    if not (math.isfinite(card.normalization.mean_db) and 0 < card.normalization.std_db < math.inf):
        raise ModelError(f"{path}: normalisation must be finite, its deviation positive")
    return card


def _expect(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {value!r:.60}")
    return value


def _read_tensor(path: Path, file: Any, name: str, like: Tensor) -> Tensor:
    """One tensor, once its shape is known to be right, in the type that the network computes with."""
    shape = tuple(file.get_slice(name).get_shape())
    if shape != tuple(like.shape):
        raise ModelError(f"{path}: tensor {name!r} has shape {shape}, the network needs {tuple(like.shape)}")
    tensor: Tensor = file.get_tensor(name).to(like.dtype)
    if not tensor.isfinite().all():
        raise ModelError(f"{path}: tensor {name!r} holds values that are not finite")
    return tensor
