"""`escnn predict` as a user meets it."""

import csv
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import soundfile
from conftest import ESCNN, assert_ends, escnn, tone

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "prediction.schema.json").read_text("utf-8"))
Writer = Callable[..., Path]


def test_one_sound_is_one_json_object_on_stdout_and_nothing_else(model: Path, clip: Path) -> None:
    result = escnn("predict", clip)
    assert result.exit_code == 0
    assert result.stderr == ""
    document = json.loads(result.stdout)
    jsonschema.validate(document, SCHEMA)
    assert document["path"] == str(clip)
    assert result.stdout.count("\n") == 1


def test_several_sounds_are_json_lines_with_failures_in_their_place(model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    result = escnn("predict", clip, tmp_path / "bad.wav", tmp_path / "gone.wav", clip)
    assert result.exit_code == 3
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    for document in documents:
        jsonschema.validate(document, SCHEMA)
    assert [document["status"] for document in documents] == ["ok", "error", "error", "ok"]
    assert documents[0]["predictions"] == documents[3]["predictions"]
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "gone.wav: no such file" in errors[1]


def test_missing_treble_is_told_once_a_command_and_with_every_result(write_sound: Writer) -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, 10_000)
    muffled = [write_sound(f"{name}.wav", noise, 2_000) for name in "abc"]
    result = escnn("predict", *muffled)
    for line in result.stdout.splitlines():
        assert "nothing above" in json.loads(line)["warnings"][0]
    one, count = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "a.wav: nothing above" in one
    assert count.startswith("warning: 3 sounds lack treble")
    assert "lack treble" not in escnn("predict", muffled[0]).stderr


def test_the_first_sound_that_is_longer_than_a_window_gets_a_word_on_detect(model: Path, write_sound: Writer) -> None:
    short, *long = [write_sound(f"{seconds}.wav", tone(300, seconds, 8_000)) for seconds in (0.5, 1.1, 1.6)]
    result = escnn("predict", short, *long)
    told = [line for line in result.stderr.splitlines() if "escnn detect" in line]
    assert told == [f"{long[0]}: its scores are means over 3 windows; `escnn detect` finds what sounds when"]
    assert "escnn detect" not in escnn("predict", short).stderr
    assert "escnn detect" not in escnn("predict", *long, "--windows").stderr
    assert escnn("predict", *long, "-q").stderr == ""


def test_windows_that_overlap_come_with_their_start_and_end(model: Path, write_sound: Writer) -> None:
    path = write_sound("long.wav", tone(300, 1.1, 8_000))
    document = json.loads(escnn("predict", path, "--windows", "--hop-seconds", 0.25).stdout)
    jsonschema.validate(document, SCHEMA)
    times = [(window["start_seconds"], window["end_seconds"]) for window in document["window_scores"]]
    assert times == [(0.0, 0.5), (0.25, 0.75), (0.5, 1.0), (0.6, 1.1)]
    table = escnn("predict", path, "--windows", "--hop-seconds", 0.25, "--format", "csv", "--top-k", 1).stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [(float(row["start_seconds"]), float(row["end_seconds"])) for row in rows] == times
    assert_ends(2, "hop of 5 seconds: must be 0.1 to 0.5", "predict", path, "--hop-seconds", 5)


def test_a_sound_on_stdin_scores_as_its_file(model: Path, clip: Path) -> None:
    piped = json.loads(escnn("predict", "-", stdin=clip.read_bytes()).stdout)
    assert piped["path"] == "-"
    assert piped["predictions"] == json.loads(escnn("predict", clip).stdout)["predictions"]


def test_folders_and_lists_are_walked_in_order(model: Path, class_folders: Path, tmp_path: Path, clip: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{clip}\n")
    result = escnn("predict", class_folders / "low", "--files-from", tmp_path / "list.txt")
    paths = [json.loads(line)["path"] for line in result.stdout.splitlines()]
    assert paths == [*sorted(map(str, (class_folders / "low").iterdir())), str(clip)]


def test_what_is_left_out_of_a_folder_is_counted(model: Path, class_folders: Path, tmp_path: Path) -> None:
    sounds, clean = tmp_path / "sounds", tmp_path / "clean"
    for folder in (sounds, clean):
        folder.mkdir()
        shutil.copy(class_folders / "low" / "0.wav", folder)
    (sounds / "notes.txt").write_text("no sound")
    (sounds / ".hidden").mkdir()
    for command in (["predict", sounds], ["visualize", sounds, "--layers", "conv1", "--out", tmp_path / "page"]):
        assert "left out: " in escnn(*command).stderr
        assert "left out" not in escnn(command[0], clean, *command[2:], "--force", "-q").stderr


def test_an_empty_folder_is_called_one(model: Path, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    refused = escnn("predict", tmp_path / "sounds")
    assert refused.exit_code == 3
    assert "is an empty folder" in refused.stderr


def test_csv_reads_back(model: Path, clip: Path, tmp_path: Path) -> None:
    result = escnn("predict", clip, tmp_path / "gone.wav", "--format", "csv", "--top-k", 2)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["path"], row["status"], row["rank"]) for row in rows] == [
        (str(clip), "ok", "1"),
        (str(clip), "ok", "2"),
        (str(tmp_path / "gone.wav"), "error", ""),
    ]
    assert float(rows[0]["score"]) >= float(rows[1]["score"])


