"""Tables for spreadsheets: what a cell begins with is somebody's file name, and no formula."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import escnn, tone
from report.evaluation.made_up import small

from escnn.inference.formats import path_cell
from escnn.report.evaluation.folder import save_evaluation

RATE = 8_000
LOW_SCORE = ["--min-score", "0.1", "--merge-seconds", "0"]  # what a network with random weights says
NAMES = ["=cmd|' !A0'.wav", "+1.wav", "-2.wav", "@SUM(1).wav", "\t=1.wav", "\r=1.wav", "plain.wav"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture
def hostile(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with recordings whose names begin as formulas do, and one that is damaged."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(0)
    for name in NAMES:
        sound = 0.01 * rng.standard_normal(3 * RATE).astype(np.float32)
        sound[RATE : 2 * RATE] += tone(700, 1.0, RATE)
        soundfile.write(folder / name, sound, RATE)
    (folder / "=damaged.wav").write_text("no sound")
    return tmp_path


def rows_of(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_no_path_in_a_table_is_a_formula_and_every_path_leads_back(hostile: Path) -> None:
    predicted = rows_of(escnn("predict", ".", "--format", "csv").stdout)
    streamed = rows_of(escnn("detect", ".", *LOW_SCORE, "--format", "csv").stdout)
    clips = ["--clips", hostile / "clips"]
    assert escnn("detect", ".", *LOW_SCORE, "--format", "csv", "--out", hostile / "t.csv", *clips).exit_code == 3
    tables = [
        predicted,
        streamed,
        rows_of((hostile / "t.csv").read_bytes().decode()),
        rows_of((hostile / "clips" / "clips.csv").read_bytes().decode()),
    ]
    for table in tables:
        assert {Path(row["path"]).name for row in table} >= set(NAMES)
        for row in table:
            assert not [cell for cell in row.values() if cell.startswith(FORMULA)]
            assert Path(row["path"]).is_file()
    (failed,) = (row for row in predicted if row["status"] == "error")
    assert failed["error"].startswith("./=damaged.wav: ")
    assert "plain.wav" in {row["path"] for row in streamed}, "others are as they were named"
    raven = hostile / "t.txt"
    assert escnn("detect", ".", *LOW_SCORE, "--format", "raven", "--out", raven).exit_code == 3
    assert not [row for row in rows_of(raven.read_text(), "\t") if row["Begin Path"].startswith(FORMULA)]


def test_what_reads_such_tables_finds_the_recordings(hostile: Path) -> None:
    Path("=damaged.wav").unlink()
    table, out = hostile / "t.csv", hostile / "out"
    assert escnn("detect", ".", *LOW_SCORE, "--format", "csv", "--out", table).exit_code == 0
    assert set(pd.read_csv(table)["path"]) == {path_cell(name) for name in NAMES}
    measured = escnn("evaluate", "--annotations", table, ".", "--out", out, "--json")
    assert measured.exit_code == 0, measured.stderr
    document = json.loads(measured.stdout)
    assert not [said for said in document["problems"] if "not among the recordings" in said]
    assert sum(recording["annotated"] > 0 for recording in document["recordings"]) == len(NAMES)
    for name in ("missed.csv", "false-alarms.csv"):
        assert all(Path(path).is_file() and not path.startswith(FORMULA) for path in pd.read_csv(out / name)["path"])
    assert not pd.read_csv(out / "missed.csv").empty


def test_it_goes_on_after_a_stop_with_such_names(hostile: Path) -> None:
    out, clips = hostile / "e.jsonl", hostile / "clips"
    command = ["detect", ".", *LOW_SCORE, "--out", out, "--clips", clips, "--resume"]
    assert escnn(*command).exit_code == 3
    whole, lines = out.read_text(), out.read_text().splitlines(keepends=True)
    assert json.loads(lines[0])["path"].startswith(FORMULA), "in JSON, a path is as it was named"
    out.write_text("".join(lines[: len(lines) // 2]))
    again = escnn(*command)
    assert (again.exit_code, out.read_text()) == (3, whole), again.stderr


def test_stdin_stays_what_it_is_called(hostile: Path) -> None:
    sound = Path("plain.wav").read_bytes()
    assert {row["path"] for row in rows_of(escnn("predict", "-", "--format", "csv", stdin=sound).stdout)} == {"-"}


def test_clips_of_an_evaluation_are_no_formulas_and_end_no_row(tmp_path: Path) -> None:
    evaluation = small()
    clips = [
        replace(clip, name=f"{NAMES[number % len(NAMES)]}{number}") for number, clip in enumerate(evaluation.clips)
    ]
    save_evaluation(replace(evaluation, clips=clips, sound_warnings=(("\r=1.wav", "cut off"),)), tmp_path)
    told = {
        name: [row["clip"] for row in rows_of((tmp_path / name).read_bytes().decode())]
        for name in ("predictions.csv", "warnings.csv")
    }
    assert told["predictions.csv"] == [path_cell(clip.name) for clip in clips]
    assert told["warnings.csv"] == ["./\r=1.wav"]
    assert not [clip for clip in told["predictions.csv"] if clip.startswith(FORMULA)]
