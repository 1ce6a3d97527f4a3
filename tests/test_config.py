import dataclasses
import json
import math

import pytest

from escnn.config import PRESETS, AudioConfig, ModelConfig, TrainConfig, from_json, preset, to_json
from escnn.errors import UsageError


@pytest.mark.parametrize("name", PRESETS)
def test_settings_survive_json(name: str) -> None:
    document = json.loads(json.dumps(to_json(PRESETS[name])))
    assert from_json(TrainConfig, document) == PRESETS[name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 10},
        {"n_fft": 10**9},
        {"n_mels": 10**400},
        {"f_max": 44_100.0},
        {"hop_length": 0},
        {"floor_db": math.nan},
        {"n_mels": 512, "clip_seconds": 60.0},
        {"n_fft": 16_384, "hop_length": 16},
    ],
)
def test_out_of_range_is_refused_not_clamped(wrong: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        AudioConfig(**wrong)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"epochz": 3}, "epochz"),
        ({"epochs": "3"}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"model": {"widths": [8, "x"]}}, "widths"),
        ({"model": 3}, "model"),
        ([], "object"),
    ],
)
def test_json_of_the_wrong_shape_names_the_setting(document: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_json(TrainConfig, document)


def test_the_epoch_is_never_chosen_on_the_reported_fold() -> None:
    with pytest.raises(UsageError, match="validation_fold 4"):
        dataclasses.replace(preset("default"), fold=4, validation_fold=4)


def test_a_misspelt_preset_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="seed-resnet34"):
        preset("seed-resnet35")


def test_stages_need_as_many_widths_as_depths() -> None:
    with pytest.raises(UsageError, match="one of each"):
        ModelConfig(widths=(8, 16), depths=(1,))


def test_frames_and_samples_of_a_window() -> None:
    config = AudioConfig(sample_rate=44_100, clip_seconds=5.0, hop_length=441)
    assert config.window_samples == 220_500
    assert config.frames == 501  # a frame every 10 ms, both ends included


@pytest.mark.parametrize("epochs", [10**400, -(10**400)])
def test_a_number_beyond_every_float_is_out_of_range_like_others(epochs: int) -> None:
    with pytest.raises(UsageError, match="epochs"):
        from_json(TrainConfig, {"epochs": epochs})


@pytest.mark.parametrize(
    "document",
    [
        {"x" * 100_000: 1},
        {"preset": ["x" * 100_000], "optimizer": "x" * 100_000},
        {"optimizer": "x" * 100_000},
        {"model": {"widths": [8] * 100_000}},
    ],
)
def test_a_refused_setting_is_quoted_only_in_part(document: dict) -> None:
    with pytest.raises(UsageError) as caught:
        from_json(TrainConfig, document)
    assert len(caught.value.message) < 400
