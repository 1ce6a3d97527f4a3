"""Show what the network hears in one sound: its feature maps by hooks, as pictures, and one page with all of it."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import matplotlib
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from escnn import audio, checkpoint, files, plots, report
from escnn.audio import Samples, SoundInfo, SoundSource
from escnn.errors import UsageError
from escnn.features import normalize
from escnn.model import parameter_count, record_feature_maps
from escnn.prediction import BATCH_WINDOWS, Classifier, Prediction, describe_model, to_document

Array = NDArray[np.float32]
ENVELOPE_COLUMNS = 1000  # of the waveform on the page
MOST_INNER_CHANNELS = 4  # of a block's maps on the page, which has many


@dataclass(frozen=True, slots=True)
class Seen:
    """One sound, and the window of it that the pictures show: the one that speaks most for the best class."""

    prediction: Prediction
    info: SoundInfo
    sha256: str
    window: Samples  # (time,) at the model's rate
    start_seconds: float  # where the window begins in the sound
    decibels: Array  # (mels, frames)
    maps: dict[str, Array]  # layer -> (channels, mels, frames), in the network's order


def look(classifier: Classifier, source: SoundSource, name: str) -> Seen:
    """Predict a sound, and record every feature map of its most telling window.

    Raises:
        AudioError: there is no sound to be had from `source`.
    """
    config = classifier.card.audio
    scores: list[Array] = []  # (windows, classes) each
    with audio.open_sound(source, name) as reader:
        cut = audio.windows(reader.blocks(config.sample_rate), config.window_samples)
        with torch.inference_mode():
            while batch := list(islice(cut, BATCH_WINDOWS)):
                scores.append(classifier.scores(np.stack(batch)))
    by_window = np.concatenate(scores)
    mean = by_window.mean(axis=0, dtype=np.float64).astype(np.float32)
    prediction = Prediction(name, reader.seconds, len(by_window), mean, classifier.card.labels, tuple(reader.warnings))
    chosen = int(by_window[:, mean.argmax()].argmax())
    window = _read_window(classifier, source, name, chosen)
    start = min(chosen * config.clip_seconds, max(0.0, reader.seconds - config.clip_seconds))
    with torch.inference_mode(), record_feature_maps(classifier.network) as maps:
        decibels = classifier.log_mel(torch.from_numpy(window).to(classifier.device)[None])
        classifier.network(normalize(decibels, classifier.card.normalization))
    return Seen(
        prediction=prediction,
        info=reader.info,
        sha256=hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else files.sha256_file(Path(source)),
        window=window,
        start_seconds=start,
        decibels=decibels[0, 0].cpu().numpy(),
        maps={layer: values[0].float().cpu().numpy() for layer, values in maps.items()},
    )


def choose_layers(seen: Seen, wanted: Sequence[str] | None) -> list[str]:
    """The layers to draw, in the network's order: all, or those in `wanted`.

    Raises:
        UsageError: the network has no such layer.
    """
    if wanted is None:
        return list(seen.maps)
    for name in wanted:
        if name not in seen.maps:
            close = difflib.get_close_matches(name, seen.maps, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(seen.maps)}"
            raise UsageError(f"--layers: the network has no layer {name!r}", hint=hint)
    return [name for name in seen.maps if name in wanted]


def check_colormap(name: str | None) -> None:
    """Raise `UsageError` unless `name` is None or a colour map of matplotlib."""
    if name is not None and name not in matplotlib.colormaps:
        close = difflib.get_close_matches(name, matplotlib.colormaps, n=1)
        raise UsageError(
            f"--colormap: matplotlib has no {name!r}", hint=f"did you mean {close[0]}?" if close else "such as magma"
        )


def write(
    seen: Seen,
    classifier: Classifier,
    out: Path,
    *,
    layers: Sequence[str],
    top_k: int,
    channels: int,
    colormap: str | None,
    command: Sequence[str],
) -> Path:
    """Write PNGs, ``prediction.json`` and ``report.html`` into the folder `out`; gives the path of the page.

    Args:
        seen: from `look`.
        classifier: the one that looked.
        out: a folder that is there.
        layers: the layers to draw.
        top_k: how many classes to name.
        channels: how many of a layer's strongest channels to draw.
        colormap: of the feature maps; None takes one that suits their sign.
        command: as typed, for the page.
    """
    config = classifier.card.audio
    title = _title(seen, config.clip_seconds)
    files.write_bytes(out / "waveform.png", plots.png_bytes(plots.waveform(seen.window, config.sample_rate, title)))
    hop_seconds = config.hop_length / config.sample_rate
    spectrogram = plots.spectrogram(seen.decibels, classifier.log_mel.mel_frequencies(), hop_seconds, title)
    files.write_bytes(out / "spectrogram.png", plots.png_bytes(spectrogram))
    for layer in layers:
        picture = plots.layer(layer, seen.maps[layer], config.clip_seconds, channels, colormap)
        files.write_bytes(out / "feature-maps" / f"{layer}.png", plots.png_bytes(picture))
    document = to_document(seen.prediction, describe_model(classifier), top_k=top_k)
    files.write_json(out / "prediction.json", document)
    page = _page(seen, classifier, layers, top_k, channels, colormap, command)
    files.write_text(out / "report.html", report.render(page))
    return out / "report.html"


def _page(
    seen: Seen,
    classifier: Classifier,
    layers: Sequence[str],
    top_k: int,
    channels: int,
    colormap: str | None,
    command: Sequence[str],
) -> report.ReportPage:
    card = classifier.card
    warnings = list(seen.prediction.warnings)
    if seen.prediction.seconds < 0.99 * card.audio.clip_seconds:
        warnings.append(
            f"the sound lasts {seen.prediction.seconds:.2f} s; the network listens to {card.audio.clip_seconds:g} s, "
            "so silence was added after it"
        )
    # Blocks lie inside their stage; a block whose stage was not asked for stands for itself.
    views = {layer: _layer_view(seen, classifier, layer, channels, colormap) for layer in layers}
    stages = [
        _with_inner(view, [views[inner] for inner in layers if inner.startswith(f"{layer}.")])
        for layer, view in views.items()
        if layer.split(".")[0] == layer or layer.split(".")[0] not in views
    ]
    return report.ReportPage(
        scores=[report.ClassScore(label, score) for label, _, score in seen.prediction.top(top_k)],
        sound=_sound_view(seen, classifier),
        layers=stages,
        source=report.SourceView(
            name="stdin" if seen.prediction.name == "-" else Path(seen.prediction.name).name,
            sha256=seen.sha256,
            sample_rate=seen.info.sample_rate,
            channels=seen.info.channels,
            seconds=seen.prediction.seconds,
        ),
        model=report.ModelView(
            name=card.name,
            sha256=classifier.sha256,
            classes=len(card.labels),
            parameters=parameter_count(classifier.network),
            accuracy=card.score["accuracy"] if card.score else None,
            measured=_how_measured(card),
        ),
        versions=list(checkpoint.versions().items()),
        command=shlex.join(["escnn", *command]),
        created=datetime.now(UTC).replace(microsecond=0),
        warnings=warnings,
    )


def _sound_view(seen: Seen, classifier: Classifier) -> report.SoundView:
    config = classifier.card.audio
    flac = io.BytesIO()
    soundfile.write(flac, np.clip(seen.window, -1, 1), config.sample_rate, format="FLAC", subtype="PCM_16")
    low, high = plots.envelope(seen.window, ENVELOPE_COLUMNS)
    limits = plots.decibel_limits(seen.decibels)
    frequencies = classifier.log_mel.mel_frequencies()
    return report.SoundView(
        flac=flac.getvalue(),
        start_seconds=seen.start_seconds,
        seconds=config.clip_seconds,
        envelope_low=low.tolist(),
        envelope_high=high.tolist(),
        spectrogram_png=plots.png_bytes(plots.feature_map(seen.decibels, limits, plots.SPECTROGRAM_COLORS)),
        spectrogram_scale=_scale(limits, plots.SPECTROGRAM_COLORS),
        frames=config.frames,
        hop_seconds=config.hop_length / config.sample_rate,
        mel_frequencies_hz=frequencies,
        frequency_ticks=plots.frequency_ticks(frequencies),
        peak=plots.peak(seen.decibels),
    )


def _layer_view(
    seen: Seen, classifier: Classifier, layer: str, channels: int, colormap: str | None
) -> report.LayerView:
    values = seen.maps[layer]  # (channels, height, width)
    colors = colormap or plots.colormap_for(values)
    inner = "." in layer
    strongest = plots.strongest_channels(values, min(channels, MOST_INNER_CHANNELS) if inner else channels)
    shared = plots.value_limits(values[strongest]) if strongest else (0.0, 1.0)
    mean = values.mean(axis=0)
    depth, height, width = values.shape
    return report.LayerView(
        name=layer,
        summary=_summary(classifier, layer),
        shape=(depth, height, width),
        mean=_map_view("mean over channels", mean, plots.value_limits(mean), colors),
        channels=[_map_view(f"channel {index}", values[index], shared, colors) for index in strongest],
        parameters=None if inner else parameter_count(classifier.network.get_submodule(layer)),
    )


def _with_inner(view: report.LayerView, inner: list[report.LayerView]) -> report.LayerView:
    return dataclasses.replace(view, inner=tuple(inner))


def _map_view(caption: str, values: Array, limits: tuple[float, float], colors: str) -> report.MapView:
    picture = plots.png_bytes(plots.feature_map(values, limits, colors))
    return report.MapView(caption, picture, _scale(limits, colors), plots.peak(values))


def _scale(limits: tuple[float, float], colors: str) -> report.ColorScale:
    return report.ColorScale(*limits, plots.png_bytes(plots.color_bar(colors)))


def _summary(classifier: Classifier, layer: str) -> str:
    if layer == "conv1":
        size = classifier.card.model.stem_kernel
        return f"{size} x {size} convolution, batch norm, ReLU and pooling: the first look at the spectrogram"
    if layer.endswith(".conv"):
        return "two convolutions plus the shortcut, before the ReLU"
    if layer.endswith(".relu"):
        return "the same after the ReLU"
    stage = int(layer.removeprefix("layer"))
    blocks = classifier.card.model.depths[stage - 1]
    return f"stage {stage}, {blocks} residual block{'s' if blocks > 1 else ''}"


def _how_measured(card: checkpoint.ModelCard) -> str | None:
    if card.score is None:
        return None
    if "measured" in card.score:
        return str(card.score["measured"])
    learnt = ", ".join(map(str, card.training.get("trained_on_folds", ())))
    return f"on the {card.score['clips']} clips of fold {card.score['fold']}, learnt on folds {learnt}"


def _title(seen: Seen, clip_seconds: float) -> str:
    name = "stdin" if seen.prediction.name == "-" else Path(seen.prediction.name).name
    if seen.prediction.windows == 1:
        return name
    return f"{name}, from {seen.start_seconds:.1f} s to {seen.start_seconds + clip_seconds:.1f} s"


def _read_window(classifier: Classifier, source: SoundSource, name: str, index: int) -> Samples:
    config = classifier.card.audio
    with audio.open_sound(source, name) as reader:
        cut = audio.windows(reader.blocks(config.sample_rate), config.window_samples)
        return next(islice(cut, index, None))
