"""Commands as containers, notebooks, cron jobs and schedulers start them: little home, odd variables, no terminal."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.numpy
from conftest import ESCNN, escnn

pytestmark = pytest.mark.slow  # a process, and often a training, each
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX users, signals and shells")

# The command as somebody whom the system does not know by name, and who has no home.
NOBODY = """
import pwd, sys
def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
sys.argv[0] = "escnn"
from escnn.cli.app import main
main()
"""
# As above, where nothing can be written but the folder in the variable OUT.
READ_ONLY = """
import builtins, errno, io, os, pathlib, tempfile
OUT, real_open, real_mkdir, real_os_open, real_access = os.environ["OUT"], io.open, os.mkdir, os.open, os.access
def refuse(path, writes):
    inside = str(os.path.abspath(path)).startswith((OUT, "/dev/", "/proc/"))
    if writes and not inside:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
def guarded_open(file, mode="r", *rest, **more):
    if not isinstance(file, int):
        refuse(os.fspath(file), set(mode) & set("wax+"))
    return real_open(file, mode, *rest, **more)
def guarded_os_open(path, flags, *rest, **more):
    refuse(path, flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return real_os_open(path, flags, *rest, **more)
def guarded_mkdir(path, *rest, **more):
    if not os.path.isdir(path):
        refuse(path, True)
    return real_mkdir(path, *rest, **more)
def guarded_access(path, mode, **more):
    if mode & os.W_OK and not str(os.path.abspath(path)).startswith(OUT):
        return False
    return real_access(path, mode, **more)
builtins.open = io.open = guarded_open
os.mkdir, os.open, os.access = guarded_mkdir, guarded_os_open, guarded_access
"""


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME", "ESCNN_CACHE")}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=False)


@posix
def test_somebody_without_a_home_works_all_the_same(
    model: Path, clip: Path, class_folders: Path, settings: Path, tmp_path: Path
) -> None:
    out, cwd = tmp_path / "out", tmp_path / "cwd"
    cwd.mkdir()
    for command in (
        ["predict", clip],
        ["visualize", clip, "--layers", "conv1", "--out", out / "page", "-q"],
        ["evaluate", "--data", class_folders, "--fold", 5, "--out", out / "evaluation", "-q"],
        ["train", "--data", class_folders, "--config", settings, "--out", out / "run", "-q"],
    ):
        done = run_python(f"import os; os.chdir({str(cwd)!r})\n{NOBODY}", *command)
        assert done.returncode == 0, done.stderr
        # Log-mels take long to compute: that they are not kept is said.
        assert ("ESCNN_CACHE" in done.stderr, done.stderr.count("\n")) == (
            ("train" in command),
            int("train" in command),
        )
    assert list(cwd.iterdir()) == [], "no folder called ~"
    assert json.loads((out / "run" / "run.json").read_text())["status"] == "complete"


@posix
@pytest.mark.parametrize("command", [["download"], ["download", "--check"], ["train"], ["evaluate"], ["cache"]])
def test_without_a_home_the_variable_that_helps_is_named(model: Path, command: list[str]) -> None:
    done = run_python(NOBODY, *command)
    assert done.returncode == (7 if command == ["cache"] else 5), done.stderr
    assert "ESCNN_CACHE" in done.stderr
    assert "bug" not in done.stderr


@posix
def test_one_writable_folder_is_enough(
    model: Path, clip: Path, class_folders: Path, settings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for command in (
        ["predict", clip, "--out", out / "a.json"],
        ["visualize", clip, "--layers", "conv1", "--out", out / "page"],
        ["evaluate", "--data", class_folders, "--fold", 5, "--out", out / "evaluation"],
        ["train", "--data", class_folders, "--config", settings, "--out", out / "run"],
    ):
        done = run_python(READ_ONLY + NOBODY, *command, OUT=str(out), ESCNN_CACHE=str(out / "cache"))
        assert done.returncode == 0, done.stderr
    for command in (["visualize", clip, "--layers", "conv1"], ["train", "--data", class_folders, "--config", settings]):
        done = run_python(READ_ONLY + NOBODY, *command, "--out", out / "again", OUT=str(out))
        assert "bug" not in done.stderr
        assert done.returncode == 0 or "ESCNN_CACHE" in done.stderr, done.stderr


@pytest.mark.parametrize("command", ["visualize", "evaluate", "train"])
def test_a_cache_that_cannot_be_written_is_done_without(
    command: str, model: Path, clip: Path, class_folders: Path, settings: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path / "file" / "cache"))
    options = {
        "visualize": [clip, "--layers", "conv1"],
        "evaluate": ["--data", class_folders, "--fold", 5],
        "train": ["--data", class_folders, "--config", settings],
    }
    result = escnn(command, *options[command], "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr


def test_a_full_disk_below_the_cache_ends_no_training(
    class_folders: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_tensors: object, path: Path, *_metadata: object, **_more: object) -> None:
        path.write_bytes(bytes(100))
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    result = escnn("train", "--data", class_folders, "--config", settings, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    assert "No space left on device" in result.stderr
    assert "ESCNN_CACHE" in result.stderr
    assert list((tmp_path / "cache" / "features").iterdir()) == []


@pytest.mark.parametrize("backend", ["module://no.such.backend", "nonsense", "tkagg"])
def test_pictures_are_drawn_without_the_backend_of_a_notebook(
    model: Path, clip: Path, tmp_path: Path, backend: str
) -> None:
    command = [*ESCNN, "visualize", clip, "--layers", "conv1", "-q", "--out"]
    environment = os.environ | {"MPLBACKEND": backend, "MPLCONFIGDIR": str(clip / "below-a-file")}
    done = subprocess.run([*command, tmp_path / "a"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([*command, tmp_path / "b"], capture_output=True, text=True, check=False)
    for name in ("waveform.png", "spectrogram.png", "evidence.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_settings_of_matplotlib_that_fail_are_passed_over_or_named(model: Path, clip: Path, tmp_path: Path) -> None:
    command = [*ESCNN, "visualize", clip, "--layers", "conv1", "-q", "--out", tmp_path / "page"]
    (tmp_path / "matplotlibrc").write_bytes(b"font.size: huge\nno colon\nbackend: nonsense\nsavefig.dpi: many\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "matplotlibrc").write_bytes(b"font.size: \xff\n")
    done = subprocess.run([*command, "--force"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "matplotlibrc" in done.stderr
    assert "bug" not in done.stderr


def test_the_backend_of_a_notebook_is_still_there_for_it(tmp_path: Path) -> None:
    code = (
        "import escnn.report.pictures.images, matplotlib, os; print(matplotlib.get_backend(), os.environ['MPLBACKEND'])"
    )
    done = run_python(code, MPLBACKEND="svg", HOME=str(tmp_path))
    assert done.stdout.split() == ["svg", "svg"], done.stderr


@posix
def test_nothing_is_left_in_a_home_but_the_cache(model: Path, clip: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    code = "import sys; sys.argv[0] = 'escnn'; from escnn.cli.app import main; main()"
    for command in (["predict", clip], ["visualize", clip, "--layers", "conv1", "--out", tmp_path / "page"]):
        assert run_python(code, *command, HOME=str(home)).returncode == 0
    left = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert left <= {(".cache", "escnn"), (".cache", "matplotlib"), (".config", "matplotlib")}


@pytest.mark.parametrize("columns", ["0", "-3", "\u00b2", "wide", ""])
def test_no_width_of_a_terminal_hides_what_is_said(
    model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        monkeypatch.setenv(name, columns)
    assert "--top-k" in escnn("predict", "--help").stdout
    assert "no such file" in escnn("predict", "gone.wav").stderr
    assert "clip.wav" in escnn("predict", clip, "--format", "table").stdout


@posix
@pytest.mark.parametrize("command", [["predict", "clip.wav"], ["download"], ["train"], ["evaluate"], ["cache"]])
def test_a_working_folder_that_is_gone_is_said(model: Path, tmp_path: Path, command: list[str]) -> None:
    gone = tmp_path / "gone"
    code = (
        f"import os, sys; os.makedirs({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        "sys.argv[0] = 'escnn'\n"
        "from escnn.cli.app import main; main()"
    )
    done = run_python(code, *command, ESCNN_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: the working folder does not exist any more"), done.stderr
    assert run_python(code, "--version").returncode == 0


@posix
@pytest.mark.parametrize(("ignored", "code"), [(False, 129), (True, 0)])
def test_a_terminal_that_is_closed_ends_a_command_as_any_signal_does(
    model: Path, clip: Path, tmp_path: Path, ignored: bool, code: int
) -> None:
    (tmp_path / "list").write_text(f"{clip}\n" * 2_000)
    command = [*ESCNN, "predict", "--files-from", str(tmp_path / "list"), "--out", str(tmp_path / "out.jsonl")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (code, b"" if ignored else b"warning: interrupted\n")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"list", clip.name, *(["out.jsonl"] if ignored else [])}


@posix
def test_a_browser_that_is_not_there_fails_nothing(
    model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = escnn("visualize", clip, "--layers", "conv1", "--out", tmp_path / "page", "--open")
    assert result.exit_code == 0, result.stderr
    assert "no browser could be opened" in result.stderr
