"""The card of a model: all that is needed to use its network, how it was trained, how it scored."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import msgspec

from escnn.audio.log_mel import AudioConfig, Normalization
from escnn.config import between, to_json
from escnn.errors import EscnnError, ModelError, is_plain, reason
from escnn.model import architecture
from escnn.model.architecture import ModelConfig, Shape
from escnn.model.frames import (
    WITHOUT_HEAD,
    EventSettings,
    FrameRecord,
    Geometry,
    check_head_size,
    geometry,
    head_shapes,
)

FORMAT = "escnn.model/1"
MOST_LABELS = 10_000
MOST_NESTED = 20  # objects and lists in one another; the deepest of a real card is 4


Fold = Annotated[int, between(0, 1000)]  # 0: none
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16,128}$")]
HashesByFold = dict[Annotated[str, msgspec.Meta(pattern="^[0-9]{1,4}$")], tuple[Hash, ...]]


class TrainingRecord(msgspec.Struct, frozen=True):
    """Of a card's `training`."""

    fold: Fold | None = None
    validation_fold: Fold | None = None
    trained_on_folds: tuple[Fold, ...] = ()
    epochs: Annotated[int, between(0, 10**9)] | None = None
    seed: Annotated[int, between(0, 2**31 - 1)] | None = None
    seconds: Annotated[float, between(0.0, 1e12)] | None = None
    # Hashes of the contents of the clips of each fold it was trained on, validation fold included: not their names,
    # as a model that is given away tells nobody's file names. Of 0.1.0, how many there were.
    clips: HashesByFold | Annotated[int, between(0, 10**9)] = 0


class Score(msgspec.Struct, frozen=True):
    """Of a card's `score`."""

    accuracy: Annotated[float, between(0.0, 1.0)]
    clips: Annotated[int, between(0, 10**9)] | None = None
    fold: Fold | None = None
    measured: str | None = None  # in words; where there are none, clips and fold say it

    def __post_init__(self) -> None:
        if self.measured is None and None in (self.clips, self.fold):
            raise ValueError("a score says on which clips it was measured")


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
    frames: FrameRecord | None = None


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
    frames: FrameRecord | None = None  # its frame head; None: it has none
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
    def tensor_shapes(self) -> dict[str, Shape]:
        """Every tensor of its file by its name, with its shape."""
        shapes = architecture.tensor_shapes(self.model, len(self.labels))
        if self.frames is not None:
            shapes |= head_shapes(self.model, self.frames.head, len(self.labels), self.audio.n_mels)
        return shapes

    @cached_property  # asked for with every event
    def frame_geometry(self) -> Geometry:
        """Where the scores of frames come from."""
        return geometry(self.model, None if self.frames is None else self.frames.head)

    @property
    def frame_seconds(self) -> float:
        """How far the scores of frames lie apart."""
        return self.frame_geometry.stride * self.audio.hop_length / self.audio.sample_rate

    @property
    def events(self) -> EventSettings:
        """When the scores of frames make an event."""
        return WITHOUT_HEAD if self.frames is None else self.frames.events

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


def card_document(card: ModelCard) -> dict[str, Any]:
    """The card as JSON types, as it stands in a file."""
    frames = {} if card.frames is None else {"frames": to_json(card.frames)}
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
        **frames,
    }


def no_numbers(card: ModelCard) -> ModelError:
    """What is said of a model whose weights are finite and so absurd that its scores are not."""
    return ModelError(f"model {card.name:.60}: its scores are no numbers", hint="its file is damaged; take another")


def read_card(path: Path, metadata: dict[str, str]) -> ModelCard:
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
        card.record, card.accuracy, card.tensor_shapes  # noqa: B018 - as much as will be read of them
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
    if card.frames is not None:
        check_head_size(card.audio, card.model, card.frames.head, len(card.labels), str(path))
    return card


def _nested_deeper(document: Any, levels: int) -> bool:
    children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return levels == 0 or any(_nested_deeper(child, levels - 1) for child in children)
