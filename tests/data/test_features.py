"""Log-mels of a data set are computed once and kept, until a clip or a setting changes."""

import os
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import safetensors.numpy
import soundfile
from conftest import SMALL_AUDIO, tone

from escnn.audio.decoding import load_audio
from escnn.cache import cache_folder
from escnn.data.features import load_features
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test left is not there for another: log-mels are known by content, wherever it lies."""
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path / "cache"))


def log_mels(windows: np.ndarray) -> np.ndarray:
    """Some picture of waveforms (windows, time): (windows, mels, frames), its axes swapped in memory as torch's are."""
    mels, frames = SMALL_AUDIO.n_mels, SMALL_AUDIO.frames
    levels = windows[:, : mels * frames * 3].reshape(len(windows), frames, mels, 3).mean(axis=3)
    return 100 * levels.swapaxes(1, 2)


def test_cached_features_are_the_log_mels_of_the_clips(class_folders: Path, tmp_path: Path) -> None:
    dataset = open_dataset(class_folders)
    calls: list[tuple[int, int]] = []
    features = load_features(dataset, SMALL_AUDIO, log_mels, lambda done, total: calls.append((done, total)))
    assert features.decibels.shape == (30, SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)
    samples = load_audio(dataset.clips[4].path, SMALL_AUDIO.sample_rate).samples
    assert features.decibels.dtype == np.float16
    np.testing.assert_array_equal(features.decibels[4], log_mels(samples[None])[0].astype(np.float16))
    assert calls[-1] == (30, 30)

    calls.clear()
    moved = open_dataset(shutil.copytree(class_folders, tmp_path / "data"))
    again = load_features(moved, SMALL_AUDIO, log_mels, lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(again.decibels, features.decibels)
    np.testing.assert_array_equal(again.clip, np.arange(30))
    assert calls == []  # nothing was read again


def test_a_changed_clip_or_setting_makes_the_cache_stale(class_folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    before = load_features(open_dataset(root), SMALL_AUDIO, log_mels)
    clip = open_dataset(root).clips[0].path
    soundfile.write(clip, tone(2_000, 0.5, 8_000), 8_000)
    os.utime(clip, ns=(1, 1))
    after = load_features(open_dataset(root), SMALL_AUDIO, log_mels)
    assert not np.array_equal(before.decibels[0], after.decibels[0])
    np.testing.assert_array_equal(before.decibels[1:], after.decibels[1:])
    calls: list[int] = []
    quieter = msgspec.structs.replace(SMALL_AUDIO, floor_db=-100.0)
    load_features(open_dataset(root), quieter, log_mels, lambda done, total: calls.append(done))
    assert calls == [*range(1, 31)]


def test_clips_of_equal_size_and_time_exchanged_are_read_again(class_folders: Path, tmp_path: Path) -> None:
    """As archives leave them: training would go on with the old sounds."""
    root = shutil.copytree(class_folders, tmp_path / "data")
    low, high = root / "low" / "3.wav", root / "high" / "3.wav"
    os.utime(low, ns=(1, 1))
    os.utime(high, ns=(1, 1))
    before = load_features(open_dataset(root), SMALL_AUDIO, log_mels)
    contents = low.read_bytes(), high.read_bytes()
    assert len(contents[0]) == len(contents[1])
    high.write_bytes(contents[0])
    low.write_bytes(contents[1])
    os.utime(low, ns=(1, 1))
    os.utime(high, ns=(1, 1))
    after = load_features(open_dataset(root), SMALL_AUDIO, log_mels)
    names = [clip.name for clip in open_dataset(root).clips]
    one, other = names.index("low/3.wav"), names.index("high/3.wav")
    np.testing.assert_array_equal(after.decibels[one], before.decibels[other])
    np.testing.assert_array_equal(after.decibels[other], before.decibels[one])


def test_a_clip_that_changes_while_it_is_read_is_not_kept_as_what_it_was(class_folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    dataset = open_dataset(root)
    shutil.copy(root / "low" / "0.wav", root / "high" / "0.wav")
    with pytest.raises(DatasetError, match=r"high/0\.wav changed"):
        load_features(dataset, SMALL_AUDIO, log_mels)


def test_long_clips_become_several_windows_of_one_clip(tmp_path: Path) -> None:
    for label, seconds in {"long": 1.2, "short": 0.2}.items():
        (tmp_path / label).mkdir()
        for number in range(2):
            soundfile.write(tmp_path / label / f"{number}.wav", tone(440 + number, seconds, 8_000), 8_000)
    features = load_features(open_dataset(tmp_path), SMALL_AUDIO, log_mels)
    assert features.clip.tolist() == [0, 0, 0, 1, 1, 1, 2, 3]
    assert features.windows_of(np.array([1, 3])).tolist() == [3, 4, 5, 7]


def test_clips_that_cannot_be_read_are_counted_and_named(class_folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    (root / "low" / "0.wav").write_bytes(b"not a sound")
    soundfile.write(root / "low" / "1.wav", np.zeros(800), 8_000)
    with pytest.raises(DatasetError, match=r"2 of 30 clips.*0\.wav.*1\.wav"):
        load_features(open_dataset(root), SMALL_AUDIO, log_mels)


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "other tensors", "another type"])
def test_a_damaged_cache_is_removed_and_said(class_folders: Path, damage: str) -> None:
    dataset = open_dataset(class_folders)
    load_features(dataset, SMALL_AUDIO, log_mels)
    (path,) = (cache_folder() / "features").glob("*.safetensors")
    if damage == "other tensors":
        safetensors.numpy.save_file({"decibels": np.zeros((1, 1, 1), np.float16)}, path)
    elif damage == "another type":
        safetensors.numpy.save_file({"decibels": np.zeros((1, 1, 1)), "clip": np.zeros(1, np.int32)}, path)
    else:
        path.write_bytes({"text": b"damaged", "empty": b"", "cut": path.read_bytes()[:-100]}[damage])
    with pytest.raises(DatasetError, match="damaged feature cache") as caught:
        load_features(dataset, SMALL_AUDIO, log_mels)
    assert "removed" in (caught.value.hint or "")
    assert load_features(dataset, SMALL_AUDIO, log_mels).decibels.shape[0] == 30
