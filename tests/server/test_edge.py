"""Who may ask, how often, and what every answer tells a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import assert_ends
from server.test_sounds import SOUND, WAV
from starlette.testclient import TestClient

from escnn.errors import UsageError
from escnn.server.app import create_app
from escnn.server.settings import ServerSettings, is_loopback
from escnn.server.workers.process import TookTooLongError


def client_of(small_model: Path, **settings: Any) -> TestClient:
    app = create_app(ServerSettings(model=str(small_model), **settings))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False),
        ("::", False), ("192.168.0.7", False), ("localhost.evil.example", False), ("", False),
    ],
)  # fmt: skip
def test_loopback_is_this_machine_alone(host: str, local: bool) -> None:
    assert is_loopback(host) == local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org"])
def test_others_reach_it_only_with_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="needs --token"):
        ServerSettings(host=host)
    ServerSettings(host=host, token="guess me")
    assert_ends(2, "needs --token", "serve", "--host", host)


@pytest.mark.parametrize("token", ["", " ", "a\nb", "Schlüssel"])
def test_a_token_can_be_sent_in_a_header(token: str) -> None:
    with pytest.raises(UsageError, match="--token"):
        ServerSettings(token=token)


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/page", "ftp://example.org", ""])
def test_an_origin_is_scheme_and_host(origin: str) -> None:
    with pytest.raises(UsageError, match="--cors-origin"):
        ServerSettings(cors_origins=(origin,))


def test_without_the_token_only_the_page_and_the_health_are_shown(small_model: Path) -> None:
    with client_of(small_model, token="guess me") as client:
        for open_to_all in (
            "/",
            "/page.js",
            "/page.css",
            "/live.js",
            "/live.css",
            "/recorder.js",
            "/healthz",
            "/readyz",
        ):
            assert client.get(open_to_all).status_code == 200
        for sent in ({}, {"authorization": "Bearer guess"}, {"authorization": "Basic guess me"},
                     {"authorization": "Bearer guess me!"}, {"authorization": "Bearer"}):  # fmt: skip
            for route in ("/v1/model", "/metrics", "/openapi.json", "/demo/siren.wav"):
                assert client.get(route, headers=sent).status_code == 401
            answer = client.post("/v1/predict", content=SOUND, headers=WAV | sent)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        right = {"authorization": "Bearer guess me"}
        assert client.post("/v1/predict", content=SOUND, headers=WAV | right).status_code == 200
        assert client.get("/v1/model", headers=right).json()["labels"] == ["low", "middle", "high"]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "192.168.0.7", "localhost.evil.example", "", "evil@localhost", "[::1", "::1"],
)
def test_a_name_that_leads_here_from_elsewhere_is_no_way_in(server: TestClient, host: str) -> None:
    assert server.get("/v1/model", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.:8000", "127.0.0.1:8000", "[::1]:8000", "[::ffff:127.0.0.1]"])
def test_this_machine_may_be_called_by_all_its_names(server: TestClient, host: str) -> None:
    assert server.get("/v1/model", headers={"host": host}).status_code == 200


def test_pages_of_other_origins_may_not_read_unless_they_are_named(server: TestClient, small_model: Path) -> None:
    origin = {"origin": "https://example.org"}
    preflight = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    assert "access-control-allow-origin" not in server.get("/v1/model", headers=origin).headers
    with client_of(small_model, cors_origins=("https://example.org",), token="guess me") as client:
        asked = client.options("/inference", headers=preflight)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "https://example.org")
        answer = client.get("/v1/model", headers={**origin, "authorization": "Bearer guess me"})
        assert answer.headers["access-control-allow-origin"] == "https://example.org"
        other = client.get("/v1/model", headers={"origin": "https://evil.example", "authorization": "Bearer guess me"})
        assert "access-control-allow-origin" not in other.headers
        refused = client.get("/v1/model", headers=origin)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://example.org", "a page may read why"


def test_an_address_that_asks_too_often_waits(small_model: Path) -> None:
    with client_of(small_model, requests_per_minute=3) as client:
        answers = [client.post("/v1/predict", content=SOUND, headers=WAV) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == 200


def test_more_than_the_queue_holds_is_told_to_come_back(server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = server.app.state.engine  # type: ignore[attr-defined]
    monkeypatch.setattr(engine, "in_hand", engine.settings.queue)
    answer = server.post("/v1/predict", content=SOUND, headers=WAV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    monkeypatch.setattr(engine, "in_hand", 0)
    monkeypatch.setattr(server.app.state.budget, "most", 1_000)  # type: ignore[attr-defined]
    assert server.post("/v1/predict", content=SOUND, headers=WAV).status_code == 503


def test_the_head_can_be_had_alone(server: TestClient) -> None:
    for route in ("/", "/healthz", "/v1/model"):
        assert server.head(route).status_code == 200
    assert server.head("/v1/predict").status_code == 405


def test_an_analysis_that_fails_is_no_missing_package(server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def too_late(*_: object) -> bytes:
        raise TookTooLongError

    monkeypatch.setattr(server.app.state.engine._analyzer, "ask", too_late)  # type: ignore[attr-defined]
    answer = server.post("/v1/analyze", content=SOUND, headers=WAV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")


def test_too_many_at_once_are_told_when_to_come_back(server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("escnn.server.edge.guard.MOST_REQUESTS", 0)
    answer = server.get("/v1/model")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    monkeypatch.undo()
    assert server.get("/v1/model").status_code == 200


@pytest.mark.parametrize("route", ["/", "/healthz", "/v1/model", "/nothing", "/v1/predict"])
def test_every_answer_tells_browsers_to_be_careful(server: TestClient, route: str) -> None:
    headers = server.get(route).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    policy = server.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_bug_is_told_as_no_more_than_that(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client_of(small_model) as client:

        async def broken(*_: object) -> None:
            raise RuntimeError("/home/somebody/secret")

        monkeypatch.setattr(client.app.state.engine, "predict", broken)  # type: ignore[attr-defined]
        answer = client.post("/v1/predict", content=SOUND, headers=WAV)
    assert answer.status_code == 500
    assert answer.json()["error"] == {"code": "bug", "message": "a bug in the server", "hint": "its log says more"}


def test_what_is_counted_has_no_names_that_come_from_outside(server: TestClient) -> None:
    server.post("/v1/predict", content=SOUND, headers=WAV)
    server.get("/made/up/by/a/stranger")
    text = server.get("/metrics").text
    assert 'escnn_requests_total{method="POST",path="/v1/predict",status="200"}' in text
    assert "stranger" not in text
    assert "escnn_sound_seconds_total" in text


def test_a_demo_sound_can_be_had(server: TestClient) -> None:
    assert server.get("/demo/siren.wav").content[:4] == b"RIFF"
    assert server.get("/demo/..%2Fpage.wav").status_code == 404
    assert server.get("/demo/secret.wav").status_code == 404
