"""A server in this process, and one of its own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ESCNN
from starlette.testclient import TestClient

from escnn.server.app import create_app
from escnn.server.settings import ServerSettings


@pytest.fixture(scope="session")
def server(small_model: Path) -> Iterator[TestClient]:
    """A server of the small model, at most half a megabyte and ten seconds a sound."""
    settings = ServerSettings(model=str(small_model), max_megabytes=0.5, max_seconds=10.0)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


class Running:
    """`escnn serve` in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def children(self) -> list[int]:
        """Its processes, by number."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in text.split()]


@contextmanager
def running(*options: object, port: int = 0) -> Iterator[Running]:
    """Start a server on a port, by default a free one; it is ended if it has not been."""
    command = [*ESCNN, "serve", "--port", str(port), *map(str, options)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("serving on http://"), line + process.stderr.read()
    try:
        yield Running(process, line.removeprefix("serving on ").partition(";")[0])
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        process.stderr.close()


@pytest.fixture(scope="session")
def own_process(small_model: Path) -> Iterator[Running]:
    """One that serves the small model."""
    with running("--model", small_model, "--max-megabytes", 2, "--max-seconds", 70) as one:
        yield one


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
