"""`POST /v1/detect` tells what `escnn detect` tells, and refuses what other routes refuse."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jsonschema
import numpy as np
import pytest
from conftest import escnn, tone
from server.conftest import Running
from server.test_edge import client_of
from server.test_sounds import RATE, SILENCE, SOUND, WAV, wav
from starlette.testclient import TestClient

from escnn.detection.output.formats import schema
from escnn.server.routes.events import LinesResponse

ASKED = {"min_score": 0.1, "merge_seconds": 0}  # what random weights reach


def sound_of(seconds: float) -> bytes:
    rng = np.random.default_rng(0)
    samples = 0.01 * rng.standard_normal(round(seconds * RATE)).astype(np.float32)
    samples[RATE : 2 * RATE] += tone(700, 1.0, RATE)
    return wav(samples)


LONG = sound_of(8.0)


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("as_form", [True, False])
def test_events_are_those_of_detect(server: TestClient, model: Path, tmp_path: Path, as_form: bool) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(LONG)
    if as_form:
        answer = server.post("/v1/detect", params=ASKED, files={"file": ("clip.wav", LONG)})
    else:
        answer = server.post("/v1/detect", params=ASKED | {"name": "clip.wav"}, content=LONG, headers=WAV)
    assert answer.status_code == 200
    lines = lines_of(answer)
    for line in lines:
        jsonschema.validate(line, schema())
    found = escnn("detect", path, "--min-score", 0.1, "--merge-seconds", 0)
    expected = [json.loads(line) | {"path": "clip.wav"} for line in found.stdout.splitlines()]
    assert len(expected) > 3
    assert sorted(map(str, lines)) == sorted(map(str, expected))
    assert lines[-1]["schema"] == "escnn.recording/1"


def test_only_what_is_asked_for_is_told(server: TestClient) -> None:
    answer = server.post("/v1/detect", params=ASKED | {"class": ["high"]}, content=LONG, headers=WAV)
    assert {line["label"] for line in lines_of(answer)[:-1]} == {"high"}
    refused = server.post("/v1/detect", params={"class": "hihg"}, content=LONG, headers=WAV)
    assert (refused.status_code, refused.json()["error"]["hint"]) == (422, "did you mean high?")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"hello, this is no sound" * 9, 415, "not_audio"), (b"", 422, "invalid"), (SILENCE, 422, "silent"),
        (wav(tone(440, 11.0, RATE)), 413, "too_long"), (bytes(600_000), 413, "too_large"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(server: TestClient, body: bytes, status: int, code: str) -> None:
    answer = server.post("/v1/detect", content=body, headers=WAV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert server.app.state.engine.in_hand == 0  # type: ignore[attr-defined]
    assert server.app.state.budget.held == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("asked", [{"min_score": 2}, {"min_seconds": -1}, {"merge_seconds": "x"}, {"min_score": "nan"}])
def test_a_setting_that_cannot_be_is_refused(server: TestClient, asked: dict[str, Any]) -> None:
    assert server.post("/v1/detect", params=asked, content=SOUND, headers=WAV).status_code == 422


def test_what_was_held_is_given_back(server: TestClient) -> None:
    for _ in range(3):
        assert server.post("/v1/detect", content=LONG, headers=WAV).status_code == 200
    assert server.app.state.engine.in_hand == 0  # type: ignore[attr-defined]
    assert server.app.state.budget.held == 0  # type: ignore[attr-defined]
    assert not server.app.state.engine.detecting.locked()  # type: ignore[attr-defined]


def test_more_than_the_queue_holds_is_told_to_come_back(server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = server.app.state.engine  # type: ignore[attr-defined]
    monkeypatch.setattr(engine, "in_hand", engine.settings.queue)
    assert server.post("/v1/detect", content=SOUND, headers=WAV).status_code == 503


def test_it_takes_the_token(small_model: Path) -> None:
    with client_of(small_model, token="guess me") as client:
        assert client.post("/v1/detect", content=SOUND, headers=WAV).status_code == 401
        right = {"authorization": "Bearer guess me"}
        assert client.post("/v1/detect", content=SOUND, headers=WAV | right).status_code == 200


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(own_process: Running) -> None:
    address = (httpx.URL(own_process.url).host, httpx.URL(own_process.url).port)
    lines = ("POST /v1/detect HTTP/1.1", "Host: localhost", "Content-Type: audio/wav", f"Content-Length: {len(LONG)}")
    for read in (0, 100):
        for _ in range(10):
            with socket.create_connection(address) as connection:
                connection.sendall("\r\n".join((*lines, "", "")).encode() + LONG)
                if read:
                    connection.recv(read)
    until = time.monotonic() + 10
    while "escnn_requests_in_hand 0.0" not in httpx.get(f"{own_process.url}/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert httpx.post(f"{own_process.url}/v1/detect", content=LONG, headers=WAV, timeout=60).status_code == 200


def test_what_takes_too_long_ends_with_a_line_that_says_so(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: object) -> AsyncIterator[dict[str, Any]]:
        yield {"schema": "escnn.event/1"}
        await asyncio.sleep(30)

    monkeypatch.setattr("escnn.server.engine.documents", slow)
    with client_of(small_model, timeout_seconds=4) as client:
        answer = client.post("/v1/detect", content=SOUND, headers=WAV)
        assert client.app.state.engine.in_hand == 0  # type: ignore[attr-defined]
        assert client.app.state.budget.held == 0  # type: ignore[attr-defined]
    lines = lines_of(answer)
    assert [line.get("schema") for line in lines] == ["escnn.event/1", None]
    assert lines[1]["error"]["code"] == "busy"


def test_no_line_is_found_for_a_client_that_has_left() -> None:
    found = 0

    async def endless() -> AsyncIterator[dict[str, Any]]:
        nonlocal found
        while True:
            found += 1
            await asyncio.sleep(0)
            yield {"line": found}

    async def left() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None: ...

    response = LinesResponse(endless(), AsyncExitStack())
    sent = asyncio.wait_for(response({"type": "http"}, left, send), 5)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool:  # the tests of pages leave a loop in this thread
        pool.submit(asyncio.run, sent).result()
    assert found < 10
