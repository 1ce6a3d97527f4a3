"""`escnn detect` as a user meets it."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
import soundfile
from cli.commands.conftest import LOW_SCORE, RATE
from conftest import SMALL_AUDIO, assert_ends, documents, escnn
from PIL import Image

from escnn.detection.output.formats import schema
from escnn.detection.thresholds import write_thresholds
from escnn.model.model_file import read_model


def test_every_line_keeps_the_schema_and_every_recording_has_an_end(night: Path) -> None:
    done = escnn("detect", night, *LOW_SCORE)
    assert done.exit_code == 3
    lines = documents(done.stdout)
    for line in lines:
        jsonschema.validate(line, schema())
    ends = [line for line in lines if line["schema"] == "escnn.recording/1"]
    assert [(end["path"], end["status"]) for end in ends] == [
        (str(night / "A_20240702_064404.wav"), "ok"),
        (str(night / "B_20240702_070000.wav"), "ok"),
        (str(night / "C.wav"), "error"),
    ]
    assert [end["duration_seconds"] for end in ends] == [6.0, 2.0, None]
    events = [line for line in lines if line["schema"] == "escnn.event/1"]
    assert events
    for end in ends:
        mine = [event for event in events if event["path"] == end["path"]]
        assert len(mine) == end["events"]
        assert all(0 <= event["start_seconds"] <= event["peak_seconds"] for event in mine)
        assert all(event["end_seconds"] <= (end["duration_seconds"] or 0) for event in mine)
    assert "C.wav" in done.stderr


def test_the_schema_in_the_docs_is_that_of_what_is_written() -> None:
    kept = Path(__file__).parents[3] / "docs" / "detection.schema.json"
    assert json.loads(kept.read_text("utf-8")) == schema()


def test_clock_times_come_from_names(night: Path) -> None:
    lines = documents(escnn("detect", night, *LOW_SCORE).stdout)
    of_first = [line for line in lines if "A_2024" in line["path"]]
    assert all(line["start_time"].startswith("2024-07-02T06:44:") for line in of_first)
    assert of_first[-1]["start_time"] == "2024-07-02T06:44:04.000"
    assert "start_time" not in lines[-1]
    zoned = documents(escnn("detect", night, *LOW_SCORE, "--time-zone", "Europe/Rome").stdout)
    assert zoned[0]["start_time"].endswith("+02:00")


def test_a_time_that_a_zone_has_twice_is_doubted_once_a_recording(night: Path, tmp_path: Path) -> None:
    (night / "A_20240702_064404.wav").rename(night / "A_20241027_023000.wav")
    page, command = tmp_path / "page", ["detect", night, *LOW_SCORE, "--time-zone", "Europe/Berlin"]
    done = escnn(*command, "--page", page)
    doubt = "began at 2024-10-27 02:30:00, which Europe/Berlin has twice"
    assert done.stderr.count(doubt) == 1
    assert f"warning: {night / 'A_20241027_023000.wav'}: {doubt}" in done.stderr
    warnings = [line["warnings"] for line in documents(done.stdout) if line["schema"] == "escnn.recording/1"]
    assert [len(of_one) for of_one in warnings] == [1, 0, 0]
    assert warnings[0][0].startswith(doubt)
    assert documents(done.stdout)[0]["start_time"].startswith("2024-10-27T02:3")
    assert "has twice" not in escnn(*command[:-2]).stderr, "local time, of no zone"


def test_torch_finds_what_onnx_finds(night: Path) -> None:
    ours, theirs = (
        documents(escnn("detect", night, *LOW_SCORE, "--runtime", kind).stdout) for kind in ("onnx", "torch")
    )
    assert [line["settings"]["runtime"] for line in theirs if "settings" in line] == ["torch"] * 3
    for mine, other in zip(ours, theirs, strict=True):
        for name in ("path", "start_seconds", "end_seconds", "label", "status", "events"):
            assert mine.get(name) == other.get(name)


def test_nothing_found_is_not_the_same_as_not_read(night: Path) -> None:
    lines = documents(escnn("detect", night, "--min-score", "1").stdout)
    assert [(line["status"], line["events"]) for line in lines] == [("ok", 0), ("ok", 0), ("error", 0)]


def test_csv_and_raven_are_read_back_as_what_was_found(night: Path, tmp_path: Path) -> None:
    lines = documents(escnn("detect", night, *LOW_SCORE).stdout)
    found = [(e["path"], e["start_seconds"], e["label"]) for e in lines if e["schema"] == "escnn.event/1"]
    for kind in ("csv", "raven"):
        out = tmp_path / f"events.{kind}"
        assert escnn("detect", night, *LOW_SCORE, "--format", kind, "--out", out).exit_code == 3
        table = pd.read_csv(out, sep="," if kind == "csv" else "\t")
        names = ("path", "start_seconds", "label") if kind == "csv" else ("Begin Path", "Begin Time (s)", "Species")
        assert sorted(zip(*(table[name] for name in names), strict=True)) == sorted(found)
        assert {path.name for path in tmp_path.iterdir()} >= {out.name}
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert "start_time" in pd.read_csv(tmp_path / "events.csv").columns
    raven = pd.read_csv(tmp_path / "events.raven", sep="\t")
    assert set(raven["Low Freq (Hz)"]) == {SMALL_AUDIO.f_min}
    times = ("Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)")
    assert {str(raven[name].dtype) for name in times} == {"float64"}  # as crowsetta demands it
    assert set(raven["High Freq (Hz)"]) == {SMALL_AUDIO.f_max}
    streamed = list(csv.DictReader(io.StringIO(escnn("detect", night, *LOW_SCORE, "--format", "csv").stdout)))
    assert all(row["start_time"].startswith("2024-07-02T0") for row in streamed)
    assert sorted((r["path"], float(r["start_seconds"]), r["label"]) for r in streamed) == sorted(found)


def test_parquet_has_types_whatever_was_found(night: Path, tmp_path: Path) -> None:
    lines = documents(escnn("detect", night, *LOW_SCORE).stdout)
    for name, score in (("all", LOW_SCORE), ("none", ["--min-score", "1"])):
        out = tmp_path / f"{name}.parquet"
        assert escnn("detect", night, *score, "--format", "parquet", "--out", out).exit_code == 3
        types = {column: str(dtype) for column, dtype in pd.read_parquet(out).dtypes.items()}
        assert (types["start_seconds"], types["score"], types["class_id"]) == ("float64", "float64", "int32")
        assert types["path"] == types["start_time"] == types["label"]
    found = pd.read_parquet(tmp_path / "all.parquet")
    for name in ("path", "end_seconds", "label", "class_id", "score", "end_time"):
        assert sorted(found[name]) == sorted(line[name] for line in lines if line["schema"] == "escnn.event/1")
    assert pd.read_parquet(tmp_path / "none.parquet").empty


def test_parquet_without_its_library_is_refused_before_any_work(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused = escnn("detect", night, "--format", "parquet", "--out", tmp_path / "a.parquet", "--model", "never opened")
    assert refused.exit_code == 2
    assert "pip install 'escnn-audio[parquet]'" in refused.stderr


def test_a_label_track_of_audacity_is_of_one_recording(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.txt"
    one = night / "A_20240702_064404.wav"
    assert escnn("detect", one, *LOW_SCORE, "--format", "audacity", "--out", out).exit_code == 0
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert rows
    assert all(len(row) == 3 and 0 <= float(row[0]) <= float(row[1]) <= 6 for row in rows)
    before = set(tmp_path.iterdir())
    refused = escnn("detect", night, "--format", "audacity", "--out", tmp_path / "all.txt", "--model", "never opened")
    assert refused.exit_code == 2
    assert "one recording" in refused.stderr
    assert set(tmp_path.iterdir()) == before


def test_only_the_classes_asked_for_are_told(night: Path) -> None:
    every = documents(escnn("detect", night, *LOW_SCORE).stdout)
    labels = {line["label"] for line in every if "label" in line}
    assert len(labels) > 1
    one = documents(escnn("detect", night, *LOW_SCORE, "--class", "high").stdout)
    assert {line["label"] for line in one if "label" in line} == {"high"}
    assert_ends(2, "high", "detect", night, "--class", "hihg")


def test_a_recording_on_stdin(night: Path) -> None:
    sound = (night / "A_20240702_064404.wav").read_bytes()
    done = escnn("detect", "-", *LOW_SCORE, stdin=sound)
    assert done.exit_code == 0
    assert {line["path"] for line in documents(done.stdout)} == {"-"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "raven"], "--out"),
        (["--format", "parquet"], "--out"),
        (["--resume"], "--out"),
        (["--resume", "--out", "x", "--force"], "--force"),
        (["--min-score", "1.5"], "min-score"),
        (["--start-time", "yesterday"], "no time"),
        (["--start-time", "2024-07-02T06:44:04"], "of one recording, and there are"),
        (["--time-zone", "Atlantis"], "no such time zone"),
        (["--time-pattern", "%Q"], "not understood"),
    ],
)
def test_what_cannot_be_is_refused(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = escnn("detect", night, *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"night"}


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_pipe_is_written_into_and_is_still_there(night: Path, tmp_path: Path, kind: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    assert escnn("detect", night, *LOW_SCORE, "--format", kind, "--out", pipe).exit_code == 3
    reader.join()
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["night", "pipe"]
    assert got[0].splitlines() == escnn("detect", night, *LOW_SCORE, "--format", kind).stdout.splitlines()
    for refused in (["--resume"], ["--format", "raven"], ["--force", "--format", "parquet"]):
        assert escnn("detect", night, "--out", pipe, *refused).exit_code == 2
        assert pipe.is_fifo()


def test_what_is_there_is_not_replaced_unless_asked(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("of last year")
    assert escnn("detect", night, "--out", out).exit_code == 7
    assert out.read_text() == "of last year"
    assert escnn("detect", night, "--out", out, "--resume").exit_code == 7  # no journal of ours
    assert out.read_text() == "of last year"
    assert escnn("detect", night, "--out", out, "--force").exit_code == 3
    assert documents(out.read_text())
    assert_ends(2, "one of the sounds", "detect", night, "--out", night / "C.wav", "--force")


def test_what_a_stopped_command_had_found_for_a_table_is_not_thrown_away(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "events.csv"
    command = ["detect", night, *LOW_SCORE, "--format", "csv", "--out", out]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("escnn.detection.output.tables.write_table", stop)
        assert escnn(*command).exit_code == 130
    (kept,) = (path for path in tmp_path.iterdir() if path.name.endswith(".journal"))
    before = kept.read_bytes()
    assert before.count(b"escnn.recording/1") == 3
    assert_ends(7, "--resume", *command)
    assert kept.read_bytes() == before
    assert escnn(*command, "--resume").exit_code == 3
    assert out.exists()
    assert not kept.exists()


def test_thresholds_of_single_classes_are_kept_with_the_results(night: Path, tmp_path: Path) -> None:
    every = [line for line in documents(escnn("detect", night, *LOW_SCORE).stdout) if "label" in line]
    label = every[0]["label"]
    scores = sorted(line["score"] for line in every if line["label"] == label)
    (tmp_path / "t.csv").write_text(f"label,threshold\n{label},{scores[-1] + 0.0001:.4f}\n")
    out = tmp_path / "out.jsonl"
    command = ["detect", night, *LOW_SCORE, "--out", out, "--thresholds", tmp_path / "t.csv"]
    assert escnn(*command).exit_code == 3
    lines = documents(out.read_text())
    for line in lines:
        jsonschema.validate(line, schema())
    assert [line for line in lines if "label" in line] == [line for line in every if line["label"] != label]
    assert lines[-1]["settings"]["thresholds"] == {label: round(scores[-1] + 0.0001, 4)}
    (tmp_path / "t.csv").write_text(f"{label},0.2\n")
    assert_ends(2, "thresholds", *command, "--resume")
    (tmp_path / "t.csv").write_text("sousaphone,0.2\n")
    assert "no class 'sousaphone'" in escnn("detect", night, "--thresholds", tmp_path / "t.csv").stderr
    assert escnn("detect", night, "--thresholds", tmp_path / "gone", "--model", "never opened").exit_code == 2


def test_thresholds_of_another_model_are_used_with_a_word(model: Path, night: Path, tmp_path: Path) -> None:
    path, sound = tmp_path / "t.json", night / "A_20240702_064404.wav"
    commands = (["detect", sound], ["listen", "-"])
    write_thresholds(path, {"low": 0.9}, {"model": "theirs", "weights_sha256": "ab" * 32})
    for command in commands:
        done = escnn(*command, "--thresholds", path, stdin=sound.read_bytes())
        assert done.exit_code == 0
        assert f"warning: {path}: made for the model theirs (abababababab), not for" in done.stderr
        assert documents(done.stdout)[-1]["settings"]["thresholds"] == {"low": 0.9}
    write_thresholds(path, {"dog": 0.9}, {"model": "theirs", "weights_sha256": "ab" * 32})
    for command in commands:
        refused = escnn(*command, "--thresholds", path, stdin=sound.read_bytes())
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "made for the model theirs" in refused.stderr, "that is why there is no such class"
        assert "no class 'dog'" in refused.stderr
    write_thresholds(path, {"low": 0.9}, {"weights_sha256": read_model(model).card.weights_sha256})
    for command in commands:
        assert "made for" not in escnn(*command, "--thresholds", path, stdin=sound.read_bytes()).stderr


def test_clips_lead_back_to_where_they_come_from_and_go_on_after_a_stop(night: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "out.jsonl", tmp_path / "clips"
    command = ["detect", night, *LOW_SCORE, "--out", out, "--clips", folder, "--spectrograms"]
    assert escnn(*command).exit_code == 3
    lines = [line for line in documents(out.read_text()) if line["schema"] == "escnn.event/1"]
    table = pd.read_csv(folder / "clips.csv")
    for name in ("path", "start_seconds", "label", "score", "start_time"):
        assert list(table[name]) == [line[name] for line in lines]
    pictures = {path.stem for path in folder.glob("*.png")}
    assert pictures == {Path(name).stem for name in table["filename"]}
    for name, start, end in zip(table["filename"], table["clip_start_seconds"], table["clip_end_seconds"], strict=True):
        assert soundfile.info(folder / name).duration == pytest.approx(end - start, abs=1 / RATE)
        with Image.open((folder / name).with_suffix(".png")) as picture:
            assert picture.size == (1500, 600)

    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert escnn(*command[:-1]).exit_code == 7  # out.jsonl is there
    refused = escnn(*command, "--force", "--out", tmp_path / "other.jsonl")
    assert refused.exit_code == 3
    text = out.read_text().splitlines(keepends=True)
    ends = [number for number, line in enumerate(text) if "escnn.recording/1" in line]
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / ".clips.csv.d647edc2.0123abcd.part").touch()
    (tmp_path / "b.jsonl").touch()
    resumed = ["detect", night, *LOW_SCORE, "--out", tmp_path / "b.jsonl", "--clips", begun, "--resume"]
    assert escnn(*resumed).exit_code == 3
    assert {path.name for path in begun.iterdir()} == {name for name in whole if not name.endswith(".png")}
    for kept in (0, 1, ends[0], ends[0] + 1, ends[0] + 2, len(text)):
        out.write_text("".join(text[:kept]))
        for path in sorted(folder.glob("00000[2-9]*")):
            path.unlink()
        (folder / ".000003_00-00-19.500.flac.0123abcd.0123abcd.part").touch()
        for name in [name for name in whole if kept > ends[0] and (folder / name).exists() is False]:
            (folder / name).write_bytes(whole[name])  # what belongs to recordings that were ended is there
        assert escnn(*command, "--resume").exit_code == 3
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_clips_of_another_detection_are_neither_gone_on_with_nor_removed(night: Path, tmp_path: Path) -> None:
    one, other = night / "A_20240702_064404.wav", night / "B_20240702_070000.wav"
    folder, out = tmp_path / "clips", tmp_path / "a.jsonl"
    assert escnn("detect", one, *LOW_SCORE, "--out", out, "--clips", folder).exit_code == 0
    table = folder / "clips.csv"
    table.write_text(table.read_text().replace(",low,", ",corrected,"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    new = escnn("detect", other, *LOW_SCORE, "--out", tmp_path / "b.jsonl", "--clips", folder, "--resume")
    assert new.exit_code == 7
    assert escnn("detect", other, *LOW_SCORE, "--out", tmp_path / "b.jsonl").exit_code == 0
    refused = escnn("detect", other, *LOW_SCORE, "--out", tmp_path / "b.jsonl", "--clips", folder, "--resume")
    assert refused.exit_code == 7
    assert "of another detection" in refused.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    refused = escnn("detect", other, *LOW_SCORE, "--out", tmp_path / "b.jsonl", "--clips", tmp_path / "c", "--resume")
    assert refused.exit_code == 7
    assert "no clips of what was found before" in refused.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "clips.csv").write_text("filename,label\nkeep.wav,dog\n")
    foreign = ["--out", out, "--clips", tmp_path / "mine", "--resume"]
    assert escnn("detect", one, *LOW_SCORE, *foreign).exit_code == 7
    assert (tmp_path / "mine" / "clips.csv").read_text() == "filename,label\nkeep.wav,dog\n"


@pytest.mark.parametrize("option", ["--clips", "--page"])
def test_two_do_not_write_into_one_folder(night: Path, tmp_path: Path, option: str) -> None:
    folder = tmp_path / "folder"
    code = "import sys; from pathlib import Path; from escnn import files\n"
    code += "with files.claimed(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    held = [sys.executable, "-c", code, str(folder.resolve())]
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        refused = escnn("detect", night, *LOW_SCORE, option, folder)
        other.communicate()
    assert refused.exit_code == 7
    assert "another process" in refused.stderr
    assert not folder.exists()
    assert escnn("detect", night, *LOW_SCORE, option, folder).exit_code == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_resume_neither_replaces_a_table_nor_takes_stdin_for_done(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.csv"
    out.write_text("precious")
    refused = escnn("detect", night, "--format", "csv", "--out", out, "--resume")
    assert refused.exit_code == 7
    assert out.read_text() == "precious"
    assert_ends(2, "stdin", "detect", "-", "--out", tmp_path / "s.jsonl", "--resume", stdin=b"")


def test_clips_of_stdin_and_of_a_recording_that_is_named(night: Path, tmp_path: Path) -> None:
    one = night / "A_20240702_064404.wav"
    assert escnn("detect", one, *LOW_SCORE, "--clips", tmp_path / "a").exit_code == 0
    assert escnn("detect", "-", *LOW_SCORE, "--clips", tmp_path / "b", stdin=one.read_bytes()).exit_code == 0
    a, b = (sorted((tmp_path / name).glob("*.flac")) for name in "ab")
    assert [path.read_bytes() for path in a] == [path.read_bytes() for path in b]
    assert "_2024-07-02_06-44-" in a[0].name
    assert set(pd.read_csv(tmp_path / "b" / "clips.csv")["path"]) == {"-"}


@pytest.mark.parametrize(
    ("folder", "arguments", "code", "said"),
    [
        ("night", [], 2, "sounds are read from there"),
        ("night/clips", ["--force"], 2, "sounds are read from there"),
        ("full", [], 7, "choose another with --clips, or add --force"),
        ("full", ["--out", "out.jsonl", "--resume"], 7, "not empty"),
        ("full/notes.txt", ["--force"], 7, "not a folder"),
        (None, ["--spectrograms"], 2, "add --clips"),
    ],
)
def test_a_folder_that_cannot_be_is_refused_before_any_work(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str | None, arguments: list[str], code: int,
    said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    clips = [] if folder is None else ["--clips", folder]
    assert_ends(code, said, "detect", night, *arguments, *clips, "--model", "never opened")
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["night", "full", "notes.txt", *(path.name for path in night.iterdir())]
    )


def test_it_goes_on_in_the_same_way_or_not_at_all(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    command = ["detect", night, *LOW_SCORE, "--out", out, "--resume"]
    assert escnn(*command).exit_code == 3
    whole = out.read_text()
    lines = whole.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if "escnn.recording/1" in line)
    out.write_text("".join(lines[: first + 2])[:-10])
    before = out.read_text()
    other = escnn(*command, "--min-seconds", "0.2")
    assert (other.exit_code, out.read_text()) == (2, before)
    assert "min_seconds" in other.stderr
    again = escnn(*command)
    assert (again.exit_code, out.read_text()) == (3, whole)
    assert "going on after 1 recording" in again.stderr
    shutil.move(night / "A_20240702_064404.wav", night / "D.wav")
    assert_ends(2, "sound 1 in it is", *command)
