"""What the README says of the server: every command, the Python and the JavaScript."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from report.browser import needs_chromium
from server.conftest import Running
from server.test_sounds import SOUND

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return [code for code in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if ADDRESS in code]


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("curl")]
CURLS = [line.split("   #")[0].strip() for line in COMMANDS]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("line", CURLS)
def test_every_curl_works(own_process: Running, tmp_path: Path, line: str) -> None:
    (tmp_path / "clip.wav").write_bytes(SOUND)
    command = shlex.split(line.replace(ADDRESS, own_process.url))
    done = subprocess.run([command[0], "--fail", "-sS", *command[1:]], cwd=tmp_path, capture_output=True, check=True)
    if "-o" in command:
        assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    else:
        assert done.stdout.startswith((b'{"schema":"escnn.', b"path,status"))


def test_there_are_five_of_them() -> None:
    assert len(CURLS) == 5


def test_the_python_works(own_process: Running, tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(SOUND)
    (code,) = blocks("python")
    command = [sys.executable, "-c", code.replace(ADDRESS, own_process.url)]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert set(eval(printed)) == {"label", "class_id", "score", "max_score"}


@needs_chromium
def test_the_javascript_works(browser: Browser, own_process: Running) -> None:
    (code,) = blocks("js")
    page = browser.new_page()
    page.goto(own_process.url)
    sound = f"const file = new File([new Uint8Array({list(SOUND)})], 'clip.wav');"
    wrapped = f"async () => {{ {sound} {code.replace(ADDRESS, own_process.url)}; return predictions[0]; }}"
    assert set(page.evaluate(wrapped)) == {"label", "class_id", "score", "max_score"}
    page.close()
