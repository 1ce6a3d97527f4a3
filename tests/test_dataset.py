import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import SMALL_AUDIO, tone

from escnn.audio import load_audio
from escnn.dataset import load_features, open_dataset
from escnn.errors import DatasetError
from escnn.features import LogMel
from escnn.files import cache_folder

HEADER = "filename,fold,target,category,esc10,src_file,take\n"


def esc50(root: Path, rows: str, *, header: str = HEADER, clips: list[str] | None = None) -> Path:
    """A tiny ESC-50: metadata and a sound for each of its rows (or for `clips`)."""
    (root / "audio").mkdir(parents=True)
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text(header + rows)
    for name in clips if clips is not None else [row.split(",")[0] for row in rows.splitlines()]:
        soundfile.write(root / "audio" / name, tone(440, 0.5, 8_000), 8_000)
    return root


GOOD = "1-10-A-0.wav,1,0,dog,True,10,A\n2-11-A-1.wav,2,1,rooster,False,11,A\n2-12-A-0.wav,2,0,dog,True,12,A\n"


def test_esc50_is_read_as_its_metadata_says(tmp_path: Path) -> None:
    dataset = open_dataset(esc50(tmp_path / "data", GOOD))
    assert dataset.labels == ("dog", "rooster")
    assert [(clip.name, clip.class_id, clip.fold) for clip in dataset.clips] == [
        ("audio/1-10-A-0.wav", 0, 1),
        ("audio/2-11-A-1.wav", 1, 2),
        ("audio/2-12-A-0.wav", 0, 2),
    ]
    assert dataset.folds == (1, 2)


def test_clips_that_are_not_there_are_named(tmp_path: Path) -> None:
    dataset = open_dataset(esc50(tmp_path / "data", GOOD, clips=["1-10-A-0.wav", "2-11-A-1.wav"]))
    assert dataset.missing == ("2-12-A-0.wav",)
    assert len(dataset.clips) == 2


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        (GOOD.replace("2,1,rooster", "2,7,rooster"), HEADER),  # targets with a gap
        (GOOD.replace("2,0,dog", "2,0,cat"), HEADER),  # one target, two names
        (GOOD.replace("1-10", "../1-10"), HEADER),  # a path
        (GOOD.replace(",1,0,dog", ",6,0,dog"), HEADER),  # no such fold
        (GOOD.replace(",1,0,dog", ",one,0,dog"), HEADER),
        (GOOD, "name,fold,target,category,esc10,src_file,take\n"),
        ("", ""),
    ],
)
def test_metadata_that_cannot_be_is_refused(tmp_path: Path, rows: str, header: str) -> None:
    root = esc50(tmp_path / "data", rows, header=header, clips=["1-10-A-0.wav"])
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    assert "esc50.csv" in caught.value.message


def test_the_folder_above_esc50_is_answered_with_the_right_one(tmp_path: Path) -> None:
    esc50(tmp_path / "above" / "ESC-50-master", GOOD)
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path / "above")
    assert str(tmp_path / "above" / "ESC-50-master") in (caught.value.hint or "")


