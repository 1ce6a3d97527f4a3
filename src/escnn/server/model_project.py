"""The answer of the project that escnn re-creates, so that a page written for its endpoint works unchanged.

Its faults are mended: the rate of the waveform is that of its values, peaks are kept, and nothing hides a NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from escnn.analysis.analysis import Analysis
from escnn.analysis.formats import grid, heard, numbers
from escnn.audio.encoding import envelope

CLASSES = 3
WAVEFORM_VALUES = 8_000  # at most


def inference_document(analysis: Analysis, *, top_k: int = CLASSES) -> dict[str, Any]:
    """``{"predictions", "visualization", "input_spectrogram", "waveform"}``.

    A map is the mean over the channels of a layer, ``shape`` its [height, width]; row 0 holds the lowest frequencies.
    Keys without a dot are stages, the others the maps inside of them. ``waveform`` holds lowest and highest samples in
    turn, ``sample_rate`` counts its values a second, so that they fill ``duration``. Maps, spectrogram and waveform are
    those of the main window.
    """
    samples = heard(analysis)
    duration = len(samples) / analysis.card.audio.sample_rate
    if len(samples) > WAVEFORM_VALUES:
        samples = np.stack(envelope(samples, WAVEFORM_VALUES // 2), axis=1).reshape(-1)
    log_mel = analysis.detail.log_mel
    return {
        "predictions": [
            {"class": label, "confidence": round(score, 6)} for label, _, score in analysis.prediction.top(top_k)
        ],
        "visualization": {
            layer: {"shape": list(maps.shape[1:]), "values": grid(maps.mean(axis=0))}
            for layer, maps in analysis.feature_maps.items()
        },
        "input_spectrogram": {"shape": list(log_mel.shape), "values": grid(log_mel)},
        "waveform": {
            "values": numbers(samples),
            "sample_rate": len(samples) / duration,
            "duration": duration,
        },
    }
