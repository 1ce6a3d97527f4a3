"""A data set is told from another by its digest, wherever it lies."""

import json
import shutil
from pathlib import Path

import pytest

from escnn.data.sources import open_dataset
from escnn.errors import DatasetError

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
    assert open_dataset(class_folders).digest == json.loads((OLD_RUN / "run.json").read_text())["data_digest"]


def test_the_digest_is_computed_once(class_folders: Path, tmp_path: Path) -> None:
    dataset = open_dataset(shutil.copytree(class_folders, tmp_path / "data"))
    digest = dataset.digest
    shutil.rmtree(tmp_path / "data" / "low")
    assert dataset.digest == digest


def test_a_fold_without_a_clip_is_answered_with_those_there_are(class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    assert {clip.fold for clip in dataset.fold(2)} == {2}
    with pytest.raises(DatasetError, match=r"fold 7 holds no clip \(there are folds 1, 2, 3, 4, 5\)"):
        dataset.fold(7)
