"""The settings of a training and their presets."""

import json

import msgspec
import pytest

from escnn.config import from_json, to_json
from escnn.errors import UsageError
from escnn.runs.settings import PRESETS, TrainConfig, preset, with_changes


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json_and_know_their_name(name: str) -> None:
    document = json.loads(json.dumps(to_json(PRESETS[name])))
    assert from_json(TrainConfig, document) == PRESETS[name] == preset(name)
    assert PRESETS[name].preset == name


def test_the_epoch_is_never_chosen_on_the_reported_fold() -> None:
    with pytest.raises(UsageError, match="validation_fold 4"):
        msgspec.structs.replace(preset("default"), fold=4, validation_fold=4)


def test_a_misspelt_preset_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="baseline-resnet34") as caught:
        preset("baseline-resnet35")
    assert caught.value.hint == "did you mean baseline-resnet34?"


def test_a_preset_of_0_1_0_goes_by_its_old_name() -> None:
    assert preset("seed-resnet34") == PRESETS["baseline-resnet34"]


def test_changes_go_into_nested_settings_and_leave_the_rest() -> None:
    start = preset("quick")
    changed = with_changes(
        start, {"epochs": 3, "augment": {"gain_db": 6}, "model": {"widths": [8, 16], "depths": [1, 1]}}
    )
    assert changed.epochs == 3
    assert changed.augment == msgspec.structs.replace(start.augment, gain_db=6.0)
    assert changed.model == msgspec.structs.replace(start.model, widths=(8, 16), depths=(1, 1))
    assert changed.audio == start.audio
    assert with_changes(start, {"augment": changed.augment}).augment == changed.augment  # settings as they are
    for wrong in ({"epoks": 3}, {"augment": {"gain": 6}}, {"augment": 6}, {"epochs": 0}):
        with pytest.raises(UsageError, match="settings"):
            with_changes(start, wrong)
