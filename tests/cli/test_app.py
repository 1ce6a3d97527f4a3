"""The command line as a whole: help, version, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ESCNN, escnn

from escnn import __version__


def test_version_and_help() -> None:
    assert escnn("--version").stdout == f"escnn {__version__}\n"
    assert escnn("-h").exit_code == 0


@pytest.mark.parametrize(
    "command", ["download", "train", "evaluate", "predict", "detect", "listen", "visualize", "export", "cache"]
)
def test_help_starts_with_a_verb_and_ends_with_an_example(command: str) -> None:
    result = escnn(command, "--help")
    assert result.exit_code == 0
    assert f"Example: escnn {command}" in result.stdout.strip().splitlines()[-1]
    assert "--quiet" in result.stdout
    assert "--verbose" in result.stdout


def test_help_does_not_start_torch() -> None:
    code = (
        "import sys; sys.argv = ['escnn', '--help']\n"
        "from escnn.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: sys.exit(10 + any(name in sys.modules for name in ('torch', 'pandas', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 10


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["predict"], 2),
        (["predict", "x.wav", "--format", "xml"], 2),
        (["predict", "x.wav", "--top-k", "0"], 2),
        (["predict", "x.wav", "--device", "toaster"], 2),
        (["predict", "x.wav", "--model", "gone.safetensors"], 4),
        (["predict", "x.wav", "--files-from", "gone.txt"], 2),
        (["train", "--data", "gone"], 5),
        (["train", "--epochs", "0"], 2),
        (["train", "--preset", "defualt"], 2),
        (["train", "--resume", "gone"], 2),
        (["train", "--resume", "gone", "--epochs", "3"], 2),
        (["train", "--config", "gone.json"], 2),
        (["train", "--preset", "default", "--config", "x.json"], 2),
        (["evaluate", "--data", "gone"], 5),
        (["evaluate", "--cross-validate", "gone"], 2),
        (["visualize", "gone.wav"], 3),
        (["download", "--check", "--data", "gone"], 5),
        (["download", "--from", "gone.zip", "--data", "new"], 5),
        (["predcit", "x.wav"], 2),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_its_exit_code(
    model: Path, arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = escnn(*arguments)
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_flag_gets_a_suggestion() -> None:
    assert "--epochs" in escnn("train", "--epoch", "3").stderr


def test_the_package_runs_as_a_module() -> None:
    assert subprocess.run([*ESCNN, "--version"], capture_output=True, text=True, check=True).stdout.startswith("escnn ")


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "visualize"])
def test_every_choice_is_completed_by_the_shell(command: str) -> None:
    asked = {
        "train": ("--preset", {"default", "quick", "baseline-resnet34"}),
        "predict": ("--runtime", {"auto", "onnx", "torch"}),
        "visualize": ("--class", {"dog", "chirping_birds"}),
    }
    option, values = asked.get(command, ("--device", {"auto", "cuda"}))
    environment = {
        **os.environ,
        "_ESCNN_COMPLETE": "complete_bash",
        "COMP_WORDS": f"escnn {command} {option} ",
        "COMP_CWORD": "3",
    }
    code = "import sys; sys.argv = ['escnn']; from escnn.cli.app import app; app(prog_name='escnn')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert values <= set(done.stdout.split())
