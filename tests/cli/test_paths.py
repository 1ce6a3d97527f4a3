"""Every option that names a file or a folder: what cannot be is said, and by whom it was named; a ~ is the home."""

import errno
import io
import os
import shutil
from pathlib import Path

import pytest
from conftest import SMALL_TRAINING, assert_ends, escnn

from escnn import files
from escnn.config import to_json

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX names")

# Each command with the option that names a path last, and the exit code of a path that cannot be.
READING: dict[str, tuple[list[str], int]] = {
    "predict": (["predict"], 3),
    "visualize": (["visualize"], 3),
    "predict --model": (["predict", "clip.wav", "--model"], 4),
    "visualize --model": (["visualize", "clip.wav", "--model"], 4),
    "evaluate --model": (["evaluate", "--data", "sounds", "--model"], 4),
    "export --model": (["export", "--model"], 4),
    "predict --files-from": (["predict", "--files-from"], 2),
    "train --config": (["train", "--config"], 2),
    "train --resume": (["train", "--resume"], 2),
    "train --data": (["train", "--data"], 5),
    "evaluate --data": (["evaluate", "--data"], 5),
    "evaluate --cross-validate": (["evaluate", "--cross-validate"], 2),
    "download --check --data": (["download", "--check", "--data"], 5),
    "download --from": (["download", "--data", "new", "--from"], 5),
}
WRITING: dict[str, tuple[list[str], int]] = {
    "predict --out": (["predict", "never-read.wav", "--out"], 7),
    "predict --resume --out": (["predict", "never-read.wav", "--resume", "--out"], 7),
    "visualize --out": (["visualize", "never-read.wav", "--out"], 7),
    "visualize several --out": (["visualize", "sounds", "--out"], 7),
    "evaluate --out": (["evaluate", "--data", "sounds", "--fold", "5", "--out"], 7),
    "train --out": (["train", "--data", "sounds", "--config", "settings.json", "--out"], 7),
    "export --out": (["export", "--out"], 7),
    "download --data": (["download", "--from", "archive.zip", "--data"], 7),
}
ALL = {**READING, **WRITING}
LONG = "x" * 300


@pytest.fixture(autouse=True)
def here(tmp_path: Path, model: Path, clip: Path, class_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with something of everything in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sounds").symlink_to(class_folders)
    (tmp_path / "archive.zip").write_bytes(b"not read")
    (tmp_path / "list").write_text("clip.wav\n")
    shutil.copy(model, tmp_path / "m.safetensors")
    files.write_json(tmp_path / "settings.json", to_json(SMALL_TRAINING) | {"epochs": 1})
    return tmp_path


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("path", [LONG, "clip.wav/below", f"{LONG}/below"], ids=["long", "below a file", "below long"])
def test_a_path_that_cannot_be_is_said_of_what_it_names(here: Path, name: str, path: str) -> None:
    arguments, code = ALL[name]
    if path != "clip.wav/below" and name not in ("predict", "visualize"):
        code = 2  # a name that nothing can have
    before = left_in(here)
    result = escnn(*arguments, path)
    assert result.exit_code == code, result.stderr
    assert path in result.stderr, "and not the path of another option"
    assert "bug" not in result.stderr
    assert "never-read.wav" not in result.stderr, "refused before a sound was read"
    assert left_in(here) == before


@pytest.mark.parametrize("name", ALL)
def test_an_empty_path_is_refused(here: Path, name: str) -> None:
    before = left_in(here)
    result = escnn(*ALL[name][0], "")
    assert result.exit_code == 2, result.stderr
    assert "empty" in result.stderr
    assert left_in(here) == before


@posix
@pytest.mark.parametrize("name", [name for name in ALL if name not in ("predict", "visualize")])
def test_a_home_that_is_nobodys_is_said(here: Path, name: str) -> None:
    result = escnn(*ALL[name][0], "~nobody-of-that-name/x")
    assert result.exit_code == 2, result.stderr
    assert "~nobody-of-that-name" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "clip.wav", "--model=~/m.safetensors"],
        ["predict", "--files-from=~/list"],
        ["predict", "clip.wav", "--out=~/new"],
        ["predict", "clip.wav", "--resume", "--out=~/new"],
        ["visualize", "clip.wav", "--layers", "conv1", "--out=~/new"],
        ["evaluate", "--data=~/sounds", "--fold", "5", "--out=~/new"],
        ["train", "--data=~/sounds", "--config=~/settings.json", "--out=~/new"],
        ["export", "--out=~/new"],
    ],
    ids=" ".join,
)
def test_a_tilde_is_the_home_in_every_option(here: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "clip.wav").symlink_to(here / "clip.wav")
    monkeypatch.chdir(elsewhere)
    result = escnn(*arguments)
    assert result.exit_code == 0, result.stderr
    assert left_in(elsewhere) == {"clip.wav"}, "no folder called ~"
    assert (here / "new").exists() == ("new" in arguments[-1])


