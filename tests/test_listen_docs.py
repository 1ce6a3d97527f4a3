"""What docs/listen.md shows: every pipeline with stand-ins for what is not here, and the Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from cli.commands.test_listen import SOUND
from conftest import tone
from live.test_pcm import RATE, endless
from server.conftest import Running, own_process
from server.test_sounds import wav

TEXT = (Path(__file__).parents[1] / "docs" / "listen.md").read_text("utf-8")
LINES = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
PIPELINES = [line for line in LINES if "|" in line]
__all__ = ["own_process"]


@pytest.fixture
def hooks() -> Iterator[tuple[int, list[tuple[str, dict[str, str], dict[str, object]]]]]:
    """A server that takes what it is sent: its port, and path, headers and document of every request."""
    got: list[tuple[str, dict[str, str], dict[str, object]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, dict(self.headers.items()), json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, got
    server.shutdown()
    server.server_close()


@pytest.fixture
def bench(tmp_path: Path, model: Path) -> Path:
    """A folder with stand-ins on the PATH: recorders that play a sound, an MQTT client that keeps what it gets."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "sound.wav").write_bytes(endless(SOUND, 0xFFFFFFFF))
    (tmp_path / "sound.pcm").write_bytes(SOUND)
    (tmp_path / "token.txt").write_text("Authorization: Bearer secret\n")
    stand_ins = {
        "arecord": f"cat {tmp_path}/sound.wav",
        "ffmpeg": f"cat {tmp_path}/sound.pcm",
        "mosquitto_pub": f'echo "$@" >> {tmp_path}/topics; cat >> {tmp_path}/messages',
        "jq": "cat > /dev/null; echo dog",
        "escnn": f'exec {sys.executable} -m escnn "$@" --min-score 0.1 --merge-seconds 0 --provisional-score 0.3',
    }
    for name, script in stand_ins.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("line", PIPELINES)
def test_every_pipeline_works(
    bench: Path, line: str, hooks: tuple[int, list[tuple[str, dict[str, str], dict[str, object]]]]
) -> None:
    port, got = hooks
    environment = {**os.environ, "PATH": f"{bench / 'bin'}:{os.environ['PATH']}"}
    command = line.replace("127.0.0.1:9000", f"127.0.0.1:{port}").replace("--class dog", "--class high")
    command = command.replace("--rate 44100", f"--rate {RATE}")
    done = subprocess.run(
        ["sh", "-c", command], cwd=bench, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert " failed" not in done.stderr, done.stderr
    if "curl" in line:
        assert got
        state = "provisional" if "--exec-on" in line else "final"
        assert {document["state"] for _, _, document in got} == {state}
        assert ({headers.get("Authorization") for _, headers, _ in got} == {"Bearer secret"}) == ("token.txt" in line)
    elif "mosquitto_pub" in line:
        messages = [json.loads(one) for one in (bench / "messages").read_text().splitlines()]
        assert {one["schema"] for one in messages} >= {"escnn.live/1"}
        assert "-t home/sounds" in (bench / "topics").read_text()
    elif "labels.txt" in line:
        assert set((bench / "labels.txt").read_text().split()) == {"dog"}
    else:
        written = (bench / "heard.jsonl").read_text() if "--out" in line else done.stdout
        assert json.loads(written.splitlines()[-1])["schema"] == "escnn.recording/1"


def test_there_is_an_example_of_each() -> None:
    assert len(PIPELINES) == 8
    assert {"mosquitto_pub", "curl", "/api/webhook/", "/api/events/", "jq"} <= set(
        re.findall(r"mosquitto_pub|curl|/api/\w+/|jq", " ".join(PIPELINES))
    )


def test_the_python_works(own_process: Running, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "clip.wav").write_bytes(wav(np.concatenate([tone(440, 3.0, RATE)])))
    address = own_process.url.removeprefix("http://")
    command = [sys.executable, "-c", code.replace("127.0.0.1:8000", address)]
    began = time.monotonic()
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60).stdout
    assert "'schema': 'escnn.stream/1'" in printed.splitlines()[0]
    assert "'schema': 'escnn.recording/1'" in printed.splitlines()[-1]
    assert time.monotonic() - began < 30
