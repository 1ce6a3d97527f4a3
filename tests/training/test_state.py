"""``last.pt``: what is saved comes back, damage and traps do not, and what changed is named."""

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from conftest import SMALL_MODEL, SMALL_TRAINING

from escnn.config import to_json
from escnn.data.dataset import Dataset
from escnn.data.features import FEATURES_VERSION
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError, ModelError, UsageError
from escnn.network.resnet import ResNet
from escnn.network.runtime import versions
from escnn.training.state import check_unchanged, differences, load_state, save_state


def test_state_comes_back_and_a_flipped_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    state = {"network": ResNet(SMALL_MODEL, 3).state_dict(), "step": 7, "best": None}
    save_state(path, state)
    loaded = load_state(path)
    assert loaded["step"] == 7
    torch.testing.assert_close(loaded["network"], dict(state["network"]), rtol=0, atol=0)
    data = bytearray(path.read_bytes())
    weights = state["network"]["layer2.block0.conv2.weight"].numpy().tobytes()
    data[data.find(weights) + 100] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        load_state(path)


def test_no_state_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no training state here"):
        load_state(tmp_path / "last.pt")


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("trapped"),)


def test_a_state_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"network": Trap()}, "last.pt")
    with pytest.raises(ModelError):
        load_state(Path("last.pt"))
    assert not Path("trapped").exists()


def repacked(path: Path, change: Callable[[bytes], bytes] = bytes, packing: int = zipfile.ZIP_STORED) -> Path:
    """The training state at `path` with its pickle changed, all checksums right again."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda pickled: pickled[:2] + b"." + pickled[2:],  # ends with nothing made: IndexError in torch's unpickler
        lambda pickled: pickled[:-1] + b"h",  # stops within an instruction: struct.error
        lambda pickled: pickled[:2] + b"\xff" + pickled[2:],  # no such instruction
        lambda pickled: b"cos\nsystem\n(X\x05\x00\x00\x00falsetR.",
        lambda pickled: b"\x80\x02cbuiltins\nbytearray\n(\x8a\x06\x00\x00\x00\x00\x00\x7ftR.",  # 140 TB of zeros
    ],
)
def test_a_damaged_pickle_with_right_checksums_is_one_line_of_ours(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "last.pt"
    save_state(path, {"step": 7, "network": torch.zeros(3)})
    with pytest.raises(ModelError, match="training state") as caught:
        load_state(repacked(path, change))
    assert "torch" not in caught.value.message  # torch's own words tell how to have the code run all the same
    assert "\\x0a" not in caught.value.message


def test_a_packed_state_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_state(path, {"network": torch.zeros(1_000_000)})
    assert load_state(repacked(path))["network"].shape == (1_000_000,)
    repacked(path, packing=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000  # a thousandth of what it would take
    with pytest.raises(ModelError, match="packed"):
        load_state(path)


def test_a_state_takes_no_more_memory_than_its_file_is_long(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"optimizers": [{"state": ({"mean": torch.zeros(1).expand(10**11)},)}]}, path)
    with pytest.raises(ModelError, match="more elements than there are"):
        load_state(path)


def test_differences_are_named_value_by_value() -> None:
    old = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": "x"}
    assert differences(old, old) == []
    new = {"a": 1, "b": {"c": [1], "d": None}, "f": True}
    assert differences(old, new) == [
        "b.c was [1, 2], is [1]", 'e was "x", is null', "f was null, is true",
    ]  # fmt: skip


def test_another_data_set_other_settings_and_other_libraries_are_refused_by_name(class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    state = state_of(dataset)
    check_unchanged(json.loads(json.dumps(state)), SMALL_TRAINING, dataset)
    with pytest.raises(DatasetError, match="not the data set"):
        check_unchanged(state, SMALL_TRAINING, open_dataset(class_folders, seed=5))  # other folds
    with pytest.raises(DatasetError, match="not the data set"):
        check_unchanged(state, SMALL_TRAINING, dataclasses.replace(dataset, clips=dataset.clips[1:]))
    gain = msgspec.structs.replace(SMALL_TRAINING.augment, gain_db=1.5)
    changed = msgspec.structs.replace(SMALL_TRAINING, learning_rate=0.5, augment=gain)
    with pytest.raises(UsageError, match=r"learning_rate was 0\.01, is 0\.5, augment\.gain_db was 8\.0, is 1\.5$"):
        check_unchanged(state, changed, dataset)


def test_another_torch_is_refused_unless_it_is_allowed_and_then_noted(class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    state = state_of(dataset, torch="0.9+cpu")
    with pytest.raises(UsageError, match=r'another version: torch was "0\.9\+cpu", is "[^,]*"$') as caught:
        check_unchanged(state, SMALL_TRAINING, dataset)
    assert "--allow-other-versions" in (caught.value.hint or "")
    (note,) = check_unchanged(state, SMALL_TRAINING, dataset, allow_other_versions=True)
    assert note.startswith('torch was "0.9+cpu", is ')


def state_of(dataset: Dataset, **changed: str) -> dict[str, Any]:
    """As much of a state as is compared, with other versions of libraries."""
    return {
        "config": to_json(SMALL_TRAINING),
        "data_digest": dataset.digest,
        "versions": {**versions(), **changed},
        "features_version": FEATURES_VERSION,
    }


@pytest.mark.parametrize("changed", [{}, {"escnn": "0.1.0"}, {"torchaudio": "0.9"}])
def test_what_does_not_change_the_numbers_is_gone_on_with(class_folders: Path, changed: dict[str, str]) -> None:
    dataset = open_dataset(class_folders)
    assert check_unchanged(state_of(dataset, **changed), SMALL_TRAINING, dataset) == []


@pytest.mark.parametrize("build", ["", "+cpu", "+cu130", "+rocm6.4"])
def test_another_build_of_the_same_torch_is_gone_on_with_and_noted(class_folders: Path, build: str) -> None:
    dataset, here = open_dataset(class_folders), versions()["torch"]
    other = here.partition("+")[0] + build
    expected = [f'torch was "{other}", is "{here}"'] if other != here else []
    assert check_unchanged(state_of(dataset, torch=other), SMALL_TRAINING, dataset) == expected


def test_log_mels_made_in_another_way_are_noted(class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    state = state_of(dataset)
    del state["features_version"]  # as 0.1.0 left it
    (note,) = check_unchanged(state, SMALL_TRAINING, dataset)
    assert note == f"log-mels of version 1 then, of version {FEATURES_VERSION} now"
