"""Hear one sound as the network does: scores of every window, and of the most telling ones all that can be shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.typing import NDArray

from escnn import audio, explain, files
from escnn.audio import Samples, SoundInfo, SoundSource
from escnn.features import normalize
from escnn.model import record_feature_maps
from escnn.prediction import BATCH_WINDOWS, Classifier, Prediction

Array = NDArray[np.float32]
SHOWN_WINDOWS = 12  # of a long recording, at most, are kept with their sound: a minute of ESC-50's windows
EXPLAINED_CLASSES = 3  # of a window beside the most telling one
STRIP = (24, 48)  # mel bands and frames of the small spectrogram of every window


@dataclass(frozen=True, slots=True)
class Glance:
    """What is kept of every window."""

    start_seconds: float  # in the recording
    scores: Array  # (classes,), adding up to one
    strip: Array  # (mels, frames), dB, as `STRIP` says

    def best(self, count: int) -> list[int]:
        """Class ids of the highest scores, best first."""
        ids: list[int] = np.argsort(-self.scores, kind="stable")[:count].tolist()
        return ids


@dataclass(frozen=True, slots=True)
class Window:
    """A window that can be shown: what was heard, and why it was named as it was."""

    samples: Samples  # (time,) at the model's rate
    decibels: Array  # (mels, frames)
    explained: tuple[int, ...]  # class ids, best first, then those asked for
    evidence: Array  # (explained, mels, frames), 0..1: what spoke for each


@dataclass(frozen=True, slots=True)
class Seen:
    """One sound as the network hears it. `chosen` is the window that speaks most for the best class."""

    prediction: Prediction
    info: SoundInfo
    sha256: str
    glances: tuple[Glance, ...]
    windows: dict[int, Window]  # by their place among the glances: the chosen one, and others of a long recording
    chosen: int
    deletion: tuple[float, float]  # score of its first class without what was marked, and without as much at random
    maps: dict[str, Array]  # of the chosen window: layer -> (channels, mels, frames), in the network's order

    @property
    def window(self) -> Window:
        """The chosen one."""
        return self.windows[self.chosen]

    @property
    def start_seconds(self) -> float:
        """Where the chosen window begins in the sound."""
        return self.glances[self.chosen].start_seconds


def listen(
    classifier: Classifier, source: SoundSource, name: str, *, explained: int = 5, asked: Sequence[int] = ()
) -> Seen:
    """Predict a sound, and record what the network made of its most telling windows.

    Args:
        classifier: the one to listen.
        source: a file, or its bytes.
        name: what to call it.
        explained: for how many of the best classes of the chosen window to find out what spoke for them.
        asked: class ids to explain in every window as well.

    Raises:
        AudioError: there is no sound to be had from `source`.
    """
    config = classifier.card.audio
    scores: list[Array] = []  # (windows, classes) each
    strips: list[Array] = []
    with audio.open_sound(source, name) as reader:
        cut = audio.windows(reader.blocks(config.sample_rate), config.window_samples)
        while batch := list(islice(cut, BATCH_WINDOWS)):
            scores.append(classifier.scores(np.stack(batch)))
            strips.append(_strips(classifier, np.stack(batch)))
    by_window = np.concatenate(scores)
    last = max(0.0, reader.seconds - config.clip_seconds)  # the last window ends where the sound does
    glances = tuple(
        Glance(min(number * config.clip_seconds, last), row, strip)
        for number, (row, strip) in enumerate(zip(by_window, np.concatenate(strips), strict=True))
    )
    mean = by_window.mean(axis=0, dtype=np.float64).astype(np.float32)
    chosen = int(by_window[:, mean.argmax()].argmax())
    samples = _read_windows(classifier, source, name, most_telling(by_window, chosen))
    windows = {
        number: _explain(
            classifier, window, glances[number].best(explained if number == chosen else EXPLAINED_CLASSES), asked
        )
        for number, window in samples.items()
    }
    shown = windows[chosen]
    heard = _heard(classifier, shown.decibels)
    with torch.inference_mode(), record_feature_maps(classifier.network) as maps:
        classifier.network(heard[None, None])
    return Seen(
        prediction=Prediction(
            name, reader.seconds, len(by_window), mean, classifier.card.labels, tuple(reader.warnings)
        ),
        info=reader.info,
        sha256=hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else files.sha256_file(Path(source)),
        glances=glances,
        windows=windows,
        chosen=chosen,
        deletion=explain.deletion(classifier.network, heard, shown.evidence[0], shown.explained[0]),
        maps={layer: values[0].float().cpu().numpy() for layer, values in maps.items()},
    )


def most_telling(by_window: Array, chosen: int) -> list[int]:
    """Up to `SHOWN_WINDOWS` windows to keep, in order of time: the chosen one, then for each class that leads anywhere
    its surest window, then the surest of the rest. `by_window` holds scores, (windows, classes).
    """
    leading, sure = by_window.argmax(axis=1), by_window.max(axis=1)
    surest = np.argsort(-sure, kind="stable").tolist()
    first_of_class = {int(leading[number]): number for number in reversed(surest)}
    firsts = sorted(first_of_class.values(), key=surest.index)
    return sorted(list(dict.fromkeys([chosen, *firsts, *surest]))[:SHOWN_WINDOWS])


def _read_windows(classifier: Classifier, source: SoundSource, name: str, wanted: Sequence[int]) -> dict[int, Samples]:
    """The samples of some windows, by their number."""
    config = classifier.card.audio
    with audio.open_sound(source, name) as reader:
        cut = audio.windows(reader.blocks(config.sample_rate), config.window_samples)
        return {number: window for number, window in enumerate(islice(cut, max(wanted) + 1)) if number in wanted}


def _explain(classifier: Classifier, samples: Samples, best: Sequence[int], asked: Sequence[int]) -> Window:
    with torch.inference_mode():
        decibels = classifier.log_mel(torch.from_numpy(samples).to(classifier.device)[None])[0, 0].cpu().numpy()
    explained = tuple(dict.fromkeys([*best, *asked]))
    evidence = explain.evidence(classifier.network, _heard(classifier, decibels), explained)
    return Window(samples, decibels, explained, evidence)


def _heard(classifier: Classifier, decibels: Array) -> torch.Tensor:
    """A log-mel as the network is given it, (mels, frames)."""
    return normalize(torch.from_numpy(decibels).to(classifier.device), classifier.card.normalization)


@torch.inference_mode()
def _strips(classifier: Classifier, windows: Array) -> Array:
    """Small spectrograms of waveforms (windows, time): (windows, mels, frames)."""
    decibels = classifier.log_mel(torch.from_numpy(windows).to(classifier.device))
    mels, frames = (min(most, size) for most, size in zip(STRIP, decibels.shape[2:], strict=True))
    small: Array = F.adaptive_avg_pool2d(decibels, (mels, frames))[:, 0].cpu().numpy()
    return small
