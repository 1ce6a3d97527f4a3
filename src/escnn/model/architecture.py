"""The residual network in plain arithmetic: its layers, the shapes of its tensors, what they see and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from escnn.audio.log_mel import AudioConfig
from escnn.config import Settings, between
from escnn.errors import ModelError, UsageError

Shape = tuple[int, ...]
MOST_MULTIPLY_ADDS, MOST_ACTIVATION_BYTES = 20_000_000_000, 1 << 28  # of one window; the default has 0.75e9 and 6.2e6


class ModelConfig(Settings, frozen=True):
    """A residual network: ``depths[i]`` basic blocks of ``widths[i]`` channels in stage i; stages halve the size."""

    widths: tuple[Annotated[int, between(1, 2048)], ...] = (48, 96, 192, 352)
    depths: tuple[Annotated[int, between(1, 64)], ...] = (1, 1, 2, 2)
    stem_kernel: Annotated[int, between(1, 15)] = 5  # mel bands and frames
    # "average": mean of 2x2, then a 1x1 convolution; "strided": a 1x1 convolution of stride 2
    shortcut: Literal["average", "strided"] = "average"
    pooling: Literal["mean", "mean+max"] = "mean+max"  # over time, after the mean over mel bands; "mean": over both
    dropout: Annotated[float, between(0.0, 0.9)] = 0.2

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if not 1 <= len(self.widths) <= 6 or len(self.widths) != len(self.depths):
            raise UsageError(f"widths {self.widths!r:.60}: need a width and a depth for each of 1 to 6 stages")
        if self.stem_kernel % 2 == 0:
            raise UsageError(f"stem_kernel {self.stem_kernel}: must be odd")


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution with the batch norm after it. `level` counts how often its output is halved, stem included."""

    name: str  # of its weight, without ".weight"
    norm: str
    channels_in: int
    channels: int
    kernel: int
    level: int

    def map_size(self, mels: int, frames: int) -> Shape:
        """Size of its output, (mels, frames), for a log-mel of mels x frames."""
        return _halved(mels, self.level), _halved(frames, self.level)


@dataclass(frozen=True, slots=True)
class Block:
    """A basic block: two convolutions and the way around them, None where the input is added as it is."""

    name: str
    first: Convolution
    second: Convolution
    shortcut: Convolution | None
    stride: int
    stage: str
    is_last: bool  # of its stage


def stem(config: ModelConfig) -> Convolution:
    """The first convolution; pooling halves its output once more."""
    return Convolution("conv1.conv", "conv1.norm", 1, config.widths[0], config.stem_kernel, 1)


def blocks(config: ModelConfig) -> Iterator[Block]:
    """The blocks, in the network's order."""
    channels_in, level = config.widths[0], 2
    for number, (channels, depth) in enumerate(zip(config.widths, config.depths, strict=True), start=1):
        for index in range(depth):
            stride = 2 if index == 0 and number > 1 else 1
            level += stride - 1
            name = f"layer{number}.block{index}"
            shortcut = None
            if stride == 2 or channels_in != channels:
                place = 1 if stride == 2 and config.shortcut == "average" else 0  # behind the pooling
                shortcut = Convolution(
                    f"{name}.shortcut.{place}", f"{name}.shortcut.{place + 1}", channels_in, channels, 1, level
                )
            yield Block(
                name,
                Convolution(f"{name}.conv1", f"{name}.norm1", channels_in, channels, 3, level),
                Convolution(f"{name}.conv2", f"{name}.norm2", channels, channels, 3, level),
                shortcut,
                stride,
                stage=f"layer{number}",
                is_last=index == depth - 1,
            )
            channels_in = channels


def stages(config: ModelConfig) -> tuple[str, ...]:
    """The stages, in the network's order: ``layer1`` and so on."""
    return tuple(f"layer{number}" for number in range(1, len(config.widths) + 1))


def convolutions(config: ModelConfig) -> Iterator[Convolution]:
    """All convolutions, in the network's order."""
    yield stem(config)
    for block in blocks(config):
        yield from (block.first, block.second)
        if block.shortcut is not None:
            yield block.shortcut


