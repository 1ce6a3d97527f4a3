"""The chapters in docs/ do what they say: their commands are run in order, in a shell, on recordings made for them."""

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from escnn.audio.demo_sounds import DEMO_SOUNDS, RATE

NIGHT = (Path(__file__).parent.parent / "docs" / "night.md").read_text("utf-8")
SECONDS = 50


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", NIGHT, re.DOTALL)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Wind of a kind, with what the chapter's own table says planted in it; and a file that the recorder left empty."""
    (heard,) = blocks("csv")
    (tmp_path / "heard.csv").write_text(heard)
    rows = list(csv.DictReader(io.StringIO(heard)))
    folder = tmp_path / "card"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in dict.fromkeys(row["file"] for row in rows):
        sound = 0.001 * rng.standard_normal(SECONDS * RATE)
        for row in rows:
            if row["file"] == name:
                planted = DEMO_SOUNDS[row["label"].replace(" ", "_")]()
                start = round(float(row["start"]) * RATE)
                sound[start : start + len(planted)] += 0.3 * planted / np.abs(planted).max()
        soundfile.write(folder / name, sound, RATE)
    (folder / "20240703_010000.WAV").touch()
    return folder


@pytest.mark.slow
def test_a_night_of_recordings(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(card.parent)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.delenv("ESCNN_MODEL", raising=False)
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 10
    said = {}
    for command in commands:
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        reads_the_empty_file = command.startswith("escnn") and " card/ " in command
        assert done.returncode == (3 if reads_the_empty_file else 0), f"{command}\n{done.stderr}"
        said[command] = done.stdout
    (counted,) = blocks("text")
    assert sorted(counted.split("\n")[:2]) == sorted(said[commands[3]].split("\n")[:2])
    assert "20240703_010000.WAV" in said[commands[1]]
    night = pd.read_csv("night.csv")
    assert set(night["start_time"].str[-6:]) == {"+02:00"}
    assert len(pd.read_csv("sirens/clips.csv")) == len(list(Path("sirens").glob("*.png"))) == 6
    assert len(Path("22h.txt").read_text().splitlines()) == 4
    sure = pd.read_csv("sure.csv")
    assert set(sure["label"]) == {"siren", "church_bells"}
    assert "<title>" in Path("checked/report.html").read_text("utf-8")
