"""What is said at the end can be typed, what went wrong is named by its cause, and no name steers a terminal."""

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import escnn

from escnn import files
from escnn.cli import progress
from escnn.cli.console import Console
from escnn.cli.signals import foreign_error

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX names and shells")


def commands_in(text: str) -> list[list[str]]:
    """What a shell makes of the commands that were printed: those after "next: " and those between backquotes."""
    printed = [line.partition("next: ")[2] for line in text.splitlines() if "next: " in line]
    printed += [part for part in text.split("`")[1::2] if part.startswith("escnn ")]
    words = 'for word in "$@"; do printf "%s\\\\0" "$word"; done'
    return [
        os.fsdecode(
            subprocess.run(["bash", "-c", f"set -- {command}; {words}"], capture_output=True, check=True).stdout
        ).split("\0")[:-1]
        for command in printed
    ]


@posix
@pytest.mark.parametrize("name", [b"my run", b"it's", b"tab\there", b"new\nline", b"caf\xe9", b"-dash", b"$(id)"])
def test_a_run_folder_can_be_opened_again_by_what_is_printed(
    class_folders: Path, settings: Path, tmp_path: Path, clip: Path, name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = os.fsdecode(name)
    trained = escnn("train", "--data", class_folders, "--config", settings, f"--out={run}")
    assert trained.exit_code == 0, trained.stderr
    (typed,) = commands_in(trained.stderr)
    assert typed == ["escnn", "predict", "--model", run, "clip.wav"] or typed[2] == f"--model={run}"
    assert escnn(*typed[1:]).exit_code == 0
    Path(run, "model.safetensors").unlink()
    refused = escnn("predict", clip, f"--model={run}")
    (typed,) = commands_in(refused.stderr)
    assert escnn(*typed[1:]).exit_code == 0
    assert json.loads(escnn("predict", clip, f"--model={run}").stdout)["model"]["name"].isprintable()


def test_a_data_set_is_named_as_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from escnn.data import download, esc50

    monkeypatch.setattr(download, "download", lambda folder, **_: esc50.DatasetCheck(folder, 2000, True, (), {}))
    said = escnn("download", "--data", tmp_path / "my data").stderr
    assert commands_in(said) == [["escnn", "train", "--data", str(tmp_path / "my data")]]


def test_a_run_that_is_there_is_gone_on_with(class_folders: Path, settings: Path, tmp_path: Path) -> None:
    command = ["train", "--data", class_folders, "--config", settings, "--out", tmp_path / "my run"]
    assert escnn(*command).exit_code == 0
    again = escnn(*command)
    assert again.exit_code == 7
    assert "--force" not in again.stderr, "which train does not have"
    (typed,) = commands_in(again.stderr)
    assert typed == ["escnn", "train", "--resume", str(tmp_path / "my run")]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_text("")
    for more in ([], ["--cross-validate"]):
        refused = escnn(*command[:-1], tmp_path / "other", *more)
        assert refused.exit_code == 7
        assert "--force" not in refused.stderr


class OutOfMemoryError(RuntimeError):
    """As torch has it."""


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (MemoryError(), "not enough memory", 1),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"), "not enough memory", 1),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "not enough memory", 1),
        (ImportError("libcudart.so.12: cannot open shared object file"), "a library cannot be loaded", 1),
        (ModuleNotFoundError("No module named 'soxr'", name="soxr"), "a library cannot be loaded", 1),
        (OSError(28, "No space left on device", "/x/y"), "/x/y: No space left on device", 7),
        (OSError(5, "Input/output error", "/x/y"), "/x/y: Input/output error", 1),
        (PermissionError(13, "Permission denied", "/x/y"), "/x/y: Permission denied", 1),
    ],
)
def test_what_is_no_bug_is_not_called_one(error: Exception, said: str, code: int) -> None:
    translated = foreign_error(error)
    assert translated.message.startswith(said)
    assert translated.exit_code == code
    assert "bug" not in (translated.hint or "")


@pytest.mark.parametrize("error", [KeyError("x"), ImportError("cannot import name", name="escnn.files"), ValueError()])
def test_a_bug_is_called_one(error: Exception) -> None:
    assert "a bug in escnn" in (foreign_error(error).hint or "")


