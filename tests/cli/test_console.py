"""What goes to which stream, and how."""

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from conftest import ESCNN, escnn, tone

from escnn.cli.console import Console
from escnn.cli.options import Format
from escnn.cli.output.results import results
from escnn.errors import AudioError
from escnn.inference.prediction import Failure
from escnn.model.model_file import read_model


def test_what_a_c_library_prints_does_not_stand_among_the_results(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.caf"
    soundfile.write(path, tone(440, 0.5, 8_000), 8_000, format="CAF", subtype="ALAC_16")
    data = bytearray(path.read_bytes())
    sizes = data.find(b"pakt") + 12 + 24  # of the packets, behind the chunk's head and its counts
    data[sizes : sizes + 4] = b"\xff" * 4  # a number that never ends: libsndfile prints "Ooops!" on stdout
    path.write_bytes(data)
    result = subprocess.run([*ESCNN, "predict", str(path)], capture_output=True, text=True, check=False)
    assert "Ooops" in result.stderr, "this libsndfile does not print: make another file that it prints about"
    assert json.loads(result.stdout)["path"] == str(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_stdout_is_said(model: Path, clip: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run([*ESCNN, "predict", str(clip)], stdout=full, stderr=subprocess.PIPE, check=False)
    assert process.returncode == 7
    assert process.stderr.decode().splitlines()[0] == "error: stdout: cannot be written (No space left on device)"


def test_quiet_leaves_results_and_trouble(model: Path, clip: Path, tmp_path: Path) -> None:
    quiet = escnn("predict", clip, tmp_path / "gone.wav", "-q")
    assert len(quiet.stdout.splitlines()) == 2
    assert "gone.wav" in quiet.stderr
    assert "sounds could not be read" not in quiet.stderr
    assert escnn("visualize", clip, "--out", tmp_path / "report", "-q").stderr == ""


def test_a_name_does_not_end_the_line_of_its_warning(model: Path, write_sound: Callable[..., Path]) -> None:
    strange = write_sound("a\nerror: forged.wav", tone(440, 0.2, 8_000))
    (line,) = escnn("predict", strange).stderr.splitlines()
    assert line.startswith("warning: ")
    assert "a\\x0aerror: forged.wav" in line


def test_a_name_full_of_tricks_is_shown_and_runs_nothing(model: Path, clip: Path, tmp_path: Path) -> None:
    strange = tmp_path / os.fsdecode(b"[red]a\x1b[31m caf\xe9 \xf0\x9f\x90\x95.wav")
    shutil.copy(clip, strange)
    result = escnn("predict", strange, "--format", "table")
    assert result.exit_code == 0
    assert "[red]a\\x1b[31m" in result.stdout
    assert json.loads(escnn("predict", strange).stdout)["path"] == str(strange)


class Stream(io.TextIOWrapper):
    """A stream in memory, with a terminal's word if asked for."""

    def __init__(self, encoding: str = "utf-8", *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def written(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined]


TRICKS = "a\x1b[31m\x9b2J\udce9\n,b.wav"


@pytest.mark.parametrize("chosen", list(Format))
def test_no_format_lets_a_name_steer_a_terminal(small_model: Path, chosen: Format) -> None:
    stdout = Stream(terminal=True)
    card = read_model(small_model).card
    failure = Failure(TRICKS, AudioError(f"{TRICKS}: no such file", code="missing"), card)
    with results(Console(stdout=stdout), chosen, None, top_k=1) as show:
        show(failure.to_json())
    sent = re.sub(rb"\x1b\[[0-9;]*m", b"", stdout.written())  # colours of our own
    assert b"\x1b" not in sent
    assert b"\x9b" not in sent.replace("\u2019".encode(), b"")
    assert b"b.wav" in sent


def test_a_newline_in_a_name_makes_no_record_of_csv_and_no_line_of_a_table(small_model: Path) -> None:
    forged = "x.wav\nforged.wav,ok,5.0,1,dog,0,1.0,"
    failure = Failure(forged, AudioError("no such file", code="missing"), read_model(small_model).card)
    stdout = Stream()
    with results(Console(stdout=stdout), Format.CSV, None, top_k=1) as show:
        show(failure.to_json())
    rows = list(csv.DictReader(io.StringIO(stdout.written().decode())))
    assert [row["path"] for row in rows] == [forged]
    stdout = Stream()
    with results(Console(stdout=stdout), Format.TABLE, None, top_k=1) as show:
        show(failure.to_json())
    assert len(stdout.written().splitlines()) == 2


@pytest.mark.parametrize("chosen", list(Format))
def test_a_stdout_that_is_not_utf_8_loses_no_result(small_model: Path, chosen: Format) -> None:
    stdout = Stream("latin-1")
    failure = Failure("\u72ac.wav", AudioError("no such file", code="missing"), read_model(small_model).card)
    with results(Console(stdout=stdout), chosen, None, top_k=1) as show:
        show(failure.to_json())
    expected = "\u72ac.wav".encode() if chosen is Format.CSV else b"\\u72ac.wav"
    assert expected in stdout.written()


@pytest.mark.skipif(os.name == "nt", reason="POSIX shells and devices")
@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2> >(true)"])
def test_a_stderr_that_is_gone_ends_no_batch(model: Path, clip: Path, stderr: str) -> None:
    command = f"sleep 0.1; {shlex.join(ESCNN)} predict gone.wav {clip} also-gone.wav {stderr}"
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, text=True, check=False)
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["error", "ok", "error"]
    assert done.returncode == 3


@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
def test_a_closed_stdout_is_an_output_that_cannot_be_written(model: Path, clip: Path) -> None:
    command = f"{shlex.join(ESCNN)} predict {clip} >&-"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (7, "error: stdout is closed")


@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
def test_a_closed_stdin_is_a_sound_that_cannot_be_read(model: Path) -> None:
    command = f"{shlex.join(ESCNN)} predict - <&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["status"] == "error"
