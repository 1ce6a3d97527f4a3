"""An analysis as JSON: scores, waveform, spectrogram, feature maps and the evidence, as numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from escnn.audio.encoding import envelope
from escnn.audio.log_mel import mel_frequencies
from escnn.errors import ModelError

if TYPE_CHECKING:
    from escnn.analysis.analysis import Analysis

SCHEMA = "escnn.analysis/1"
ENVELOPE_COLUMNS = 1_000
DIGITS = 4  # of the largest value of a spectrogram, a map, a waveform; the others have as many decimals
Grid = list[list[float]]


class WaveformDocument(msgspec.Struct, frozen=True):
    """The outline of the main window: the lowest and the highest sample in each of equal stretches of it."""

    sample_rate: int
    start_seconds: float
    end_seconds: float
    low: list[float]
    high: list[float]


class SpectrogramDocument(msgspec.Struct, frozen=True):
    """The log-mel of the main window: a row a band, the lowest first; a column a frame."""

    shape: tuple[int, int]
    unit: str
    hop_seconds: float
    frequencies_hz: list[float]
    values: Grid


class FeatureMapDocument(msgspec.Struct, frozen=True):
    """The mean over the channels of a layer: a row a height, the lowest frequencies first."""

    channels: int
    shape: tuple[int, int]
    values: Grid


class SaliencyDocument(msgspec.Struct, frozen=True):
    """The evidence for a class, 0 to 1, with the shape of the spectrogram."""

    label: str
    class_id: int
    values: Grid


class AnalysisDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One sound: what the network made of it, and what it heard in its main window."""

    schema: str = SCHEMA
    prediction: dict[str, Any]
    sha256: str
    main_window: int
    waveform: WaveformDocument
    spectrogram: SpectrogramDocument
    feature_maps: dict[str, FeatureMapDocument]
    saliency: list[SaliencyDocument] | None
    versions: dict[str, str]


def analysis_document(analysis: Analysis, *, top_k: int = 5) -> dict[str, Any]:
    """The fields of an `AnalysisDocument` as JSON types; see there for shapes and units."""
    card, detail = analysis.card, analysis.detail
    audio, prediction = card.audio, analysis.prediction
    end = min(analysis.start_seconds + audio.clip_seconds, prediction.seconds)
    low, high = envelope(heard(analysis), ENVELOPE_COLUMNS)
    saliency = None
    if detail.saliency is not None:
        saliency = [
            SaliencyDocument(card.labels[class_id], class_id, grid(values))
            for class_id, values in zip(detail.class_ids, detail.saliency, strict=True)
        ]
    document = AnalysisDocument(
        prediction=prediction.to_json(top_k=top_k, windows=True),
        sha256=analysis.sha256,
        main_window=analysis.main,
        waveform=WaveformDocument(audio.sample_rate, analysis.start_seconds, end, numbers(low), numbers(high)),
        spectrogram=SpectrogramDocument(
            detail.log_mel.shape,
            "dB",
            audio.hop_length / audio.sample_rate,
            numbers(np.array(mel_frequencies(audio))),
            grid(detail.log_mel),
        ),
        feature_maps={
            layer: FeatureMapDocument(len(maps), maps.shape[1:], grid(maps.mean(axis=0)))
            for layer, maps in analysis.feature_maps.items()
        },
        saliency=saliency,
        versions=analysis.versions,
    )
    built: dict[str, Any] = msgspec.to_builtins(document)
    return built


def heard(analysis: Analysis) -> NDArray[np.float32]:
    """The main window, (time,), without the silence that was added after a short sound."""
    seconds = analysis.prediction.seconds - analysis.start_seconds
    return analysis.detail.samples[: max(1, round(seconds * analysis.card.audio.sample_rate))]


def grid(values: NDArray[Any]) -> Grid:
    """A picture, (height, width), as rows of numbers with `DIGITS` digits.

    Raises:
        ModelError: some are no numbers, which JSON cannot say.
    """
    rows: Grid = _rounded(values).tolist()
    return rows


def numbers(values: NDArray[Any]) -> list[float]:
    """An array, (count,), as numbers with `DIGITS` digits; raises as `grid` does."""
    row: list[float] = _rounded(values).tolist()
    return row


def _rounded(values: NDArray[Any]) -> NDArray[np.float64]:
    exact = values.astype(np.float64)
    largest = float(np.abs(exact).max())
    if not math.isfinite(largest):
        raise ModelError("the network's feature maps are no numbers", hint="the model is damaged; take another")
    return np.round(exact, DIGITS - 1 - math.floor(math.log10(largest))) if largest else exact
