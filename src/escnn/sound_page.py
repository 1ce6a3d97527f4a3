"""Fill the page of one sound, and of several, with what `listening` found."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from escnn import checkpoint, explain, images, plots, report
from escnn.audio import encode
from escnn.listening import Seen, Window
from escnn.model import parameter_count, reaches
from escnn.prediction import Classifier
from escnn.report.html import percent, spoken

Array = NDArray[np.float32]
Filtered = Mapping[int, Sequence[Future[bytes]]]  # number of a window -> for each class explained, an MP3
ENVELOPE_COLUMNS = 1000  # of the waveform on the page
MOST_EXPLAINED = 5  # classes; each adds its overlay and its sound to the page
MOST_INNER_CHANNELS = 4  # of a block's maps on the page, which has many


@dataclass(frozen=True, slots=True)
class Choices:
    """What to show of a sound."""

    layers: Sequence[str]
    top_k: int = 5  # classes to name
    asked: Sequence[int] = ()  # ids of classes to explain, beside the best
    channels: int = 8  # of a layer's strongest; fewer of a block's
    colormap: str | None = None  # of the feature maps; None takes one that suits their sign
    command: Sequence[str] = ()  # as typed

    @property
    def explained(self) -> int:
        """How many of the best classes are explained: those that are named, up to `MOST_EXPLAINED`."""
        return min(self.top_k, MOST_EXPLAINED)


def filter_sounds(seen: Seen, classifier: Classifier, pool: Executor) -> Filtered:
    """Begin to filter every window to what spoke for each class explained: the longest work that a page needs."""
    return {
        number: [pool.submit(_filter_sound, window, marked, classifier) for marked in window.evidence]
        for number, window in seen.windows.items()
    }


def sound_page(seen: Seen, classifier: Classifier, choices: Choices, filtered: Filtered) -> report.ReportPage:
    """The page of one sound that `classifier` listened to; `filtered` comes from `filter_sounds`."""
    card = classifier.card
    warnings = list(seen.prediction.warnings)
    if seen.prediction.seconds < 0.99 * card.audio.clip_seconds:
        warnings.append(
            f"the sound lasts {seen.prediction.seconds:.2f} s; the network listens to {card.audio.clip_seconds:g} s, "
            "so silence was added after it"
        )
    # Blocks lie inside their stage; a block whose stage was not asked for stands for itself.
    views = {layer: _layer_view(seen, classifier, layer, choices) for layer in choices.layers}
    stages = [
        dataclasses.replace(view, inner=[views[inner] for inner in views if inner.startswith(f"{layer}.")])
        for layer, view in views.items()
        if layer.split(".")[0] == layer or layer.split(".")[0] not in views
    ]
    return report.ReportPage(
        scores=[report.ClassScore(label, score) for label, _, score in seen.prediction.top(choices.top_k)],
        sound=_sound_view(seen, classifier, seen.chosen),
        layers=stages,
        source=report.SourceView(
            name=title(seen.prediction.name),
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
        command=shlex.join(["escnn", *choices.command]),
        created=datetime.now(UTC).replace(microsecond=0),
        warnings=warnings,
        why=_why_view(seen, classifier, seen.chosen, filtered),
        windows=_window_views(seen, classifier, filtered) if len(seen.glances) > 1 else (),
        shown_window=seen.chosen,
    )


def _window_views(seen: Seen, classifier: Classifier, filtered: Filtered) -> list[report.WindowView]:
    """Every window of a long recording; those with their sound are what `seen` kept."""
    others = seen.windows.keys() - {seen.chosen}
    limits = images.decibel_limits(np.stack([glance.strip for glance in seen.glances]))
    config, labels = classifier.card.audio, classifier.card.labels
    return [
        report.WindowView(
            start_seconds=glance.start_seconds,
            seconds=config.clip_seconds,
            scores=[report.ClassScore(labels[best], float(glance.scores[best])) for best in glance.best(3)],
            strip_png=images.png_bytes(images.feature_map(glance.strip, limits, images.SPECTROGRAM_COLORS)),
            sound=_sound_view(seen, classifier, number) if number in others else None,
            why=_why_view(seen, classifier, number, filtered) if number in others else None,
        )
        for number, glance in enumerate(seen.glances)
    ]


def _sound_view(seen: Seen, classifier: Classifier, number: int) -> report.SoundView:
    config, window = classifier.card.audio, seen.windows[number]
    chosen = number == seen.chosen  # kept as it was; the others small, as there may be many
    low, high = plots.envelope(window.samples, ENVELOPE_COLUMNS)
    limits = images.decibel_limits(window.decibels)
    frequencies = classifier.log_mel.mel_frequencies()
    return report.SoundView(
        encoded=encode(window.samples, config.sample_rate, "WAV" if chosen else "MP3"),
        start_seconds=seen.glances[number].start_seconds,
        seconds=config.clip_seconds,
        envelope_low=low.tolist(),
        envelope_high=high.tolist(),
        spectrogram_png=images.png_bytes(images.feature_map(window.decibels, limits, images.SPECTROGRAM_COLORS)),
        spectrogram_scale=_scale(limits, images.SPECTROGRAM_COLORS),
        frames=config.frames,
        hop_seconds=config.hop_length / config.sample_rate,
        mel_frequencies_hz=frequencies,
        frequency_ticks=plots.frequency_ticks(frequencies),
        peak=images.peak(window.decibels),
        media_type="audio/wav" if chosen else "audio/mpeg",
        sample_rate=config.sample_rate,
        bits=16 if chosen else None,
    )


def _why_view(seen: Seen, classifier: Classifier, number: int, filtered: Filtered) -> report.WhyView:
    labels, scores, window = classifier.card.labels, seen.glances[number].scores, seen.windows[number]
    first = window.explained[0]
    without, at_random = seen.deletion
    measured = (
        f"Blanking the fifth of the spectrogram that is marked most takes the score of {spoken(labels[first])} "
        f"from {percent(float(scores[first]))} to {percent(without)}; "
        f"blanking a random fifth leaves {percent(at_random)}."
    )
    return report.WhyView(
        method=explain.METHOD,
        source=explain.SOURCE,
        explanation="The colours mark what spoke for the class chosen, from nothing (grey) to the most (bright).",
        evidence=measured if number == seen.chosen else "",
        classes=[
            _why_class(labels[class_id], float(scores[class_id]), marked, sound.result())
            for class_id, marked, sound in zip(window.explained, window.evidence, filtered[number], strict=True)
        ],
    )


def _why_class(label: str, score: float, evidence: Array, encoded: bytes) -> report.WhyClass:
    limits = images.evidence_limits(evidence)
    return report.WhyClass(
        label=label,
        score=score,
        overlay_png=images.png_bytes(images.overlay(evidence, limits)),
        scale=_scale(limits, images.EVIDENCE_COLORS),
        peak=images.peak(evidence),
        encoded=encoded,
        media_type="audio/mpeg",
    )


def _filter_sound(window: Window, evidence: Array, classifier: Classifier) -> bytes:
    config = classifier.card.audio
    sound = explain.filter_sound(window.samples, evidence, config, classifier.log_mel.mel_frequencies())
    return encode(sound, config.sample_rate, "MP3")


def _layer_view(seen: Seen, classifier: Classifier, layer: str, choices: Choices) -> report.LayerView:
    values = seen.maps[layer]  # (channels, height, width)
    colors = choices.colormap or images.colormap_for(values)
    inner = "." in layer
    count = min(choices.channels, MOST_INNER_CHANNELS) if inner else choices.channels
    strongest = images.strongest_channels(values, count)
    shared = images.value_limits(values[strongest]) if strongest else (0.0, 1.0)
    mean = values.mean(axis=0)
    depth, height, width = values.shape
    extent, config = reaches(classifier.card.model)[layer].extent, classifier.card.audio
    frequencies, middle = classifier.log_mel.mel_frequencies(), config.n_mels // 2
    lowest, highest = max(0, middle - extent // 2), min(config.n_mels - 1, middle + extent // 2)
    return report.LayerView(
        name=layer,
        summary=_summary(classifier, layer),
        shape=(depth, height, width),
        mean=_map_view("mean over channels", mean, images.value_limits(mean), colors),
        channels=[_map_view(f"channel {index}", values[index], shared, colors) for index in strongest],
        parameters=None if inner else parameter_count(classifier.network.get_submodule(layer)),
        receptive_seconds=((extent - 1) * config.hop_length + config.n_fft) / config.sample_rate,
        receptive_hz=(frequencies[lowest], frequencies[highest]),
        receptive_bands=min(extent, config.n_mels),
    )


def _map_view(caption: str, values: Array, limits: tuple[float, float], colors: str) -> report.MapView:
    picture = images.png_bytes(images.feature_map(values, limits, colors))
    return report.MapView(caption, picture, _scale(limits, colors), images.peak(values))


def _scale(limits: tuple[float, float], colors: str) -> report.ColorScale:
    return report.ColorScale(*limits, images.png_bytes(images.color_bar(colors)))


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


def title(name: str) -> str:
    """What to call a sound on a page: the name of its file, without folders."""
    return "stdin" if name == "-" else Path(name).name
