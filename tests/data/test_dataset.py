"""A data set is told from another by its digest, wherever it lies."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from escnn.data import dataset as module
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError
from escnn.files import sha256_file

OLD_RUN = Path(__file__).parent / "run-0.1.0"


def test_the_digest_changes_with_the_data_set_and_not_with_its_place(class_folders: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(class_folders, tmp_path / "moved")
    digest = open_dataset(class_folders).digest
    assert open_dataset(moved).digest == digest
    with (moved / "low" / "3.wav").open("ab") as file:
        file.write(b"longer")
    longer = open_dataset(moved).digest
    (moved / "low" / "3.wav").unlink()
    fewer = open_dataset(moved).digest
    assert len({digest, longer, fewer, open_dataset(class_folders, seed=1).digest}) == 4


def test_the_digest_is_the_one_that_0_1_0_wrote(class_folders: Path) -> None:
    assert (
        open_dataset(class_folders, dealing="0.1.0").digest
        == json.loads((OLD_RUN / "run.json").read_text())["data_digest"]
    )


def test_the_digest_is_computed_once(class_folders: Path, tmp_path: Path) -> None:
    dataset = open_dataset(shutil.copytree(class_folders, tmp_path / "data"))
    digest = dataset.digest
    shutil.rmtree(tmp_path / "data" / "low")
    assert dataset.digest == digest


def exchange(one: Path, other: Path) -> None:
    """Two files of equal size and time take each other's place, as archives leave them."""
    times = one.stat().st_mtime_ns
    assert one.stat().st_size == other.stat().st_size
    os.utime(other, ns=(times, times))
    one.rename(one.with_name("aside"))
    other.rename(one)
    one.with_name("aside").rename(other)


def test_the_digest_sees_clips_of_equal_size_and_time_exchanged(class_folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    before = open_dataset(root)
    digest = before.digest
    exchange(root / "low" / "3.wav", root / "high" / "3.wav")
    after = open_dataset(root)
    assert after.digest != digest
    assert before.hashes["low/3.wav"] == after.hashes["high/3.wav"] != after.hashes["low/3.wav"]


def test_hashes_are_those_of_the_files_and_are_listed_by_fold(class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    assert dataset.hashes["low/3.wav"] == hashlib.sha256((class_folders / "low" / "3.wav").read_bytes()).hexdigest()
    listed = dataset.hashes_by_fold([1, 4])
    assert list(listed) == ["1", "4"]
    assert listed["4"] == sorted(dataset.hashes[clip.name] for clip in dataset.clips if clip.fold == 4)


def test_files_are_hashed_once_and_again_when_they_change(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path / "cache"))
    root = shutil.copytree(class_folders, tmp_path / "data")
    read: list[Path] = []

    def counting(path: Path) -> str:
        read.append(path)
        return sha256_file(path)

    monkeypatch.setattr(module, "sha256_file", counting)
    monkeypatch.setattr(module, "SETTLED_SECONDS", 0)  # what was changed just now may change again in the same tick
    first = open_dataset(root)
    assert len(read) == 30
    assert open_dataset(root).hashes == first.hashes
    assert len(read) == 30
    (root / "low" / "3.wav").write_bytes((root / "low" / "3.wav").read_bytes()[:-2] + b"\1\1")
    changed = open_dataset(root)
    assert read[30:] == [root / "low" / "3.wav"]
    assert {name for name in first.hashes if first.hashes[name] != changed.hashes[name]} == {"low/3.wav"}


def test_a_cache_of_hashes_that_is_damaged_is_done_without(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "SETTLED_SECONDS", 0)
    digest = open_dataset(class_folders).digest
    (kept,) = tmp_path.rglob("*.json")
    for damage in ("no JSON", "[]", '{"a": 1}', ""):
        kept.write_text(damage)
        assert open_dataset(class_folders).digest == digest
    monkeypatch.setenv("ESCNN_CACHE", "/dev/null/nowhere")
    assert open_dataset(class_folders).digest == digest


def test_a_fold_without_a_clip_is_answered_with_those_there_are(class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    assert {clip.fold for clip in dataset.fold(2)} == {2}
    with pytest.raises(DatasetError, match=r"fold 7 holds no clip \(there are folds 1, 2, 3, 4, 5\)"):
        dataset.fold(7)
