"""Analyses made up for the tests of their page: no network computed anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from conftest import SMALL_AUDIO, SMALL_MODEL

from escnn.analysis.analysis import Analysis, WindowDetail, best_classes
from escnn.audio.decoding import SoundInfo
from escnn.audio.log_mel import AudioConfig, Normalization
from escnn.inference.prediction import Prediction
from escnn.model.architecture import ModelConfig, receptive_fields
from escnn.model.card import ModelCard
from escnn.report.sound.layers import draw_layers
from escnn.report.sound.page import sound_page

CARD = ModelCard(
    name="small",
    labels=("vacuum_cleaner", "washing_machine", "cat"),
    audio=SMALL_AUDIO,
    model=SMALL_MODEL,
    normalization=Normalization(-60.0, 25.0),
    training={"trained_on_folds": [1, 2, 3, 4]},
    score={"accuracy": 0.8575, "clips": 400, "fold": 5},
    sha256="cd" * 32,
)
CREATED = datetime(2026, 11, 22, 17, 40, tzinfo=UTC)
ONE = [[0.81, 0.185, 0.005]]
SEVERAL = [[0.1, 0.3, 0.6], [0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.3, 0.5, 0.2]]


def analysis_of(window_scores: Sequence[Sequence[float]], card: ModelCard = CARD) -> Analysis:
    """A sound whose windows scored so, each half a second after the one before it and kept whole.

    In every window the evidence for the first of its classes is strongest a quarter into it, in the highest bands; for
    the last it is the same everywhere. The largest value of a layer's first channel lies in the last of its cells.
    """
    rng = np.random.default_rng(0)
    scores, audio = np.array(window_scores, dtype=np.float32), card.audio
    shape = audio.n_mels, audio.frames
    starts = tuple(0.5 * number for number in range(len(scores)))
    prediction = Prediction(
        "folder/clip.wav", starts[-1] + audio.clip_seconds, scores.mean(axis=0), scores, starts, card
    )
    details = {}
    for number, row in enumerate(scores):
        ids = best_classes(row, 5)
        saliency = rng.random((len(ids), *shape), dtype=np.float32) / 2
        saliency[0, round(0.9 * shape[0]), shape[1] // 4] = 1.0
        saliency[-1] = 0.5
        samples = rng.uniform(-0.5, 0.25, audio.window_samples).astype(np.float32)
        log_mel = rng.uniform(-80, 0, shape).astype(np.float32)
        details[number] = WindowDetail(samples, log_mel, tuple(ids), saliency)
    maps = {}
    for name, field in receptive_fields(card.model).items():
        stage = int(name[5:].split(".")[0]) if name.startswith("layer") else 1
        size = (card.model.widths[stage - 1], -(-shape[0] // field.stride), -(-shape[1] // field.stride))
        maps[name] = rng.random(size, dtype=np.float32)
        maps[name][0, -1, -1] = 2.5
    return Analysis(
        prediction=prediction,
        info=SoundInfo(audio.sample_rate, 2, "WAV", "PCM_16"),
        sha256="ab" * 32,
        thumbnails=rng.uniform(-80, 0, (len(scores), 4, 8)).astype(np.float32),
        details=details,
        main=int(scores[:, prediction.scores.argmax()].argmax()),
        feature_maps=maps,
        score_without_saliency=0.09,
        score_without_random=0.72,
        versions={"escnn": "0.2.0", "torch": "2.14.1"},
    )


def large_analysis() -> Analysis:
    """Noise as a ResNet-34 of 50 classes would see it: nothing in it can be compressed."""
    model = ModelConfig(widths=(64, 128, 256, 512), depths=(3, 4, 6, 3))
    card = replace(CARD, labels=tuple(f"class_{k}" for k in range(50)), audio=AudioConfig(), model=model)
    return analysis_of([np.random.default_rng(1).dirichlet(np.ones(50)).tolist()], card)


def with_prediction(analysis: Analysis, **fields: Any) -> Analysis:
    """An analysis with other values in its prediction."""
    return replace(analysis, prediction=replace(analysis.prediction, **fields))


def with_card(analysis: Analysis, **fields: Any) -> Analysis:
    """An analysis with other values in its model's card."""
    return with_prediction(analysis, model=replace(analysis.card, **fields))


def render(analysis: Analysis, layers: Sequence[str] | None = None, channels: int = 3, **options: Any) -> str:
    """The page, with all layers unless some are named."""
    drawn = draw_layers(analysis, analysis.card.layers if layers is None else layers, channels=channels)
    return sound_page(analysis, drawn, **{"created": CREATED, "command": ["visualize", "clip.wav"], **options})