def test_a_table_has_a_line_a_sound(model: Path, clip: Path) -> None:
    lines = escnn("predict", clip, clip, "--format", "table").stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].split()[0] == "sound"


def test_out_holds_what_stdout_would_and_is_not_overwritten(model: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    assert escnn("predict", clip, "--out", out).stdout == ""
    assert out.read_text() == escnn("predict", clip).stdout
    assert_ends(7, "--force", "predict", clip, "--out", out)
    assert escnn("predict", clip, "--out", out, "--force").exit_code == 0


def test_predict_goes_on_where_it_was_stopped(model: Path, class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    command = ["predict", class_folders / "low", tmp_path / "bad.wav", class_folders / "high", "--resume", "--out"]
    whole, stopped = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl"
    assert escnn(*command, whole).exit_code == 3
    lines = whole.read_bytes().splitlines(keepends=True)
    assert len(lines) == 21
    for kept in (0, 5, 11, 21):
        stopped.write_bytes(b"".join(lines[:kept]) + (lines[kept][:40] if kept < 21 else b""))
        again = escnn(*command, stopped)
        assert again.exit_code == 3  # one of them is bad, whenever it was read
        assert ("going on after" in again.stderr) == (kept > 0)
        names = [json.loads(line)["path"] for line in stopped.read_bytes().splitlines()]
        assert names == [json.loads(line)["path"] for line in lines]
    for refused in (["--format", "csv", "--out", tmp_path / "a"], [], ["--force", "--out", tmp_path / "a"]):
        assert escnn("predict", class_folders / "low", "--resume", *refused).exit_code == 2


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_failure_before_the_stop_is_told_even_quietly(model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    out = tmp_path / "out.jsonl"
    command = ["predict", tmp_path / "bad.wav", clip, "--resume", "--quiet", "--out", out]
    assert escnn(*command).exit_code == 3
    again = escnn(*command)
    assert again.exit_code == 3
    assert again.stderr == f"warning: {out}: 1 of the sounds named before could not be read\n"


def test_a_thousand_files_a_tenth_of_them_damaged_survive_a_kill(model: Path, clip: Path, tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    whole = clip.read_bytes()
    for number in range(1_000):
        content = b"RIFF" + bytes(60) if number % 10 == 3 else whole
        (sounds / f"{number:04}.wav").write_bytes(content)
    out = tmp_path / "out.jsonl"
    command = [*ESCNN, "predict", str(sounds), "--resume", "--out", str(out), "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out.exists() and out.stat().st_size > 100_000) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    kept = out.read_bytes().count(b"\n")
    assert 0 < kept < 1_000
    again = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    assert again.returncode == 3
    assert len(again.stderr.splitlines()) <= 2_000  # what is wrong with each, and how to mend it
    documents = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert [Path(document["path"]).stem for document in documents] == [f"{number:04}" for number in range(1_000)]
    failed = [number for number, document in enumerate(documents) if document["status"] == "error"]
    assert failed == list(range(3, 1_000, 10))
    assert len({document["predictions"][0]["label"] for document in documents if document["status"] == "ok"}) == 1


def test_every_kind_of_sound_gets_a_prediction(model: Path, write_sound: Writer) -> None:
    samples = tone(440, 0.5, 8_000)
    kinds = [
        write_sound("u8.wav", samples, subtype="PCM_U8"),
        write_sound("24.wav", samples, subtype="PCM_24"),
        write_sound("float.wav", samples, subtype="FLOAT"),
        write_sound("stereo.wav", np.stack([samples, samples], axis=1)),
        write_sound("192k.wav", tone(440, 0.5, 192_000), 192_000),
        write_sound("10ms.wav", tone(440, 0.01, 8_000)),
        write_sound("a.mp3", tone(440, 0.5, 44_100), 44_100),
        write_sound("a.ogg", tone(440, 0.5, 44_100), 44_100),
    ]
    result = escnn("predict", *kinds)
    assert result.exit_code == 0
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["ok"] * len(kinds)


@pytest.mark.real
def test_real_clips_in_a_pipeline(real_data: Path) -> None:
    clips = sorted((real_data / "audio").glob("*.wav"))[:: 1600 // 10][:10]
    piped = subprocess.run([*ESCNN, "predict", *map(str, clips)], capture_output=True, text=True, check=True)
    documents = [json.loads(line) for line in piped.stdout.splitlines()]
    assert [document["path"] for document in documents] == list(map(str, clips))
    for document in documents:
        jsonschema.validate(document, SCHEMA)


@pytest.mark.real
def test_real_clips_cut_short_keep_their_names(real_data: Path, tmp_path: Path) -> None:
    """A clip with its last second cut off keeps its name more often than not."""
    clips = sorted((real_data / "audio").glob("*.wav"))[:: 1600 // 16][:16]
    for clip in clips:
        samples, rate = soundfile.read(clip)
        soundfile.write(tmp_path / clip.name, samples[: 4 * rate], rate)
    whole, cut = (
        [json.loads(line)["predictions"][0]["label"] for line in escnn("predict", *paths).stdout.splitlines()]
        for paths in (clips, [tmp_path / clip.name for clip in clips])
    )
    assert sum(map(str.__eq__, whole, cut)) > len(clips) / 2
