"""`escnn listen` as a user meets it: a pipe in real time, a microphone that comes and goes, Ctrl-C, refusals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile
from conftest import ESCNN, escnn, tone
from live.test_pcm import endless
from live.test_sources import FakeDevice

from escnn.detection.output.formats import schema as detection_schema
from escnn.live import sources
from escnn.live.formats import schema

RATE = 8_000
LOW_SCORE = ["--min-score", "0.1", "--merge-seconds", "0", "--provisional-score", "0.3"]  # for random weights
FIELDS = ("path", "start_seconds", "end_seconds", "peak_seconds", "label", "class_id", "score")


@pytest.fixture(autouse=True)
def heeding_ctrl_c() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and so would all that the tests start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pcm_of(seconds: float) -> bytes:
    rng = np.random.default_rng(0)
    sound = 0.01 * rng.standard_normal(round(seconds * RATE)).astype(np.float32)
    sound[RATE : 2 * RATE] += tone(700, 1.0, RATE)
    return (32_767 * sound).astype("<i2").tobytes()


SOUND = pcm_of(8)
WAV = endless(SOUND, 0xFFFFFFFF)


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def rows(lines: list[dict[str, Any]]) -> list[list[Any]]:
    found = [line for line in lines if line.get("state") == "final" or line["schema"] == "escnn.event/1"]
    return sorted([line[name] for name in FIELDS] for line in found)


def test_final_lines_are_the_rows_of_detect(model: Path) -> None:
    heard = escnn("listen", "-", *LOW_SCORE, stdin=WAV)
    assert heard.exit_code == 0, heard.stderr
    lines = documents(heard.stdout)
    for line in lines[:-1]:
        jsonschema.validate(line, schema())
    jsonschema.validate(lines[-1], detection_schema())
    found = escnn("detect", "-", *LOW_SCORE[:4], stdin=WAV)
    assert len(rows(lines)) > 2
    assert rows(lines) == rows(documents(found.stdout))
    end, theirs = lines[-1], documents(found.stdout)[-1]
    assert (end["duration_seconds"], end["events"]) == (theirs["duration_seconds"], theirs["events"])
    assert end["settings"]["onset_score"] == 0.1
    assert {line["state"] for line in lines[:-1]} >= {"provisional", "final"}


def test_raw_pcm_is_described(model: Path) -> None:
    raw = escnn("listen", "-", "--rate", RATE, *LOW_SCORE, stdin=SOUND)
    assert rows(documents(raw.stdout)) == rows(documents(escnn("listen", "-", *LOW_SCORE, stdin=WAV).stdout))
    stereo = np.repeat(np.frombuffer(SOUND, "<i2").astype("<f4") / 32_768, 2).tobytes()
    options = ["--rate", RATE, "--channels", 2, "--encoding", "f32le"]
    both = escnn("listen", "-", *options, *LOW_SCORE, stdin=stereo)
    assert len(rows(documents(both.stdout))) == len(rows(documents(raw.stdout)))


def test_only_what_is_asked_for_is_told(model: Path) -> None:
    one = documents(escnn("listen", "-", *LOW_SCORE, "--class", "high", stdin=WAV).stdout)
    assert {line["label"] for line in one[:-1]} == {"high"}
    final = documents(escnn("listen", "-", *LOW_SCORE, "--final-only", stdin=WAV).stdout)
    assert {line["state"] for line in final[:-1]} == {"final"}


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "said"),
    [
        (["night.wav"], b"", 2, "escnn detect"),
        (["-", "--microphone", "x"], b"", 2, "two sources"),
        (["--rate", "8000"], b"", 2, "add -"),
        (["-", "--channels", "2"], b"", 2, "--rate"),
        (["-", "--rate", "10"], b"", 2, "rate"),
        (["-", "--encoding", "mp3"], b"", 2, "encoding"),
        (["-"], b"", 3, "no sound came"),
        (["-"], b"fLaC" + bytes(1_000), 3, "neither WAV"),
        (["-", "--class", "hihg"], WAV, 2, "high"),
        (["-", "--min-score", "2"], WAV, 2, "min-score"),
        (["-", "--exec", "no-such-program"], WAV, 2, "no program"),
        (["-", "--exec", "sh -c '"], WAV, 2, "quote"),
        (["-", "--model", "gone.safetensors"], WAV, 4, "no such model"),
        (["-", "--clips", "notes.txt"], WAV, 7, "notes.txt: not a folder"),
        (["-", "--clips", "notes.txt"], WAV, 7, "choose another with --clips"),
        (["-", "--out", "."], WAV, 7, ".: is a folder"),
        (["-", "--out", "."], WAV, 7, "give the name of a file"),
        (["-", "--out", "both", "--clips", "both"], WAV, 2, "choose another name for one"),
        (["-", "--out", "clips/clips.csv", "--clips", "clips"], WAV, 2, "choose another name for one"),
        (["-", "--class", "hihg", "--out", "new.jsonl", "--clips", "new"], WAV, 2, "high"),
        (["--microphone", "x", "--out", ".", "--clips", "new"], b"", 7, "is a folder"),
        (["-", "--out", "notes.txt"], WAV, 7, "something else"),
        (["-", "--thresholds", "gone.json"], WAV, 2, "gone.json"),
    ],
)
def test_what_cannot_be_is_refused(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    stdin: bytes,
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("of last year")
    refused = escnn("listen", *arguments, stdin=stdin)
    assert (refused.exit_code, refused.stdout) == (code, ""), refused.stderr
    assert said in refused.stderr
    assert (tmp_path / "notes.txt").read_text() == "of last year"
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt"}


def test_lines_are_added_to_a_file_whole(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "heard.jsonl"
    command = ["listen", "-", *LOW_SCORE, "--out", out]
    assert escnn(*command, stdin=WAV).stdout == ""
    first = out.read_text()
    out.write_text(first + first[:40])  # as a kill in the middle of a line leaves it
    assert escnn(*command, stdin=WAV).exit_code == 0
    lines = documents(out.read_text())
    assert [line["schema"] for line in lines].count("escnn.recording/1") == 2
    assert rows(lines[: len(lines) // 2]) == rows(lines[len(lines) // 2 :])


def test_clips_and_commands_get_every_final_event(model: Path, tmp_path: Path) -> None:
    keep = tmp_path / "keep.py"
    keep.write_text(
        "import sys, json, pathlib; e = json.load(sys.stdin); pathlib.Path(sys.argv[1], str(e['id'])).touch()"
    )
    (tmp_path / "got").mkdir()
    command = f"{sys.executable} {keep} {tmp_path / 'got'}"
    options = ["--clips", tmp_path / "clips", "--exec", command, "--class", "high"]
    done = escnn("listen", "-", *LOW_SCORE, *options, stdin=WAV)
    assert done.exit_code == 0, done.stderr
    final = [line for line in documents(done.stdout) if line.get("state") == "final"]
    assert final
    clips = sorted((tmp_path / "clips").glob("*.flac"))
    assert len(clips) == len(final)
    samples, rate = soundfile.read(clips[0])
    event = final[0]
    expected = min(event["end_seconds"] + 0.5, 8.0) - max(0.0, event["start_seconds"] - 0.5)
    assert len(samples) / rate == pytest.approx(expected, abs=0.01)
    got = {path.name for path in (tmp_path / "got").iterdir()}
    assert got <= {str(line["id"]) for line in final}
    assert got
    left_out = len(final) - len(got)
    assert (f"left out for {left_out} of" in done.stderr) == (left_out > 0)


def test_microphones_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "sounddevice", FakeDevice)
    listed = escnn("listen", "--list-microphones")
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[0] == "1\tUSB Microphone\t1 channel, 8000 Hz"
    refused = escnn("listen", "--microphone", "usb")
    assert refused.exit_code == 2
    assert "there are several" in refused.stderr


def test_a_microphone_that_goes_away_is_waited_for(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sounds of one microphone, with a gap; then it is ended from outside."""
    device = FakeDevice()
    monkeypatch.setattr(sources, "sounddevice", lambda: device)
    monkeypatch.setattr(sources, "RETRY_SECONDS", 0.05)
    samples = np.frombuffer(SOUND, "<i2").astype(np.float32) / 32_768
    out = tmp_path / "heard.jsonl"

    def play() -> None:
        until = time.monotonic() + 20
        while not device.streams and time.monotonic() < until:
            time.sleep(0.01)
        for piece in np.array_split(samples, 40):
            device.play(piece)
        time.sleep(0.5)
        device.is_there, device.streams[-1].active = False, False
        time.sleep(0.6)
        device.is_there = True
        while device.opened < 2 and time.monotonic() < until:
            time.sleep(0.01)
        for number, piece in enumerate(np.array_split(samples, 40)):
            device.play(piece, overflow=number in (3, 7))
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGINT)

    player = threading.Thread(target=play)
    player.start()
    done = escnn("listen", "--microphone", "1", *LOW_SCORE, "--out", out)
    player.join()
    assert done.exit_code == 130, done.stderr
    lines = documents(out.read_text())
    final = [line for line in lines if line.get("state") == "final"]
    end = lines[-1]
    before = [line for line in final if line["start_seconds"] < 8]
    after = [line for line in final if line["start_seconds"] >= 8]
    assert [(line["label"], line["score"]) for line in before] == [(line["label"], line["score"]) for line in after]
    assert len({line["id"] for line in final}) == len(final)
    assert all(line["start_time"] for line in final)
    assert end["duration_seconds"] >= 16
    assert [text.partition(": ")[2] for text in end["warnings"]] == [
        "USB Microphone: went away; waiting for it", "USB Microphone: is back",
        "USB Microphone: the sound system lost some of the sound 2 times",
    ]  # fmt: skip
    assert "went away" in done.stderr
    assert "lost some of the sound 2 times" in done.stderr


