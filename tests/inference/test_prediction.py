"""A prediction names its best classes, and becomes the JSON that 0.1.0 wrote."""

import json

import numpy as np
import pytest
from conftest import SMALL_AUDIO, SMALL_MODEL

from escnn.audio.log_mel import Normalization
from escnn.errors import AudioError
from escnn.inference.prediction import Failure, Prediction
from escnn.model.card import ModelCard

CARD = ModelCard(
    "tiny", ("low", "middle", "high", "none"), SMALL_AUDIO, SMALL_MODEL, Normalization(-60.0, 25.0), sha256="ab" * 32
)
SCORES = np.array([0.25, 0.5, 0.25, 0.0], dtype=np.float32)
WINDOWS = np.array([SCORES, [0.25, 0.625, 0.125, 0.0], [0.25, 0.375, 0.375, 0.0]], dtype=np.float32)
PREDICTION = Prediction("t.wav", 1.2345678, SCORES, WINDOWS, (0.0, 0.5, 0.7345678), CARD, ("too quiet",))


def test_the_best_come_first_and_of_equals_the_first_class() -> None:
    assert PREDICTION.top(2) == [("middle", 1, 0.5), ("low", 0, 0.25)]
    assert PREDICTION.top(9) == [("middle", 1, 0.5), ("low", 0, 0.25), ("high", 2, 0.25), ("none", 3, 0.0)]
    assert PREDICTION.top(9, min_score=0.25) == PREDICTION.top(3)  # what is just as high is named
    assert PREDICTION.top(9, min_score=0.6) == []
    assert PREDICTION.labels == CARD.labels


def test_a_prediction_is_the_json_of_0_1_0_and_the_highest_score_of_its_windows() -> None:
    assert json.dumps(PREDICTION.to_json(top_k=2)) == (
        '{"schema": "escnn.prediction/1", "path": "t.wav", "status": "ok", "duration_seconds": 1.234568, "windows": 3, '
        '"predictions": [{"label": "middle", "class_id": 1, "score": 0.5, "max_score": 0.625}, '
        '{"label": "low", "class_id": 0, "score": 0.25, "max_score": 0.25}], '
        f'"model": {{"name": "tiny", "sha256": "{"ab" * 32}", "classes": 4}}, '
        '"warnings": ["too quiet"], "error": null}'
    )


@pytest.mark.parametrize("hint", [None, "listen to it"])
def test_a_failure_is_the_json_of_0_1_0(hint: str | None) -> None:
    failure = Failure("gone.wav", AudioError("gone.wav: no such file", code="missing", hint=hint), CARD)
    assert json.dumps(failure.to_json(top_k=2)) == (
        '{"schema": "escnn.prediction/1", "path": "gone.wav", "status": "error", "duration_seconds": null, '
        f'"windows": 0, "predictions": [], "model": {{"name": "tiny", "sha256": "{"ab" * 32}", "classes": 4}}, '
        '"warnings": [], "error": {"code": "missing", "message": "gone.wav: no such file", '
        f'"hint": {json.dumps(hint)}}}}}'
    )
