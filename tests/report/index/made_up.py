"""An index made up for the tests of its page: no network named anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from report.sound.made_up import CARD

from escnn.errors import AudioError
from escnn.inference.prediction import Failure, Prediction
from escnn.report.index.page import IndexEntry, index_page
from escnn.report.pictures import images

LABELS = ("dog", "sea_waves", "washing_machine", "cat", "cow")


def entry(
    name: str, label: str = "dog", score: float = 0.81, *, labels: tuple[str, ...] = LABELS, **fields: Any
) -> IndexEntry:
    """A sound of five seconds, for which `label` is the best, then the others in their order."""
    scores = np.array([score if each == label else (1 - score) * 0.6 / (k + 1) for k, each in enumerate(labels)])
    prediction = Prediction(name, 5.0, scores, scores[None], (0.0,), replace(CARD, labels=labels))
    pixels = np.random.default_rng(sum(map(ord, name))).random((8, 16))
    picture = images.png_bytes(images.feature_map(pixels, (0, 1), images.SPECTROGRAM_COLORS))
    return IndexEntry(replace(prediction, **fields), f"{name}/report.html", picture)


ENTRIES = (entry("b.wav"), entry("a.wav", "sea_waves"), entry("c.wav", score=0.99961))
FAILURE = Failure("notes.txt", AudioError("not a sound", code="not_audio", hint="Convert it to WAV."), CARD)


def render(entries: Any = ENTRIES, failures: Any = (FAILURE,), card: Any = CARD, **options: Any) -> str:
    """The page."""
    versions = {"escnn": "0.2.0", "torch": "2.14.1"}
    defaults = {"created": datetime(2026, 11, 22, 17, 40, tzinfo=UTC), "command": ["visualize", "sounds"]}
    return index_page(entries, failures, card, **{"versions": versions, **defaults, **options})
