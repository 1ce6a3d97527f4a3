"""The socket: what goes in comes out as `escnn listen` tells it; who may open one, how many, for how long."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jsonschema
import numpy as np
import pytest
from conftest import escnn, tone
from server.conftest import Running, running
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from escnn.live.formats import schema

RATE = 8_000
LOCAL = f"ws://localhost/v1/stream?rate={RATE}"
ASKED = "min_score=0.1&merge_seconds=0"
SOUND = (32_767 * np.concatenate([0.01 * np.random.default_rng(0).standard_normal(RATE), tone(700, 5.0, RATE)])).astype(
    "<i2"
)


@pytest.fixture(scope="module")
def own(small_model: Path) -> Iterator[Running]:
    """A server that takes ten streams, and lets the idle ones go soon."""
    with running("--model", small_model, "--stream-idle-seconds", 2) as one:
        yield one


def opened(server: Running, query: str = ASKED, **options: Any) -> ClientConnection:
    address = f"{server.url.replace('http', 'ws')}/v1/stream?rate={RATE}&{query}"
    return connect(address, compression=None, **options)


def rest(connection: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """What comes until the server closes, with its code and reason."""
    lines = []
    try:
        while True:
            lines.append(json.loads(connection.recv(20)))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return lines, closed.rcvd.code, closed.rcvd.reason


def sent(connection: ClientConnection, data: bytes, size: int = 1_601) -> None:
    for first in range(0, len(data), size):  # in the middle of samples
        connection.send(data[first : first + size])


@pytest.mark.parametrize("encoding", ["s16le", "f32le"])
def test_what_comes_out_is_what_listen_tells(own: Running, model: Path, encoding: str) -> None:
    data = SOUND.tobytes() if encoding == "s16le" else (SOUND.astype("<f4") / 32_768).tobytes()
    with opened(own, f"{ASKED}&encoding={encoding}") as connection:
        assert json.loads(connection.recv(10))["schema"] == "escnn.stream/1"
        sent(connection, data)
        connection.send("end")
        lines, code, _ = rest(connection)
    assert code == 1000
    options = ["--rate", RATE, "--encoding", encoding, "--min-score", 0.1, "--merge-seconds", 0]
    expected = [json.loads(line) for line in escnn("listen", "-", *options, stdin=data).stdout.splitlines()]
    for line in lines[:-1]:
        jsonschema.validate(line, schema())
    untimed = [{k: v for k, v in line.items() if k not in ("start_time", "end_time")} for line in expected]
    if encoding == "s16le":
        assert [line | {"path": "-"} for line in lines] == untimed
    final, theirs = ([line for line in some if line.get("state") == "final"] for some in (lines, untimed))
    assert final
    assert sorted(str(line | {"path": "-", "id": 0, "told_seconds": 0}) for line in final) == sorted(
        str(line | {"id": 0, "told_seconds": 0}) for line in theirs
    )
    assert (lines[-1]["duration_seconds"], lines[-1]["events"]) == (len(SOUND) / RATE, len(final))


def test_samples_that_are_no_numbers_are_told_of_at_the_end(own: Running) -> None:
    data = SOUND.astype("<f4") / 32_768
    data[::10_000] = np.nan
    with opened(own, f"{ASKED}&encoding=f32le") as connection:
        sent(connection, data.tobytes())
        connection.send("end")
        lines, _, _ = rest(connection)
    assert lines[-1]["warnings"] == ["5 samples were not finite numbers and were silenced"]


def test_the_best_classes_come_with_every_step(own: Running) -> None:
    with opened(own, "scores=2") as connection:
        step = json.loads(connection.recv(10))["step_seconds"]
        sent(connection, SOUND.tobytes(), 500)
        connection.send("end")
        lines, _, _ = rest(connection)
    told = [line for line in lines if line["schema"] == "escnn.live_scores/1"]
    assert len(told) > 0.8 * len(SOUND) / RATE / step
    for line in told:
        assert len(line["scores"]) == 2
        assert 1 >= line["scores"][0]["score"] >= line["scores"][1]["score"] >= 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("rate=7", "rate"), ("encoding=mp3", "encoding"), ("class=hihg", "did you mean high?"),
        ("min_score=7", "min_score"), ("scores=1000", "scores"), ("rate=x", "rate"),
        ("class=" + 100 * "%E2%82%AC", "no class"),  # a reason that is too long in bytes
    ],
)  # fmt: skip
def test_a_stream_that_cannot_be_says_why(own: Running, query: str, said: str) -> None:
    address = f"{own.url.replace('http', 'ws')}/v1/stream?{query}"
    with connect(address) as connection:
        lines, code, reason = rest(connection)
    assert code == 1008
    assert said in str(lines[0]["error"])
    assert reason


def test_what_is_no_pcm_ends_it(own: Running) -> None:
    with opened(own) as connection:
        connection.recv(10)
        connection.send("hello")
        lines, code, _ = rest(connection)
    assert (code, lines[0]["error"]["code"]) == (1003, "media_type")
    with opened(own) as connection:
        connection.recv(10)
        connection.send(bytes(300_000))
        assert rest(connection)[1] == 1009
    with opened(own) as connection:
        connection.recv(10)
        with suppress(ConnectionClosed):  # it may be closed before the last part
            connection.send(iter([bytes(100_000)] * 5))  # one message in parts
        assert rest(connection)[1] == 1009


def test_one_that_falls_silent_is_told_what_is_known_and_let_go(own: Running) -> None:
    with opened(own) as connection:
        sent(connection, SOUND.tobytes())
        lines, code, reason = rest(connection)
    assert code == 1008
    assert "nothing came" in reason
    assert [line["schema"] for line in lines if line.get("schema")][-1] == "escnn.recording/1"


def test_ten_at_once_are_heard_and_the_eleventh_is_told_to_come_back(own: Running) -> None:
    with ExitStack() as stack:
        ten = [stack.enter_context(opened(own)) for _ in range(10)]
        for one in ten:
            assert json.loads(one.recv(10))["schema"] == "escnn.stream/1"
        with opened(own) as eleventh:
            lines, code, reason = rest(eleventh)
        assert (code, lines[0]["error"]["code"]) == (1013, "busy")
        assert "10 streams" in reason
        for first in range(0, len(SOUND), 1_600):
            for one in ten:
                one.send(SOUND[first : first + 1_600].tobytes())
        for one in ten:
            one.send("end")
        answers = [rest(one) for one in ten]
    assert {code for _, code, _ in answers} == {1000}
    assert all(lines == answers[0][0] for lines, _, _ in answers)
    with opened(own) as again:
        assert json.loads(again.recv(10))["schema"] == "escnn.stream/1"


def test_a_connection_that_is_cut_leaves_its_place(own: Running) -> None:
    for _ in range(12):
        with opened(own) as connection:
            connection.recv(10)
            connection.send(SOUND.tobytes()[:20_000])
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset it
            connection.socket.close()
    until = time.monotonic() + 10
    while "escnn_streams 0.0" not in httpx.get(f"{own.url}/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_client_that_does_not_read_stops_being_heard(own: Running) -> None:
    """It may send, but what it is told piles up nowhere."""
    address = (httpx.URL(own.url).host, httpx.URL(own.url).port)
    key = base64.b64encode(bytes(16)).decode()
    lines = (
        f"GET /v1/stream?rate={RATE}&{ASKED}&scores=100 HTTP/1.1", "Host: localhost", "Connection: Upgrade",
        "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", "",
    )  # fmt: skip
    frame = b"\x82\xfe" + (4_000).to_bytes(2, "big") + bytes(4) + bytes(4_000)
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall("\r\n".join(lines).encode())
        connection.settimeout(1)
        with pytest.raises((TimeoutError, ConnectionError)):
            for _ in range(100_000):
                connection.sendall(frame)
    assert httpx.get(f"{own.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "null", "http://localhost:1"]
)
def test_a_page_of_another_origin_may_not_open_one(own: Running, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(own, origin=origin):
        pass
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["error"]["code"] == "origin"


def test_its_own_page_and_those_that_are_named_may(own: Running, small_model: Path) -> None:
    with opened(own, origin=own.url) as connection:
        assert json.loads(connection.recv(10))["schema"] == "escnn.stream/1"
    with running("--model", small_model, "--cors-origin", "https://example.org") as other:
        with opened(other, origin="https://example.org") as connection:
            assert json.loads(connection.recv(10))["schema"] == "escnn.stream/1"
        with pytest.raises(InvalidStatus), opened(other, origin="https://example.com"):
            pass


def test_a_name_that_leads_here_from_elsewhere_is_no_way_in(server: TestClient) -> None:
    headers = {"host": "evil.example", "origin": "http://evil.example"}
    with pytest.raises(WebSocketDenialResponse) as refused, server.websocket_connect(LOCAL, headers=headers):
        pass
    assert refused.value.status_code == 421


def test_the_token_comes_in_a_header_or_as_a_subprotocol(small_model: Path) -> None:
    token = "guess me/+?"

    def encoded(text: str) -> str:
        return f"token.{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}"

    with running("--model", small_model, "--token", token) as server:
        for wrong in (
            {}, {"additional_headers": {"Authorization": "Bearer guess"}}, {"subprotocols": ["escnn.live"]},
            {"subprotocols": ["escnn.live", encoded("guess")]}, {"subprotocols": ["escnn.live", "token.%%%"]},
            {"subprotocols": ["escnn.live", "token."]},
            {"additional_headers": {"Authorization": "Basic x"}, "subprotocols": [encoded(token)]},
        ):  # fmt: skip
            with pytest.raises(InvalidStatus) as refused, opened(server, **wrong):
                pass
            assert refused.value.response.status_code == 401, wrong
        for right in (
            {"additional_headers": {"Authorization": f"Bearer {token}"}},
            {"subprotocols": ["escnn.live", encoded(token)]},
        ):
            with opened(server, **right) as connection:
                assert json.loads(connection.recv(10))["schema"] == "escnn.stream/1"
                assert connection.subprotocol == ("escnn.live" if "subprotocols" in right else None)


def test_an_address_that_asks_too_often_waits(small_model: Path) -> None:
    with running("--model", small_model, "--requests-per-minute", 2) as server:
        for _ in range(2):
            with opened(server) as connection:
                connection.recv(10)
        with pytest.raises(InvalidStatus) as refused, opened(server):
            pass
        assert refused.value.response.status_code == 429


def test_without_a_socket_it_says_that_it_is_one(server: TestClient) -> None:
    answer = server.get("/v1/stream")
    assert (answer.status_code, answer.json()["error"]["code"]) == (426, "upgrade")
    described = server.get("/openapi.json").json()["paths"]
    assert {"101", "403", "426", "503"} <= set(described["/v1/stream"]["get"]["responses"])
    assert "application/x-ndjson" in described["/v1/detect"]["post"]["responses"]["200"]["content"]


def test_a_server_that_stops_closes_what_is_open(small_model: Path) -> None:
    with running("--model", small_model) as server:
        with opened(server) as connection:
            connection.recv(10)
            server.process.terminate()
            lines, code, _ = rest(connection)
        assert (lines, code) == ([], 1012)
        assert server.process.wait(30) == 0


def test_streams_are_counted_and_a_bug_is_told_as_no_more(server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/home/somebody/secret")

    monkeypatch.setattr("escnn.server.streams.Stream.feed", broken)
    with server.websocket_connect(LOCAL) as connection:
        connection.receive_json()
        connection.send_bytes(bytes(100))
        with pytest.raises(WebSocketDisconnect) as closed:
            connection.receive_json()
    assert (closed.value.code, closed.value.reason) == (1011, "a bug in the server")
    text = server.get("/metrics").text
    assert 'escnn_requests_total{method="WEBSOCKET",path="/v1/stream",status="500"}' in text
    assert "escnn_streams 0.0" in text
