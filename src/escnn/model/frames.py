"""The frame head in plain arithmetic: what tells when a class sounds, on top of a network that tells which do.

It sees the last two stages of the network: the one before the last in all of its mel rows, the last as the mean over
its rows, that mean smoothed, and the highest of it nearby. It gives a logit a class for every frame of the former.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from escnn.audio.log_mel import AudioConfig
from escnn.config import Settings, between
from escnn.errors import ModelError, UsageError
from escnn.model.architecture import MOST_MULTIPLY_ADDS, ModelConfig, Shape, receptive_fields, stages

HEAD = "frames."  # how the names of a head's tensors begin
WINDOW_FRAMES = 14  # of the last stage, over which a model without a frame head is asked what sounds


def _refuse_even(settings: Settings, *names: str) -> None:
    for name in names:
        if getattr(settings, name) % 2 == 0:
            raise UsageError(f"{name} {getattr(settings, name)}: must be odd")


class FrameHeadConfig(Settings, frozen=True):
    """Sizes of a frame head."""

    channels: Annotated[int, between(1, 2048)] = 192  # that each of the two stages is reduced to
    mixed: Annotated[int, between(1, 2048)] = 256  # that both are mixed to
    mean_frames: Annotated[int, between(1, 63)] = 7  # of the last stage that are averaged, odd
    highest_frames: Annotated[int, between(1, 63)] = 15  # of the last stage whose highest is taken, odd

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        _refuse_even(self, "mean_frames", "highest_frames")


class EventSettings(Settings, frozen=True):
    """When scores make an event: see `detection.events`."""

    onset_score: Annotated[float, between(0.0, 1.0)] = 0.65
    offset_share: Annotated[float, between(0.0, 1.0)] = 0.5  # the offset score as a share of the onset score
    min_seconds: Annotated[float, between(0.0, 60.0)] = 0.0  # what is shorter is left out
    merge_seconds: Annotated[float, between(0.0, 60.0)] = 1.0  # events of a class less than that apart are one
    median_frames: Annotated[int, between(1, 101)] = 5  # odd: scores are the median of so many

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        _refuse_even(self, "median_frames")


WITHOUT_HEAD = EventSettings(onset_score=0.3, offset_share=1.0, median_frames=3)


class FrameRecord(msgspec.Struct, frozen=True):
    """Of a model file: its frame head, when its scores make an event, and how it was trained, for people."""

    head: FrameHeadConfig
    events: EventSettings = EventSettings()
    training: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Geometry:
    """In frames of the log-mel: how far scores lie apart, where blocks may begin, and what a score depends on."""

    stride: int  # score i is centred on frame `stride` * i
    grid: int  # the product of all strides
    margin: int  # so many frames to both sides, a multiple of the grid

    def frames(self, log_mel_frames: int) -> int:
        """How many scores so many frames of a log-mel have."""
        return -(-log_mel_frames // self.stride)


def geometry(config: ModelConfig, head: FrameHeadConfig | None) -> Geometry:
    """Where the scores of frames come from; without a head, see `inference.frames_without_head`."""
    fields = receptive_fields(config)
    grid = fields[stages(config)[-1]].stride
    reach = fields[stages(config)[-1]].size // 2 + 1
    if head is None:
        stride, context = grid, 2 * (WINDOW_FRAMES // 2) * grid
    else:
        stride = fields[stages(config)[-2]].stride
        context = (max(head.mean_frames, head.highest_frames) // 2 + 1) * grid + stride
    return Geometry(stride, grid, -(-(reach + context) // grid) * grid)


def head_shapes(config: ModelConfig, head: FrameHeadConfig, classes: int, mels: int) -> dict[str, Shape]:
    """Every tensor of a frame head by its name in the model file, with its shape.

    Raises:
        UsageError: the network has a single stage.
    """
    if len(config.widths) < 2:
        raise UsageError("a frame head takes a network of two stages or more")
    fine, coarse = config.widths[-2:]
    rows = -(-mels // receptive_fields(config)[stages(config)[-2]].stride)
    return {
        "frames.fine.weight": (head.channels, fine * rows, 1),
        "frames.fine.bias": (head.channels,),
        "frames.coarse.weight": (head.channels, coarse * 3, 1),
        "frames.coarse.bias": (head.channels,),
        "frames.mix.weight": (head.mixed, 2 * head.channels, 3),
        "frames.mix.bias": (head.mixed,),
        "frames.classify.weight": (classes, head.mixed, 1),
        "frames.classify.bias": (classes,),
    }


def check_head_size(audio: AudioConfig, config: ModelConfig, head: FrameHeadConfig, classes: int, name: str) -> None:
    """Refuse a head that keeps every single bound and would still take unreasonable time.

    Raises:
        ModelError: it does.
    """
    weights = sum(math.prod(shape) for shape in head_shapes(config, head, classes, audio.n_mels).values())
    work = weights * geometry(config, head).frames(audio.frames)
    if work > MOST_MULTIPLY_ADDS:
        raise ModelError(
            f"{name}: the frame head of a window would take {work / 1e9:.1f} GMACs", hint="make it smaller"
        )