def tensor_shapes(config: ModelConfig, classes: int) -> dict[str, Shape]:
    """Every tensor of a model file by its name, with its shape; ``num_batches_tracked`` are integers."""
    shapes: dict[str, Shape] = {}
    for conv in convolutions(config):
        shapes[f"{conv.name}.weight"] = (conv.channels, conv.channels_in, conv.kernel, conv.kernel)
        shapes |= {
            f"{conv.norm}.{part}": (conv.channels,) for part in ("weight", "bias", "running_mean", "running_var")
        }
        shapes[f"{conv.norm}.num_batches_tracked"] = ()
    return shapes | {"classify.weight": (classes, config.widths[-1]), "classify.bias": (classes,)}


def parameter_count(config: ModelConfig, classes: int, layer: str = "") -> int:
    """Number of weights that training changes, of the whole network or of one of its layers, such as ``layer1``."""
    prefix = f"{layer}." if layer else ""
    learned = (
        shape
        for name, shape in tensor_shapes(config, classes).items()
        if name.startswith(prefix) and name.endswith(("weight", "bias"))
    )
    return sum(map(math.prod, learned))


def multiply_adds(config: ModelConfig, classes: int, mels: int, frames: int) -> int:
    """Multiplications (each with its addition) of convolutions and classifier for one log-mel of mels x frames."""
    counted = classes * config.widths[-1]
    for conv in convolutions(config):
        counted += math.prod(conv.map_size(mels, frames)) * conv.channels * conv.channels_in * conv.kernel**2
    return counted


def activation_bytes(config: ModelConfig, mels: int, frames: int) -> int:
    """Memory of the outputs of all convolutions for one log-mel, in float32."""
    return 4 * sum(conv.channels * math.prod(conv.map_size(mels, frames)) for conv in convolutions(config))


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Where a layer's values come from, the same along both axes of the log-mel: value i is centred on cell `stride` i
    and is made from `size` cells around it (those beyond a border are zeros).
    """

    stride: int
    size: int


def receptive_fields(config: ModelConfig) -> dict[str, ReceptiveField]:
    """The receptive field of every layer whose feature maps can be recorded, by its name, in the network's order:

    ``conv1``; for every block ``layer1.block0.conv`` (the sum before its ReLU) and ``layer1.block0.relu`` (after it);
    then the stage, ``layer1``.
    """
    stride, size = 4, config.stem_kernel + 2 * 2  # a convolution of stride 2, then pooling over 3 of its values
    found = {"conv1": ReceptiveField(stride, size)}
    for block in blocks(config):
        size += 2 * stride  # the first convolution of the block reaches one value further to both sides
        stride *= block.stride
        size += 2 * stride  # the second
        found[f"{block.name}.conv"] = found[f"{block.name}.relu"] = ReceptiveField(stride, size)
        if block.is_last:
            found[block.stage] = ReceptiveField(stride, size)
    return found


def check_size(audio: AudioConfig, model: ModelConfig, classes: int, name: str) -> None:
    """Refuse a network that keeps every single bound and would still take unreasonable time or memory.

    Raises:
        ModelError: it does.
    """
    work = multiply_adds(model, classes, audio.n_mels, audio.frames)
    memory = activation_bytes(model, audio.n_mels, audio.frames)
    if work > MOST_MULTIPLY_ADDS or memory > MOST_ACTIVATION_BYTES:
        raise ModelError(
            f"{name}: a window would take {work / 1e9:.1f} GMACs and {memory / 1e6:.0f} MB of activations; at most "
            f"{MOST_MULTIPLY_ADDS / 1e9:g} GMACs and {MOST_ACTIVATION_BYTES / 1e6:.0f} MB are computed",
            hint="use fewer or narrower layers, or shorter windows",
        )


def _halved(size: int, times: int) -> int:
    """What is left of an axis after so many strides of 2, each of which rounds up."""
    return -(-size // (1 << times))
