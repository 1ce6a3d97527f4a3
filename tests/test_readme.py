"""Every command in the README, run in order as a user would, on a small data set and a small network."""

import contextlib
import hashlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import archive_server
import pytest
import soundfile
from conftest import SMALL_TRAINING, tone
from small_archive import a_metadata
from typer.testing import CliRunner

from escnn.cli.app import app
from escnn.data import download, esc50
from escnn.runs import settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line.split(" # ")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
CLIPS = tuple(f"{fold}-{10 * fold + target}-A-{target}.wav" for fold in range(1, 6) for target in (0, 1))


def archive() -> bytes:
    """ESC-50 in small: five folds of two classes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("ESC-50-abc/meta/esc50.csv", a_metadata(CLIPS))
        file.writestr("ESC-50-abc/LICENSE", "made up")
        for number, clip in enumerate(CLIPS):
            sound = io.BytesIO()
            hz = (400 if clip.endswith("-0.wav") else 2_000) + number
            soundfile.write(sound, tone(hz, 0.5, 8_000), 8_000, format="WAV")
            file.writestr(f"ESC-50-abc/audio/{clip}", sound.getvalue())
    return content.getvalue()


@contextlib.contextmanager
def two_of_each_class(folder: Path) -> Iterator[None]:
    """The others are put aside meanwhile."""
    aside = [path for path in folder.rglob("*.wav") if int(path.stem) > 1]
    for path in aside:
        path.rename(folder.parent / f"{path.parent.name}-{path.name}")
    yield
    for path in aside:
        (folder.parent / f"{path.parent.name}-{path.name}").rename(path)


def run(line: str) -> bytes:
    """A line of the README: a pipeline of escnn, cat, find and jq. Gives its stdout; asserts that it went well."""
    data = b""
    for stage in line.split(" | "):
        program, *arguments = shlex.split(stage)
        if program == "escnn":
            result = CliRunner().invoke(app, arguments, input=data)
            assert result.exit_code == 0, f"{line}\n{result.stderr}"
            data = result.stdout_bytes
        elif program == "jq":
            assert arguments == ["-r", ".predictions[0].label"]
            data = json.loads(data)["predictions"][0]["label"].encode()
        else:
            assert program in ("cat", "find")
            data = subprocess.run([program, *arguments], check=True, capture_output=True).stdout
    return data


def test_every_escnn_command_of_the_readme_works_in_order(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path / "cache"))
    for name in ("default", "quick"):
        monkeypatch.setitem(settings.PRESETS, name, SMALL_TRAINING)
    monkeypatch.setattr(esc50, "CLIPS_PER_FOLD", 2)
    monkeypatch.setattr(esc50, "METADATA_SHA256", hashlib.sha256(a_metadata(CLIPS)).hexdigest())
    shutil.copytree(class_folders, "sounds")
    for name in ("clip.wav", "night.wav"):
        shutil.copy(class_folders / "low" / "0.wav", name)
    commands = [line for line in COMMANDS if not line.startswith("make ")]
    assert len(commands) >= 15
    with archive_server.running() as server:
        server.body = archive()
        monkeypatch.setattr(download, "ARCHIVE_URL", server.url)
        said = {}
        for line in commands:  # a page takes a second
            with two_of_each_class(Path("sounds")) if "--out several/" in line else contextlib.nullcontext():
                said[line] = run(line)
    assert (tmp_path / "report" / "report.html").is_file()
    assert len(list((tmp_path / "several").glob("*/report.html"))) == 7
    assert len((tmp_path / "sounds.csv").read_text().splitlines()) == 1 + 5 * 30
    assert (tmp_path / "events.csv").read_text().startswith("path,start_seconds,")
    assert (tmp_path / "events.jsonl").read_text().count("escnn.recording/1") == 30
    assert said["escnn evaluate --model runs/fold5-1"].startswith(b"fold 5: ")
    assert b"standard deviation" in said["escnn evaluate --cross-validate runs/cv"]


def test_every_make_target_of_the_readme_is_run_by_ci() -> None:
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = [line.split()[1] for line in COMMANDS if line.startswith("make ")]
    assert targets == ["demo", "test"]
    for target in targets:
        assert f"\nmake {target} " in ci
        assert f"\n{target}:" in makefile


def test_the_python_of_the_readme_runs(class_folders: Path, tmp_path: Path) -> None:
    shutil.copy(class_folders / "low" / "0.wav", tmp_path / "clip.wav")
    code = next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "import escnn" in code)
    printed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert len(eval(printed.stdout)) == 3
    assert (tmp_path / "report" / "report.html").is_file()


@pytest.mark.slow
def test_the_example_goes_from_sounds_to_a_page(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "train_and_look.py"), str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    accuracy = float(re.search(r"accuracy ([\d.]+)", printed)[1])
    assert accuracy > 0.8, printed
    assert "('rising'," in printed.splitlines()[-2].split(")")[0], printed
    for file in ("evaluation/evaluation.json", "report/report.html", "report/prediction.json"):
        assert (tmp_path / file).is_file()


def test_every_link_to_a_file_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_test_that_security_md_relies_on_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text("utf-8")))
    there = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
    }
    assert len(named) > 20
    assert named <= there, named - there


def test_the_lists_of_the_light_install_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    light, serve = (
        {line for line in (ROOT / f"requirements-{name}.txt").read_text("utf-8").splitlines() if line[:1] != "#"}
        for name in ("light", "serve")
    )
    assert light < set(project["dependencies"])
    assert serve == set(project["optional-dependencies"]["serve"])
