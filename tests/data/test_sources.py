"""Which kind of data set a folder holds; a folder per class."""

import os
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
import soundfile
from conftest import tone

from escnn.data.folds import split
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
            soundfile.write(tmp_path / label / f"{number}.wav", tone(440 + number + 9 * ord(label), 0.1, 8_000), 8_000)
    assert Counter(clip.fold for clip in open_dataset(tmp_path).clips) == {5: 2, 4: 1, 3: 1}


def test_small_classes_are_spread_over_the_folds(tmp_path: Path) -> None:
    for number, label in enumerate("abcdefgh"):
        (tmp_path / label).mkdir()
        for clip in range(2):
            soundfile.write(tmp_path / label / f"{clip}.wav", tone(440 + 40 * number + clip, 0.1, 8_000), 8_000)
    assert Counter(clip.fold for clip in open_dataset(tmp_path).clips) == {5: 8, 4: 2, 3: 2, 2: 2, 1: 2}


@pytest.mark.parametrize("what", ["nothing", "no folder"])
def test_what_is_no_data_set_says_what_one_looks_like(tmp_path: Path, what: str) -> None:
    root = tmp_path / "data"
    if what != "no folder":
        root.mkdir()
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    assert caught.value.hint


@pytest.mark.parametrize(("labels", "said"), [(("a",), "1 class"), (("a", "b"), "'a' holds 1 sound")])
def test_what_can_be_evaluated_may_be_too_little_to_train_on(
    tmp_path: Path, labels: tuple[str, ...], said: str
) -> None:
    for number, label in enumerate(labels):
        (tmp_path / label).mkdir()
        soundfile.write(tmp_path / label / "0.wav", tone(440 + number, 0.1, 8_000), 8_000)
    dataset = open_dataset(tmp_path)
    assert dataset.labels == labels
    with pytest.raises(DatasetError, match=said) as caught:
        split(dataset, 5, None)
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


def files(root: Path, *names: str) -> Path:
    """Files below `root`, each with a content of its own; those named as WAV hold a sound."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".wav":
            soundfile.write(path, tone(200 + 7 * number, 0.1, 8_000), 8_000)
        else:
            path.write_text(f"{name}\n")
    return root


def test_only_sounds_count_and_hidden_files_and_folders_do_not(tmp_path: Path) -> None:
    files(tmp_path, "dog/a.wav", "dog/deep/b.FLAC", "cat/a.ogg", "cat/b.mp3", ".trash/a.wav")
    files(tmp_path, "dog/._a.wav", "dog/deep/._b.FLAC", "dog/.Trash/c.wav", "cat/.b.mp3")  # as macOS leaves them
    with pytest.warns(UserWarning, match=r"left out: .*hidden"):
        dataset = open_dataset(tmp_path)
    assert dataset.labels == ("cat", "dog")
    assert [clip.name for clip in dataset.clips] == ["cat/a.ogg", "cat/b.mp3", "dog/a.wav", "dog/deep/b.FLAC"]


def test_a_class_without_a_sound_that_can_be_read_does_not_vanish_in_silence(tmp_path: Path) -> None:
    files(tmp_path, "dog/a.wav", "dog/b.wav", "cat/a.wav", "cat/b.wav", "cow/a.mid", "cow/b.mid")
    with pytest.warns(UserWarning, match=r"class 'cow' is left out: none of the 2 files in it is a sound"):
        assert open_dataset(tmp_path).labels == ("cat", "dog")


def test_what_is_left_out_beside_sounds_is_counted(tmp_path: Path) -> None:
    files(tmp_path, "dog/a.wav", "dog/b.wav", "cat/a.wav", "cat/b.wav", "cat/notes.txt", "loose.wav")
    (tmp_path / "dog" / "more").symlink_to(tmp_path / "cat")
    with pytest.warns(UserWarning) as caught:
        open_dataset(tmp_path)
    said = " ".join(str(warning.message) for warning in caught)
    assert "1 files that are no sounds" in said
    assert "1 linked folders" in said
    assert "1 sounds in no folder of a class" in said


def test_a_sound_of_any_name_is_a_clip(tmp_path: Path) -> None:
    files(tmp_path, "dog/a.wav", "dog/b.wav", "cat/a.wav")
    shutil.copy(tmp_path / "cat" / "a.wav", tmp_path / "cat" / "c.recording")
    (tmp_path / "cat" / "a.wav").unlink()
    assert "cat/c.recording" in [clip.name for clip in open_dataset(tmp_path).clips]


@pytest.mark.parametrize(
    "parts", [("train", "test"), ("Training", "Validation", "Testing"), ("fold1", "fold2", "fold10"), ("fold_1",)]
)
def test_the_parts_of_a_split_are_no_classes(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        files(tmp_path, f"{part}/dog/{part}.wav", f"{part}/cat/{part}-2.wav")
    with pytest.raises(DatasetError, match=f"{sorted(parts)[0]!r}.* no class") as caught:
        open_dataset(tmp_path)
    assert caught.value.hint


def test_a_class_may_be_called_as_a_part_of_a_split_is(tmp_path: Path) -> None:
    files(tmp_path, "train/a.wav", "train/b.wav", "airplane/a.wav", "airplane/b.wav")
    assert open_dataset(tmp_path).labels == ("airplane", "train")


def test_exact_copies_are_said_and_stay_together(tmp_path: Path) -> None:
    files(tmp_path, *(f"{label}/{number}.wav" for label in ("dog", "cat") for number in range(6)))
    for number in (7, 8, 9):
        shutil.copy(tmp_path / "dog" / "0.wav", tmp_path / "dog" / f"{number}.wav")
    with pytest.warns(UserWarning, match=r"3 clips are exact copies of others, such as dog/7\.wav of dog/0\.wav"):
        dataset = open_dataset(tmp_path)
    assert len({clip.fold for clip in dataset.clips if clip.name in ("dog/0.wav", "dog/7.wav", "dog/8.wav")}) == 1
    shutil.copy(tmp_path / "dog" / "0.wav", tmp_path / "cat" / "x.wav")
    with pytest.warns(UserWarning, match="in two classes"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    "twins", [("Dog", "dog"), ("car horn", "car_horn"), ("Käfer", unicodedata.normalize("NFD", "Käfer"))]
)
def test_classes_that_only_spelling_tells_apart_are_refused(tmp_path: Path, twins: tuple[str, str]) -> None:
    for twin in twins:
        (tmp_path / twin).mkdir(exist_ok=True)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this disk sees no difference either")
    files(tmp_path, *(f"{twin}/{number}.wav" for twin in twins for number in range(2)))
    with pytest.raises(DatasetError, match="one class or two") as caught:
        open_dataset(tmp_path)
    assert caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_clip_whose_name_is_not_utf_8_has_one_that_can_be_written(tmp_path: Path) -> None:
    files(tmp_path, "dog/a.wav", "dog/b.wav", "cat/a.wav", "cat/b.wav")
    (tmp_path / "dog" / "b.wav").rename(tmp_path / "dog" / "b\udce9.wav")
    dataset = open_dataset(tmp_path)
    assert [clip.name for clip in dataset.clips] == ["cat/a.wav", "cat/b.wav", "dog/a.wav", "dog/b\\xe9.wav"]
    assert all(clip.path.is_file() for clip in dataset.clips)