def started(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*ESCNN, "listen", *map(str, arguments)], stdin=subprocess.PIPE, **options)


def test_a_pipe_in_real_time_is_told_while_it_sounds(model: Path) -> None:
    process = started("-", *LOW_SCORE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    told: list[tuple[float, dict[str, Any]]] = []
    began = 0.0

    def read() -> None:
        assert process.stdout is not None
        told.extend((time.monotonic() - began, json.loads(line)) for line in process.stdout)

    reader = threading.Thread(target=read)
    reader.start()
    process.stdin.write(WAV[:44])
    process.stdin.flush()
    time.sleep(2)  # it starts meanwhile
    began = time.monotonic()
    for number, first in enumerate(range(0, len(SOUND), 1_600)):
        time.sleep(max(0.0, began + 0.1 * number - time.monotonic()))
        process.stdin.write(SOUND[first : first + 1_600])
        process.stdin.flush()
    process.stdin.close()
    assert process.wait(20) == 0
    reader.join()
    early = [(when, line) for when, line in told if line.get("state") == "provisional"]
    assert early
    for when, line in early:
        assert line["told_seconds"] - 0.3 <= when <= line["told_seconds"] + 1.5


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_all_that_is_known(model: Path, tmp_path: Path, number: int, code: int) -> None:
    out = tmp_path / "heard.jsonl"
    process = started("-", *LOW_SCORE, "--out", out, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(WAV)
    process.stdin.flush()
    until = time.monotonic() + 20
    while not (out.exists() and '"provisional"' in out.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == code
    lines = documents(out.read_text())
    assert lines[-1]["schema"] == "escnn.recording/1"
    assert rows(lines) == rows(documents(escnn("listen", "-", *LOW_SCORE, stdin=WAV).stdout))
    assert b"interrupted" in said
    assert b"Traceback" not in said


def test_a_signal_ends_it_though_the_recorder_goes_on(model: Path) -> None:
    process = started("-", "--rate", 44_100, "-q", *LOW_SCORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(np.zeros(44_100, "<i2").tobytes() + SOUND)
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)  # and the pipe stays open
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    assert process.returncode == 143
    assert process.stderr is not None
    said = process.stderr.read()
    assert b"Fatal" not in said
    assert b"leaked" not in said
    process.stdin.close()


def test_a_reader_that_has_seen_enough_ends_it_quietly(model: Path) -> None:
    process = started("-", *LOW_SCORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(WAV[: 44 + len(SOUND) // 2])
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    with suppress(BrokenPipeError):  # it may have ended by then
        process.stdin.write(SOUND)
        process.stdin.close()
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert b"error" not in process.stderr.read()


def test_two_do_not_write_one_file(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "heard.jsonl"
    process = started("-", "--out", out)
    assert process.stdin is not None
    process.stdin.write(WAV[:44])
    process.stdin.flush()
    until = time.monotonic() + 20
    while not out.exists() and time.monotonic() < until:
        time.sleep(0.05)
    refused = escnn("listen", "-", "--out", out, stdin=WAV)
    assert refused.exit_code == 7
    assert "another process" in refused.stderr
    process.stdin.write(SOUND)
    process.stdin.close()
    assert process.wait(20) == 0


def test_two_do_not_fill_one_folder(model: Path, tmp_path: Path) -> None:
    """Both would give their clips the same numbers."""
    process = started("-", "--clips", tmp_path / "clips", stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(WAV[:44])
    process.stdin.flush()
    until = time.monotonic() + 20
    while not (tmp_path / "clips" / "clips.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    refused = escnn("listen", "-", "--clips", tmp_path / "clips", stdin=WAV)
    assert refused.exit_code == 7
    assert "another process" in refused.stderr
    process.communicate(SOUND, timeout=20)
    assert process.returncode == 0


def test_a_table_of_something_else_gets_no_rows(model: Path, tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("song,singer\n")
    refused = escnn("listen", "-", "--clips", tmp_path, stdin=WAV)
    assert (refused.exit_code, refused.stdout) == (7, "")
    assert "clips.csv: holds something else" in refused.stderr
    assert (tmp_path / "clips.csv").read_text() == "song,singer\n"


def test_lines_go_into_a_pipe_that_has_a_name(model: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "lines"
    os.mkfifo(pipe)
    read: list[str] = []
    beside: list[str] = []

    def follow() -> None:
        with pipe.open() as lines:
            read.append(lines.readline())
            beside.extend(path.name for path in tmp_path.iterdir())
            read.append(lines.read())

    reader = threading.Thread(target=follow)
    reader.start()
    assert escnn("listen", "-", *LOW_SCORE, "--out", pipe, stdin=WAV).exit_code == 0
    reader.join(20)
    assert documents("".join(read))[-1]["schema"] == "escnn.recording/1"
    assert beside == ["lines"], "no lock, for which there may be no room beside a device"


def test_on_a_terminal_it_is_drawn(model: Path) -> None:
    mine, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "40"}
    process = started("-", *LOW_SCORE, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    assert process.stdin is not None
    process.stdin.write(WAV)
    process.stdin.flush()
    shown = b""
    until = time.monotonic() + 20
    while b"provisional" not in shown and time.monotonic() < until:
        if select.select([mine], [], [], 0.2)[0]:
            shown += os.read(mine, 65_536)
    process.stdin.close()
    for part in ("▀", "█", "dB", "now:", "provisional"):
        assert part.encode() in shown, part
    assert b'"schema"' not in shown
    while process.poll() is None:
        if select.select([mine], [], [], 0.2)[0]:
            try:
                shown += os.read(mine, 65_536)
            except OSError:  # nobody writes any more
                break
    assert process.wait(20) == 0
    os.close(mine)
