"""One sound, read once: the scores of every window, and of the windows worth showing all that can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from escnn.analysis.kept_windows import KeptWindows, main_window, select_windows
from escnn.audio.decoding import Samples, SoundInfo, Source, open_sound, source_name
from escnn.audio.windows import read_windows
from escnn.inference.classifier import Classifier, OnProgress, Progress, prediction_of
from escnn.inference.prediction import Prediction
from escnn.model.card import ModelCard

Array = NDArray[np.float32]
MOST_CLASSES = 5  # of the best are explained in the main window; each adds a picture and a sound to the page
MOST_CLASSES_ELSEWHERE = 3  # in the other windows
THUMBNAIL = (24, 48)  # mel bands and frames of the small spectrogram of every window


@dataclass(frozen=True, slots=True)
class WindowDetail:
    """A window kept whole."""

    samples: Samples  # (time,) at the model's rate
    log_mel: Array  # (mels, frames), dB
    class_ids: tuple[int, ...]  # best first, then those asked for
    saliency: Array | None  # (class_ids, mels, frames), 0..1: the evidence for each; None where it was not computed


@dataclass(frozen=True, slots=True)
class Analysis:
    """One sound as the network hears it. `main` is the window that scores highest for the best class."""

    prediction: Prediction
    info: SoundInfo
    sha256: str  # of the file
    thumbnails: Array  # (windows, mels, frames), dB: a small spectrogram of every window
    details: dict[int, WindowDetail]  # by number: the main window, and others of a long recording
    main: int
    feature_maps: dict[str, Array]  # of the main window: layer -> (channels, mels, frames), in the network's order
    score_without_saliency: float | None  # of the main window's best class, once its strongest evidence is blanked
    score_without_random: float | None  # once as much is blanked at random
    versions: dict[str, str]

    @property
    def card(self) -> ModelCard:
        """The model."""
        return self.prediction.model

    @property
    def detail(self) -> WindowDetail:
        """The main window."""
        return self.details[self.main]

    @property
    def start_seconds(self) -> float:
        """Where the main window begins in the sound."""
        return self.prediction.window_starts[self.main]

    def to_html(
        self,
        *,
        layers: Sequence[str] | None = None,
        top_k: int = 5,
        channels: int = 8,
        colormap: str | None = None,
        command: Sequence[str] = (),
    ) -> str:
        """The page about the sound, as one HTML file.

        Args:
            layers: to draw; by default all.
            top_k: classes to name.
            channels: of every layer's strongest to draw.
            colormap: of the feature maps, by matplotlib's name; by default one that suits their sign.
            command: as typed, to be shown.

        Raises:
            UsageError: no such layer or colour map.
        """
        from escnn.report.sound.layers import choose_layers, draw_layers
        from escnn.report.sound.page import sound_page

        drawn = draw_layers(self, choose_layers(self.card, layers), channels=channels, colormap=colormap)
        return sound_page(self, drawn, top_k=top_k, command=command)

    def save(
        self,
        folder: Path | str,
        *,
        layers: Sequence[str] | None = None,
        top_k: int = 5,
        channels: int = 8,
        colormap: str | None = None,
        command: Sequence[str] = (),
    ) -> Path:
        """Write the page, ``prediction.json`` and the pictures as PNGs into `folder`; gives the path of the page.

        The arguments are those of `to_html`.
        """
        from escnn.report.sound.folder import save_sound
        from escnn.report.sound.layers import choose_layers, draw_layers

        drawn = draw_layers(self, choose_layers(self.card, layers), channels=channels, colormap=colormap)
        return save_sound(self, drawn, Path(folder), top_k=top_k, channels=channels, command=command)

    def _repr_html_(self) -> str:
        from escnn.report.html import in_frame

        return in_frame(self.to_html(layers=[]))


def analyze(
    source: Source,
    model: Path | str | Classifier | None = None,
    *,
    name: str | None = None,
    classes: Sequence[str] = (),
    top_k: int = 5,
    device: str = "auto",
    saliency: bool = True,
    on_progress: OnProgress | None = None,
) -> Analysis:
    """Predict a sound, and record what the network made of its windows.

    Args:
        source: a path, the content of a file, or ``(samples, sample_rate)``.
        model: a model file, a run folder, a classifier; None for the bundled model.
        name: what to call the sound; by default its path.
        classes: labels to show the evidence for in every window, beside the best.
        top_k: for how many of the best classes to find the evidence, at most `MOST_CLASSES`.
        device: auto, cpu, cuda or mps.
        saliency: whether to find the evidence for the classes; it takes torch, and is left out where that is missing.
        on_progress: called after each batch of windows.

    Raises:
        AudioError: there is no sound to be had from `source`.
        ModelError: there is no such model.
        UsageError: the model has no such class.
    """
    classifier = model if isinstance(model, Classifier) else Classifier.load(model, device=device)
    asked = classifier.class_ids(classes)
    name = name or source_name(source)
    config, runtime = classifier.card.audio, classifier.runtime
    explained = saliency and runtime.has_saliency
    kept = KeptWindows(len(classifier.card.labels))
    scores: list[Array] = []  # (windows, classes) each
    thumbnails: list[Array] = []
    numbers: list[int] = []  # of the windows that are scored
    with open_sound(source, name) as reader:
        cut = read_windows(reader, config)
        while batch := list(islice(cut, runtime.parallel * runtime.batch_windows)):
            numbers += [number for number, _ in batch]
            windows = [samples for _, samples in batch]
            log_mels = runtime.log_mels(np.stack(windows))
            scores.append(classifier.scores(log_mels))
            thumbnails.append(_thumbnails(log_mels))
            for samples, row in zip(windows, scores[-1], strict=True):
                kept.add(samples, row)
            if on_progress:
                on_progress(Progress(name, 0, (numbers[-1] + 1) * config.clip_seconds, reader.declared_seconds))
        sha256 = reader.sha256()
    prediction = prediction_of(name, reader.seconds, numbers, np.concatenate(scores), classifier.card, reader.warnings)
    main = main_window(prediction.scores, prediction.window_scores, kept.numbers)
    details = {
        number: _detail(
            classifier,
            kept[number],
            prediction.window_scores[number],
            min(top_k, MOST_CLASSES) if number == main else MOST_CLASSES_ELSEWHERE,
            asked,
            explained,
        )
        for number in select_windows(prediction.window_scores, main)
    }
    shown = details[main]
    without_saliency = without_random = None
    if shown.saliency is not None:
        without_saliency, without_random = runtime.deletion(shown.log_mel, shown.saliency[0], shown.class_ids[0])
    return Analysis(
        prediction=prediction,
        info=reader.info,
        sha256=sha256,
        thumbnails=np.concatenate(thumbnails),
        details=details,
        main=main,
        feature_maps=runtime.feature_maps(shown.log_mel),
        score_without_saliency=without_saliency,
        score_without_random=without_random,
        versions=runtime.versions,
    )


def best_classes(scores: Array, count: int) -> list[int]:
    """Class ids of the highest of some scores, (classes,), best first."""
    ids: list[int] = np.argsort(-scores, kind="stable")[:count].tolist()
    return ids


def _thumbnails(log_mels: Array) -> Array:
    """Log-mels (windows, mels, frames) averaged to at most `THUMBNAIL`."""
    for axis, most in enumerate(THUMBNAIL, start=1):
        size = log_mels.shape[axis]
        if size > most:
            starts = np.arange(most) * size // most
            counts = np.diff(np.append(starts, size)).reshape([-1 if n == axis else 1 for n in range(3)])
            log_mels = (np.add.reduceat(log_mels, starts, axis=axis) / counts).astype(np.float32)
    return log_mels


def _detail(
    classifier: Classifier, samples: Samples, scores: Array, count: int, asked: Sequence[int], explained: bool
) -> WindowDetail:
    log_mel = classifier.runtime.log_mels(samples[None])[0]
    class_ids = tuple(dict.fromkeys([*best_classes(scores, count), *asked]))
    saliency = classifier.runtime.saliency(log_mel, class_ids) if explained else None
    return WindowDetail(samples, log_mel, class_ids, saliency)