def test_class_folders_are_dealt_evenly_to_five_folds(class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    assert dataset.labels == ("high", "low", "middle")
    assert Counter((clip.class_id, clip.fold) for clip in dataset.clips) == {
        (class_id, fold): 2 for class_id in range(3) for fold in range(1, 6)
    }


def test_the_deal_depends_on_the_seed_and_on_nothing_else(class_folders: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(class_folders, tmp_path / "moved")

    def deal(root: Path, seed: int) -> list[int]:
        return [clip.fold for clip in open_dataset(root, seed=seed).clips]

    assert deal(class_folders, 3) == deal(moved, 3)
    assert deal(class_folders, 3) != deal(class_folders, 4)
    assert open_dataset(class_folders).digest == open_dataset(moved).digest


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


def test_cached_features_are_the_log_mels_of_the_clips(class_folders: Path, tmp_path: Path) -> None:
    dataset = open_dataset(shutil.copytree(class_folders, tmp_path / "data"))  # new to the cache
    calls: list[tuple[int, int]] = []
    features = load_features(dataset, SMALL_AUDIO, lambda done, total: calls.append((done, total)))
    assert features.decibels.shape == (30, SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)
    samples = load_audio(dataset.clips[4].path, SMALL_AUDIO.sample_rate).samples
    expected = LogMel(SMALL_AUDIO)(torch.from_numpy(samples)[None])[0, 0]
    torch.testing.assert_close(features.decibels[4].float(), expected, rtol=0, atol=0.05)  # float16
    assert calls[-1] == (30, 30)

    calls.clear()
    again = load_features(dataset, SMALL_AUDIO, lambda done, total: calls.append((done, total)))
    torch.testing.assert_close(again.decibels, features.decibels, rtol=0, atol=0)
    assert calls == []  # nothing was read again


def test_a_changed_clip_or_setting_makes_the_cache_stale(class_folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    before = load_features(open_dataset(root), SMALL_AUDIO)
    clip = open_dataset(root).clips[0].path
    soundfile.write(clip, tone(2_000, 0.5, 8_000), 8_000)
    os.utime(clip, ns=(1, 1))
    after = load_features(open_dataset(root), SMALL_AUDIO)
    assert not torch.equal(before.decibels[0], after.decibels[0])
    torch.testing.assert_close(before.decibels[1:], after.decibels[1:])


def test_long_clips_become_several_windows_of_one_clip(tmp_path: Path) -> None:
    for label, seconds in {"long": 1.2, "short": 0.2}.items():
        (tmp_path / label).mkdir()
        for number in range(2):
            soundfile.write(tmp_path / label / f"{number}.wav", tone(440, seconds, 8_000), 8_000)
    features = load_features(open_dataset(tmp_path), SMALL_AUDIO)
    assert features.clip.tolist() == [0, 0, 0, 1, 1, 1, 2, 3]
    assert features.windows_of(torch.tensor([1, 3], dtype=torch.int32)).tolist() == [3, 4, 5, 7]


def test_clips_that_cannot_be_read_are_counted_and_named(class_folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    (root / "low" / "0.wav").write_bytes(b"not a sound")
    soundfile.write(root / "low" / "1.wav", np.zeros(800), 8_000)
    with pytest.raises(DatasetError, match=r"2 of 30 clips.*0\.wav.*1\.wav"):
        load_features(open_dataset(root), SMALL_AUDIO)


def test_a_damaged_cache_is_removed_and_said(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path))
    dataset = open_dataset(class_folders)
    load_features(dataset, SMALL_AUDIO)

    for path in (cache_folder() / "features").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(DatasetError, match="damaged feature cache"):
        load_features(dataset, SMALL_AUDIO)
    assert load_features(dataset, SMALL_AUDIO).decibels.shape[0] == 30


@pytest.mark.real
def test_real_esc50_has_equal_classes_in_every_fold(real_data: Path) -> None:
    dataset = open_dataset(real_data)
    counts = Counter((clip.fold, clip.class_id) for clip in dataset.clips)
    assert len(dataset.labels) == 50
    assert set(counts.values()) == {8}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (f"1-10-A-0.wav,{'9' * 400},0,dog,x,x,x\n", "not metadata as"),  # no integer of any width
        (f"1-10-A-0.wav,{'9' * 30},0,dog,x,x,x\n", "not metadata as"),
        (f"{'x' * 70_000}.wav,1,0,dog,x,x,x\n", "cannot be looked for"),  # no file system takes such a name
        (f"{'x' * 70_000}/a.wav,1,0,dog,x,x,x\n", "not one of ESC-50"),
        ("1-10-A-0.wav,1,0,dog,x,x,x,1,2,3\n", "not metadata as"),  # pandas says so in two lines
    ],
)
def test_damage_that_pandas_or_the_file_system_chokes_on_is_one_line(tmp_path: Path, rows: str, said: str) -> None:
    root = esc50(tmp_path / "data", GOOD + rows, clips=["1-10-A-0.wav"])
    with pytest.raises(DatasetError, match=said) as caught:
        open_dataset(root)
    assert "\n" not in caught.value.message
    assert "\\x0a" not in caught.value.message
    assert len(caught.value.message) < 600


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


def test_a_category_that_commands_the_terminal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="control characters"):
        open_dataset(esc50(tmp_path / "data", GOOD.replace("dog", "d\x1b[2Jog")))
