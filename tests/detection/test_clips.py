"""Events cut out of recordings."""

import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from escnn.data.sources import open_dataset
from escnn.detection.clock import start_time
from escnn.detection.output.clips import ClipFolder, remove_clips

RATE = 8_000
SECONDS = 200
RAMP = (np.arange(SECONDS * RATE) / (SECONDS * RATE) * 0.9 + 0.05).astype(np.float32)  # every moment has its value


def event(start: float, end: float, label: str = "dog", **more: Any) -> dict[str, Any]:
    return {
        "schema": "escnn.event/1", "path": "a.wav", "start_seconds": start, "end_seconds": end,
        "peak_seconds": (start + end) / 2, "label": label, "class_id": 0, "score": 0.7, **more,
    }  # fmt: skip


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, RAMP, RATE, "FLOAT")
    return path


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "clips.csv")


def test_every_clip_holds_its_event_and_a_margin_to_the_sample(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    # the first two overlap, the third begins before the margin of the start and the last ends after that of the end
    events = [event(10, 12), event(11.25, 40.125, "cat"), event(0.2, 0.9), event(198, 200, "cat")]
    ClipFolder(folder).cut(recording, "a.wav", events)
    rows = table(folder)
    assert list(rows["filename"]) == [
        "000001_00-00-09.500.flac", "000002_00-00-10.750.flac", "000003_00-00-00.000.flac", "000004_00-03-17.500.flac",
    ]  # fmt: skip
    assert list(rows["label"]) == ["dog", "cat", "dog", "cat"]
    assert list(zip(rows["clip_start_seconds"], rows["clip_end_seconds"], strict=True)) == [
        (9.5, 12.5), (10.75, 40.625), (0, 1.4), (197.5, 200),
    ]  # fmt: skip
    assert list(rows["end_seconds"]) == [12, 40.125, 0.9, 200]
    for _, row in rows.iterrows():
        samples, rate = soundfile.read(folder / row["filename"], dtype="float32")
        first, end = (round(row[f"clip_{name}_seconds"] * RATE) for name in ("start", "end"))
        assert rate == RATE
        np.testing.assert_allclose(samples, RAMP[first:end], atol=2**-23)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*rows["filename"], "clips.csv"])


def test_of_a_long_event_the_clip_is_what_lies_around_its_peak(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    peaks = [event(10, 190, peak_seconds=peak) for peak in (12, 100, 189)]
    ClipFolder(folder).cut(recording, "a.wav", peaks)
    rows = table(folder)
    assert list(zip(rows["clip_start_seconds"], rows["clip_end_seconds"], strict=True)) == [
        (9.5, 69.5), (70, 130), (130.5, 190.5),
    ]  # fmt: skip
    assert {soundfile.info(folder / name).frames for name in rows["filename"]} == {60 * RATE}


def test_a_clip_of_known_time_is_named_by_it_and_tells_it(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    begun = datetime(2024, 7, 2, 23, 59, 0)
    starts = [(begun + timedelta(seconds=at)).isoformat(timespec="milliseconds") for at in (62.5, 120.25)]
    events = [event(62.5, 64, start_time=starts[0]), event(120.25, 121, start_time=f"{starts[1]}+02:00")]
    ClipFolder(folder).cut(recording, "a.wav", events)
    names = list(table(folder)["filename"])
    assert names == ["000001_2024-07-03_00-00-02.flac", "000002_2024-07-03_00-00-59.flac"]
    assert start_time(names[0]) == datetime(2024, 7, 3, 0, 0, 2)
    assert start_time("000001_00-00-09.500.flac") is None


def test_numbers_go_on_after_what_was_cut_before(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    ClipFolder(folder).cut(recording, "a.wav", [event(10, 12), event(20, 22)])
    before = (folder / "clips.csv").read_bytes()
    again = ClipFolder(folder, 2)
    assert (folder / "clips.csv").read_bytes() == before
    again.cut(recording, "a.wav", [event(30, 32)])
    assert list(table(folder)["filename"])[2:] == ["000003_00-00-29.500.flac"]
    ClipFolder(folder, 2)  # the third was of a recording that was not ended
    assert (folder / "clips.csv").read_bytes() == before


def test_what_cannot_be_read_to_its_end_gives_the_clips_before_that(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    cutter = ClipFolder(folder)
    cutter.cut(tmp_path / "gone.wav", "gone.wav", [event(10, 12)])
    assert table(folder).empty
    half = io.BytesIO()
    soundfile.write(half, RAMP[: 11 * RATE], RATE, format="WAV")
    cutter.cut(half.getvalue(), "-", [event(2, 3), event(10, 12), event(50, 52)])
    rows = table(folder)
    assert list(rows["filename"]) == ["000002_00-00-01.500.flac", "000003_00-00-09.500.flac"]
    assert list(rows["clip_end_seconds"]) == [3.5, 11.0]


def test_hostile_labels_stay_in_their_cells_and_the_folder_is_a_data_set(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    labels = ["../../etc", 'a,"b"', "=1+1", "dog"] * 3
    events = [event(5 * at + 1, 5 * at + 2, label) for at, label in enumerate(labels)]
    ClipFolder(folder).cut(recording, "a\n.wav", events)
    dataset = open_dataset(folder)
    assert sorted(dataset.labels) == sorted(set(labels))
    assert [dataset.labels[clip.class_id] for clip in dataset.clips] == labels


def test_only_our_own_clips_are_removed(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    ClipFolder(folder).cut(recording, "a.wav", [event(10, 12), event(20, 22)])
    (folder / "000001_00-00-09.500.png").touch()
    (folder / ".000002_00-00-19.500.flac.0123abcd.0123abcd.part").touch()
    for name in ("000009_00-00-09.500.flac", "notes.txt"):
        (folder / name).touch()
    (tmp_path / "000007_1.flac").touch()
    with (folder / "clips.csv").open("a") as file:
        file.write("../000007_1.flac,dog\nnotes.txt,dog\n,\n")
    remove_clips(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["000009_00-00-09.500.flac", "notes.txt"]
    assert (tmp_path / "000007_1.flac").exists()
    remove_clips(tmp_path / "never there")
