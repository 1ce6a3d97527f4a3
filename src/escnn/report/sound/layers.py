"""Pictures of feature maps: drawn once, for the page and as PNGs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escnn.analysis.analysis import Analysis
from escnn.audio.log_mel import mel_frequencies
from escnn.errors import UsageError, closest
from escnn.model.architecture import parameter_count, receptive_fields
from escnn.model.card import ModelCard
from escnn.report.pictures import images

Array = NDArray[np.float32]
MOST_INNER_CHANNELS = 4  # of a block's maps, which are many


@dataclass(frozen=True, slots=True)
class LayerPicture:
    """One map at its own resolution, a pixel a value, low frequencies at the bottom."""

    caption: str
    png: bytes
    low: float  # the value of the first colour
    high: float  # and of the last
    colors: str  # matplotlib's name of them
    peak: tuple[float, float] | None  # where the largest value lies: shares of width and height; None: all are equal


@dataclass(frozen=True, slots=True)
class DrawnLayer:
    """One layer: the mean over its channels and the strongest of them, which share one scale."""

    name: str
    summary: str  # what it does, in a few words
    shape: tuple[int, ...]  # channels, height (frequency), width (time)
    mean: LayerPicture
    channels: Sequence[LayerPicture]
    parameters: int | None  # of a stage
    receptive_seconds: float  # how much time one value of the layer takes in
    receptive_hz: tuple[float, float]  # lowest and highest frequency it takes in around the middle band
    receptive_bands: int  # mel bands it takes in

    @property
    def stage(self) -> str:
        """The stage that it belongs to, or is."""
        return self.name.split(".")[0]


def choose_layers(card: ModelCard, wanted: Sequence[str] | None) -> list[str]:
    """The layers to draw, in the network's order: all, or those in `wanted`.

    Raises:
        UsageError: the network has no such layer.
    """
    for name in wanted or ():
        if name not in card.layers:
            hint = closest(name, card.layers) or f"there are {', '.join(card.layers)}"
            raise UsageError(f"--layers: the network has no layer {name!r}", hint=hint)
    return [name for name in card.layers if wanted is None or name in wanted]


def draw_layers(
    analysis: Analysis, layers: Sequence[str], *, channels: int = 8, colormap: str | None = None
) -> list[DrawnLayer]:
    """Draw some layers of the main window.

    Args:
        analysis: of a sound.
        layers: their names, in the network's order.
        channels: of a layer's strongest to draw; fewer of a block's.
        colormap: matplotlib's name; by default one that suits the sign of a layer's values.

    Raises:
        UsageError: matplotlib has no such colour map.
    """
    images.check_colormap(colormap)
    return [_draw(analysis, name, channels, colormap) for name in layers]


def _draw(analysis: Analysis, name: str, most_channels: int, colormap: str | None) -> DrawnLayer:
    card, maps = analysis.card, analysis.feature_maps[name]  # (channels, height, width)
    colors = colormap or images.colormap_for(maps)
    is_inner = "." in name
    strongest = images.strongest_channels(maps, min(most_channels, MOST_INNER_CHANNELS) if is_inner else most_channels)
    shared = images.value_limits(maps[strongest]) if strongest else (0.0, 1.0)
    mean = maps.mean(axis=0)
    size, audio = receptive_fields(card.model)[name].size, card.audio
    frequencies, middle = mel_frequencies(audio), audio.n_mels // 2
    return DrawnLayer(
        name=name,
        summary=_summary(card, name),
        shape=maps.shape,
        mean=_picture("mean over channels", mean, images.value_limits(mean), colors),
        channels=[_picture(f"channel {index}", maps[index], shared, colors) for index in strongest],
        parameters=None if is_inner else parameter_count(card.model, len(card.labels), name),
        receptive_seconds=((size - 1) * audio.hop_length + audio.n_fft) / audio.sample_rate,
        receptive_hz=(
            frequencies[max(0, middle - size // 2)],
            frequencies[min(audio.n_mels - 1, middle + size // 2)],
        ),
        receptive_bands=min(size, audio.n_mels),
    )


def _picture(caption: str, values: Array, limits: tuple[float, float], colors: str) -> LayerPicture:
    png = images.png_bytes(images.feature_map(values, limits, colors))
    return LayerPicture(caption, png, *limits, colors, images.peak(values))


def _summary(card: ModelCard, layer: str) -> str:
    if layer == "conv1":
        size = card.model.stem_kernel
        return f"stem: {size} x {size} convolution, batch norm, ReLU and pooling"
    if layer.endswith(".conv"):
        return "two convolutions plus the shortcut, before the ReLU"
    if layer.endswith(".relu"):
        return "the same after the ReLU"
    stage = int(layer.removeprefix("layer"))
    blocks = card.model.depths[stage - 1]
    return f"stage {stage}, {blocks} residual block{'s' if blocks > 1 else ''}"