def test_a_tilde_is_the_home_in_every_variable(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    for name, value in {"ESCNN_MODEL": "~/m.safetensors", "ESCNN_DATA": "~/sounds", "ESCNN_CACHE": "~/kept"}.items():
        monkeypatch.setenv(name, value)
    assert escnn("evaluate", "--fold", 5).exit_code == 0
    assert escnn("train", "--config", "settings.json", "--out", "run").exit_code == 0
    assert list((here / "kept" / "features").iterdir())
    assert not (here / "~").exists()


def test_an_archive_below_the_home(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    below = escnn("download", "--from=~/gone.zip", "--data", "new")
    assert f"{here / 'gone.zip'}: no such archive" in below.stderr
    assert "not a zip file" in escnn("download", "--from=~/archive.zip", "--data", "new").stderr


@posix
def test_one_name_that_cannot_be_opened_ends_no_batch(here: Path) -> None:
    sounds = ["clip.wav", LONG, "clip.wav/below", "clip.wav"]
    result = escnn("predict", *sounds, "--out", "out.jsonl")
    assert result.exit_code == 3, result.stderr
    assert [line.count('"status": "ok"') for line in (here / "out.jsonl").read_text().splitlines()] == [1, 0, 0, 1]
    shown = escnn("visualize", *sounds, "--layers", "conv1", "--out", "page")
    assert shown.exit_code == 3, shown.stderr
    assert len(list((here / "page").glob("*/report.html"))) == 2
    assert (here / "page" / "index.html").is_file()


@pytest.fixture
def secret(here: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder that may not be looked into, by nobody, not even root."""
    (here / "secret").mkdir()
    (here / "secret" / "x").mkdir()
    for module, name in ((os, "stat"), (os, "scandir"), (os, "listdir"), (os, "open"), (io, "open")):

        def guarded(path: object = ".", *rest: object, real: object = getattr(module, name), **more: object) -> object:
            if "secret/x" in str(path):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *rest, **more)  # type: ignore[operator]

        monkeypatch.setattr(module, name, guarded)
    return "secret/x"


@posix
def test_what_may_not_be_read_ends_no_batch(here: Path, secret: str) -> None:
    result = escnn("predict", "clip.wav", secret, "clip.wav")
    assert [line.count('"status": "ok"') for line in result.stdout.splitlines()] == [1, 0, 1]
    assert f"{secret}: " in result.stderr


@posix
@pytest.mark.parametrize("name", READING)
def test_what_may_not_be_read_is_said_of_what_it_is(here: Path, secret: str, name: str) -> None:
    arguments, code = READING[name]
    result = escnn(*arguments, secret)
    assert result.exit_code == code, result.stderr
    assert secret in result.stderr
    assert "Permission denied" in result.stderr
    assert "bug" not in result.stderr


def test_a_dangling_link_in_place_of_runs_is_said(here: Path) -> None:
    (here / "runs").symlink_to(here / "gone" / "away")
    assert_ends(7, "runs", "train", "--data", "sounds", "--config", "settings.json")
