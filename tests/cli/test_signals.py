"""How a command ends, whatever went wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ESCNN, escnn

from escnn.errors import Terminated


def test_a_bug_is_one_line_and_a_traceback_with_v(model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("escnn.cli.commands.predict._output_format", broken)
    result = escnn("predict", clip)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ZeroDivisionError: by design\n  help: ")
    assert "Traceback" not in result.stderr
    assert "Traceback" in escnn("predict", clip, "-v").stderr
    assert "Traceback" in escnn("predict", "gone.wav", "--model", "gone", "-v").stderr


def test_a_torch_pair_that_does_not_go_together_is_one_line() -> None:
    code = (
        "import sys, builtins; real = builtins.__import__\n"
        "def broken(name, *rest):\n"
        "    if name == 'torchaudio': raise RuntimeError('they were compiled with different CUDA versions')\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = broken\n"
        "sys.argv = ['escnn', 'train', '--data', 'gone']\n"
        "from escnn.cli.app import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_ends_quietly(model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{clip}\n" * 3_000)
    command = [*ESCNN, "predict", "--files-from", str(tmp_path / "list")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"{")
    process.stdout.close()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stderr == b""


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_a_signal_ends_a_command_as_early_as_its_options_are_read(
    stop: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise stop

    monkeypatch.setattr("typer.core.TyperGroup.parse_args", interrupted)
    result = escnn("predict", "clip.wav")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "warning: interrupted\n")
