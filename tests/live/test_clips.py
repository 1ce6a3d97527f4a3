"""Clips hold what was heard of an event, named by number and time."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from escnn.live.clips import Heard, LiveClips

RATE = 1_000


def event(start: float, end: float, **more: Any) -> dict[str, Any]:
    times = {"start_seconds": start, "end_seconds": end, "peak_seconds": (start + end) / 2}
    return {"label": "../=dog", "class_id": 3, "score": 0.9, "path": "-", **times, **more}


def heard(seconds: float, **options: float) -> Heard:
    """Every sample holds which second it is of, as hundredths."""
    one = Heard(RATE, **options)
    for part in np.array_split((np.arange(round(seconds * RATE)) // RATE / 100).astype(np.float32), 50):
        one.add(part)
    return one


def test_a_clip_is_the_event_with_a_margin(tmp_path: Path) -> None:
    clips = LiveClips(tmp_path)
    path = clips.write(heard(20), event(5.0, 7.0))
    assert path is not None
    assert path.name == "000001_00-00-04.500.flac"
    samples, rate = soundfile.read(path)
    assert (rate, len(samples)) == (RATE, 3_000)
    assert np.rint(100 * samples[[0, 500, 2_400, 2_999]]).tolist() == [4, 5, 6, 7]
    later = clips.write(heard(20), event(105.0, 107.0, start_time="2024-07-02T06:44:04.600+02:00"), offset=100.0)
    assert later is not None
    assert later.name == "000002_2024-07-02_06-44-04.flac"
    assert np.array_equal(soundfile.read(later)[0], samples)
    rows = list(csv.DictReader((tmp_path / "clips.csv").open(newline="")))
    assert [(row["filename"], row["label"], row["clip_start_seconds"], row["clip_end_seconds"]) for row in rows] == [
        (path.name, "../=dog", "4.5", "7.5"), (later.name, "../=dog", "104.5", "107.5"),
    ]  # fmt: skip


def test_a_long_event_gets_a_minute_around_its_peak_and_one_that_is_gone_none(tmp_path: Path) -> None:
    sound = heard(90, kept_seconds=30)
    samples, first = sound.between(0, 90)
    assert 30 <= len(samples) / RATE <= 32
    assert first == pytest.approx(90 - len(samples) / RATE)
    clips = LiveClips(tmp_path)
    assert clips.write(sound, event(1.0, 9.0)) is None
    whole = clips.write(heard(200, kept_seconds=200), event(20.0, 190.0, peak_seconds=100.0))
    assert whole is not None
    samples, _ = soundfile.read(whole)
    assert len(samples) == 60 * RATE
    assert round(100 * samples[0]) == 70


def test_numbers_go_on_where_clips_are_already(tmp_path: Path) -> None:
    first = LiveClips(tmp_path).write(heard(9), event(2.0, 3.0))
    second = LiveClips(tmp_path).write(heard(9), event(2.0, 3.0))
    third = LiveClips(tmp_path).write(heard(9), event(2.0, 3.0))
    assert [path.name[:6] for path in (first, second, third) if path] == ["000001", "000002", "000003"]
    assert (tmp_path / "clips.csv").read_text().count("filename") == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -7.0])
def test_whatever_comes_a_clip_can_be_written(tmp_path: Path, value: float) -> None:
    sound = Heard(RATE)
    sound.add(np.full(5_000, np.float32(value)))
    assert LiveClips(tmp_path).write(sound, event(1.0, 2.0)) is not None