@posix
@pytest.mark.parametrize(
    "arguments",
    [
        ["--\x1b[2Jx"],
        ["\x1b]0;x\x07"],
        ["predict", "--\x1b[2Jx"],
        ["predict", "--format", "\x9b2J"],
        ["predict", "--top-k", "\x1b[2J"],
        ["predict", "--model", "\x1b[2J", "x.wav"],
        ["predict", "x.wav", "--out", "\x1b[2J/x/" + "y" * 300],
        ["train", "--set", "\x1b[2J=1"],
        ["train", "--preset", "\x1b[2J"],
        ["visualize", "x.wav", "--layers", "\x1b[2J"],
        ["visualize", "x.wav", "--class", "\x1b[2J"],
        ["visualize", "x.wav", "--colormap", "\x1b[2J"],
        ["evaluate", "--data", "\x1b[2J"],
        ["download", "--from", "\x1b[2J", "--data", "new"],
    ],
)
def test_no_name_on_the_command_line_steers_a_terminal(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = escnn(*arguments)
    assert result.exit_code
    assert "\x1b" not in result.stderr
    assert "\x9b" not in result.stderr
    assert "\x07" not in result.stderr
    assert result.stdout == ""


class VanishingTerminal(io.StringIO):
    """A terminal that is closed after some writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.writes = writes

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes -= 1
        if self.writes < 0:
            raise OSError(5, "Input/output error")
        return super().write(text)

    def flush(self) -> None:
        if self.writes < 0:
            raise OSError(5, "Input/output error")


@pytest.mark.parametrize("writes", range(6))
def test_a_terminal_that_is_closed_ends_no_work(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Console(stderr=VanishingTerminal(writes))
    counted = 0
    with progress.stages(console) as advance, console.working("working"):
        pass
    with progress.stages(console) as advance:
        for done in range(50):
            advance("reading", done, 50)
            console.message("said meanwhile")
            counted += 1
    console.warning("the end")
    assert counted == 50


@posix
@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", "--out out.json <&- >&- 2>&-"])
def test_what_a_c_library_prints_stands_not_among_the_results_when_streams_are_closed(
    model: Path, clip: Path, tmp_path: Path, closed: str
) -> None:
    code = (
        "import sys; sys.argv[0] = 'escnn'\n"
        "import escnn.inference.classifier as classifier, ctypes\n"
        "real = classifier.Classifier.predict_files\n"
        "def printing(*arguments):\n"
        "    for result in real(*arguments):\n"
        "        ctypes.CDLL(None).puts(b'Ooops!'); ctypes.CDLL(None).fflush(None)\n"
        "        yield result\n"
        "classifier.Classifier.predict_files = printing\n"
        "from escnn.cli.app import main; main()"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} predict {clip} {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
    results = (tmp_path / "out.json").read_text() if "--out" in closed else done.stdout
    assert json.loads(results)["path"] == str(clip)


def test_figures_are_shown_even_where_their_files_cannot_be_written(
    model: Path, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    result = escnn("evaluate", "--data", class_folders, "--fold", 5, "--json", "--out", tmp_path / "out")
    assert result.exit_code == 7
    assert json.loads(result.stdout)["clips"] == 6
    assert "No space left" in result.stderr


def test_a_forced_evaluation_leaves_no_page_of_an_earlier_one(model: Path, class_folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["evaluate", "--data", class_folders, "--fold", 5, "--out", out]
    assert escnn(*command, "--report").exit_code == 0
    (out / "notes.txt").write_text("mine")
    (out / "cross-validation.json").write_text("{}")
    assert escnn(*command, "--force").exit_code == 0
    assert {path.name for path in out.iterdir()} == {
        "predictions.csv", "per_class.csv", "confused.csv", "confusion.png", "evaluation.json", "notes.txt",
    }  # fmt: skip


def test_pages_of_an_earlier_call_go_and_nothing_else(model: Path, class_folders: Path, tmp_path: Path) -> None:
    sounds, out = class_folders / "low", tmp_path / "out"
    assert escnn("visualize", sounds / "0.wav", "--out", out).exit_code == 0
    mine = [out / "notes.txt", out / "feature-maps" / "mine.txt", out / "other" / "waveform.png"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert escnn("visualize", sounds / "0.wav", "--layers", "conv1", "--out", out, "--force").exit_code == 0
    maps = {path.relative_to(out / "feature-maps").parts[0] for path in (out / "feature-maps").rglob("*.png")}
    assert maps == {"conv1.png", "native"}
    assert [path.name for path in (out / "feature-maps" / "native").iterdir()] == ["conv1"]
    three = [sounds / f"{number}.wav" for number in range(3)]
    assert escnn("visualize", *three, "--layers", "conv1", "--out", out, "--force").exit_code == 0
    assert not (out / "report.html").exists(), "of the one sound"
    assert not (out / "feature-maps" / "conv1.png").exists()
    assert escnn("visualize", *three[:2], "--layers", "conv1", "--out", out, "--force").exit_code == 0
    assert sorted(path.parent.name for path in out.glob("*/report.html")) == ["0", "1"]
    assert all(path.read_text() == "mine" for path in mine)
