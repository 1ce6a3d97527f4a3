"""Which kind of data set a folder holds; a folder per class."""

import os
from collections import Counter
from pathlib import Path

import pytest
import soundfile
from conftest import tone

from escnn.data.sources import open_dataset
from escnn.errors import DatasetError


def test_the_folder_above_esc50_is_answered_with_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "ESC-50-master" / "meta").mkdir(parents=True)
    (tmp_path / "ESC-50-master" / "meta" / "esc50.csv").touch()
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    assert str(tmp_path / "ESC-50-master") in (caught.value.hint or "")


def test_class_folders_are_dealt_evenly_to_five_folds(class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    assert dataset.labels == ("high", "low", "middle")
    assert Counter((clip.class_id, clip.fold) for clip in dataset.clips) == {
        (class_id, fold): 2 for class_id in range(3) for fold in range(1, 6)
    }


def test_even_two_sounds_a_class_can_be_held_out_and_learnt(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(2):
            soundfile.write(tmp_path / label / f"{number}.wav", tone(440, 0.1, 8_000), 8_000)
    assert Counter(clip.fold for clip in open_dataset(tmp_path).clips) == {4: 2, 5: 2}


@pytest.mark.parametrize("what", ["nothing", "no folder", "one class", "one sound"])
def test_what_is_no_data_set_says_what_one_looks_like(tmp_path: Path, what: str) -> None:
    root = tmp_path / "data"
    if what != "no folder":
        root.mkdir()
    if what in ("one class", "one sound"):
        for label in ("a", "b") if what == "one sound" else ("a",):
            (root / label).mkdir()
            soundfile.write(root / label / "0.wav", tone(440, 0.1, 8_000), 8_000)
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    assert caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("label", ["dog\x1b[2J", "dog\x9b2J", "dog\udce9"])
def test_a_class_whose_name_cannot_be_shown_is_refused(tmp_path: Path, label: str) -> None:
    for name in (label, "cat"):
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.wav").touch()
    with pytest.raises(DatasetError, match="control characters"):
        open_dataset(tmp_path)


def test_names_of_classes_in_any_script_are_welcome(tmp_path: Path) -> None:
    names = ["Kläffen", "犬 の声", "می\u200cخواهم", "👩\u200d🚒"]  # joiners are no control characters
    for name in names:
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.wav").touch()
    assert sorted(open_dataset(tmp_path).labels) == sorted(names)


def test_only_sounds_count_and_hidden_folders_do_not(tmp_path: Path) -> None:
    for name in ("dog/a.wav", "dog/deep/b.FLAC", "dog/notes.txt", "cat/a.ogg", "cat/b.mp3", ".trash/a.wav", "empty/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ("cat", "dog")
    assert [clip.name for clip in dataset.clips] == ["cat/a.ogg", "cat/b.mp3", "dog/a.wav", "dog/deep/b.FLAC"]
