"""`escnn detect` over hours of sound and thousands of files: everything planted is found, memory stays flat."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from escnn.audio.demo_sounds import DEMO_SOUNDS, RATE

pytestmark = pytest.mark.slow

MOST_MEGABYTES = 400
WRAPPED = """
import re, sys
from escnn.cli.app import main
try:
    main()
finally:
    print("peak", re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def detect(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`escnn detect`, in a process of its own that says how much memory it has needed."""
    command = [sys.executable, "-c", WRAPPED, "detect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def megabytes(done: subprocess.CompletedProcess[str]) -> float:
    found = re.search(r"peak (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1]) / 1024


def planted(number: int) -> list[tuple[float, str]]:
    """When which sound begins in a recording, in seconds."""
    rng = np.random.default_rng(number)
    places = 60.0 * np.arange(60) + rng.uniform(2, 50, 60)
    return [(round(place, 2), ("siren", "church_bells")[at % 2]) for at, place in enumerate(places.tolist()) if at % 3]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of an hour, with sirens and bells in a quiet noise."""
    folder = tmp_path_factory.mktemp("hours")
    for number in range(3):
        rng = np.random.default_rng([7, number])
        sounds = {name: 0.3 * make() / np.abs(make()).max() for name, make in DEMO_SOUNDS.items()}
        with soundfile.SoundFile(folder / f"2024070{number + 1}_220000.flac", "w", RATE, 1, "PCM_16") as file:
            events = planted(number)
            for minute in range(60):
                block = 0.001 * rng.standard_normal(60 * RATE, dtype=np.float32)
                for start, label in events:
                    if minute == start // 60:
                        first = round((start - 60 * minute) * RATE)
                        block[first : first + len(sounds[label])] += sounds[label]
                file.write(block)
    return folder


def test_three_hours_end_to_end_and_after_a_kill(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "whole.jsonl"
    done = detect(night, "--out", out)
    assert done.returncode == 0, done.stderr
    assert megabytes(done) < MOST_MEGABYTES
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    for number in range(3):
        path = str(night / f"2024070{number + 1}_220000.flac")
        (end,) = (line for line in lines if line["path"] == path and line["schema"] == "escnn.recording/1")
        assert (end["status"], end["duration_seconds"]) == ("ok", 3600.0)
        found = [line for line in lines if line["path"] == path and line["schema"] == "escnn.event/1"]
        for start, label in planted(number):
            near = [event["start_seconds"] for event in found if event["label"] == label]
            assert min(abs(begun - start) for begun in near) < 1.0, f"{label} at {start} s"
    # killed some way into the second recording, the same command goes on there
    again = tmp_path / "again.jsonl"
    process = subprocess.Popen([sys.executable, "-m", "escnn", "detect", str(night), "--out", str(again), "--resume"])
    for _ in range(600):
        time.sleep(0.1)
        if again.exists() and again.read_bytes().count(b"_220000.flac") > 60:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < again.stat().st_size < out.stat().st_size
    assert detect(night, "--out", again, "--resume").returncode == 0
    assert again.read_bytes() == out.read_bytes()


def test_two_thousand_files_of_which_some_are_damaged(small_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    rng = np.random.default_rng(0)
    damaged = set(rng.permutation(2_000)[:20].tolist())
    for number in range(2_000):
        path = folder / f"{number:04d}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(4_000), 8_000)
        if number in damaged:
            path.write_bytes(path.read_bytes()[: 20 + number % 24])
    out = tmp_path / "out.jsonl"
    done = detect(folder, "--out", out, "--model", small_model, "--min-score", "0.3")
    assert done.returncode == 3
    ends = [json.loads(line) for line in out.read_text().splitlines() if "escnn.recording/1" in line]
    assert [Path(end["path"]).name for end in ends] == [f"{number:04d}.wav" for number in range(2_000)]
    assert {number for number, end in enumerate(ends) if end["status"] == "error"} == damaged
    assert "20 of 2000 recordings could not be read" in done.stderr
    assert megabytes(done) < MOST_MEGABYTES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "out.jsonl"]
