"""`escnn serve` as a process: it starts, it ends, and what goes wrong costs one request."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from conftest import assert_ends, tone
from hypothesis import HealthCheck, given, settings
from server.conftest import Running, running
from server.test_sounds import LONG, SOUND, WAV, wav

from escnn.model.model_file import BUNDLED_MODEL


def head(length: int) -> bytes:
    """The head of a request whose body is so long."""
    lines = ("POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: audio/wav", f"Content-Length: {length}")
    return "\r\n".join((*lines, "", "")).encode()


def predict(server: Running, sound: bytes = SOUND) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/predict", content=sound, headers=WAV, timeout=60)


def runs(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_what_is_in_hand_and_then_itself(small_model: Path, signal_number: signal.Signals) -> None:
    minute = wav(tone(440, 60.0, 8_000))
    with running("--model", small_model) as server:
        predict(server)
        children = server.children()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(predict, server, minute) for _ in range(8)]
            time.sleep(0.3)
            server.process.send_signal(signal_number)
            answers = [one.exception() or one.result().status_code for one in asked]
        assert server.process.wait(30) == 0
    assert any(answer == 200 for answer in answers)
    assert all(answer == 200 or isinstance(answer, httpx.ConnectError) for answer in answers), "none was lost"
    deadline = time.monotonic() + 5
    while left := [child for child in children if runs(child)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_a_port_that_is_taken_is_wrong_usage(own_process: Running) -> None:
    assert_ends(2, "cannot be listened on", "serve", "--port", httpx.URL(own_process.url).port)


def test_a_model_that_is_not_there_is_told_as_elsewhere(tmp_path: Path) -> None:
    assert_ends(4, "no such model file", "serve", "--port", 0, "--model", tmp_path / "none.safetensors")


def test_a_decoder_that_breaks_down_costs_one_request_at_most(own_process: Running) -> None:
    predict(own_process)
    for child in own_process.children():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGSEGV)
    time.sleep(0.3)
    answers = [predict(own_process).status_code for _ in range(6)]
    assert answers.count(200) >= 4
    assert set(answers) <= {200, 422}
    assert predict(own_process).status_code == 200


def test_clients_that_go_away_leave_nothing_behind(own_process: Running) -> None:
    address = (httpx.URL(own_process.url).host, httpx.URL(own_process.url).port)
    whole = head(len(LONG)) + LONG
    for sent in (whole[:40], head(len(LONG)), whole[:9_000], whole):
        for _ in range(10):
            with socket.create_connection(address) as connection:
                connection.sendall(sent)
    assert predict(own_process).status_code == 200
    deadline = time.monotonic() + 10
    while "escnn_requests_in_hand 0.0" not in httpx.get(f"{own_process.url}/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_at_once_are_all_answered(own_process: Running) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: predict(own_process, (SOUND, LONG)[number % 2]), range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["windows"] for answer in answers[::2]} == {1}
    assert {answer.json()["windows"] for answer in answers[1::2]} == {3}


def test_what_nobody_waits_for_is_not_worked_on(small_model: Path) -> None:
    """A sound that takes long, many times over, from clients that leave at once."""
    hours = wav(np.zeros(20_000_000, dtype=np.float32), format="FLAC")  # silent, and soon sent
    with running("--model", small_model, "--max-seconds", 3600) as server:
        predict(server)
        address = (httpx.URL(server.url).host, httpx.URL(server.url).port)
        for _ in range(40):
            with socket.create_connection(address) as connection:
                connection.sendall(head(len(hours)) + hours)
                time.sleep(0.02)
        started = time.monotonic()
        assert predict(server).status_code == 200
        assert time.monotonic() - started < 10
        assert "escnn_requests_in_hand 0.0" in httpx.get(f"{server.url}/metrics").text


def test_workers_end_with_a_parent_that_was_killed(small_model: Path) -> None:
    with running("--model", small_model, "--workers", 2) as server:
        workers = server.children()
        server.process.kill()
        server.process.wait(10)
        deadline = time.monotonic() + 15
        while left := [worker for worker in workers if runs(worker)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


def test_a_model_that_was_replaced_is_not_mixed_with_the_other(small_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    shutil.copy(small_model, model)
    with running("--model", model) as server:
        shutil.copy(BUNDLED_MODEL, model)
        analyzed = httpx.post(f"{server.url}/v1/analyze", content=SOUND, headers=WAV, timeout=60)
        assert analyzed.status_code == 503
        assert "was replaced" in analyzed.json()["error"]["message"]
        assert predict(server).json()["model"]["classes"] == 3


def test_several_workers_count_together(small_model: Path) -> None:
    with running("--model", small_model, "--workers", 2) as server:
        for _ in range(20):
            assert predict(server).status_code == 200  # a connection each
        text = httpx.get(f"{server.url}/metrics").text
        counted = [
            line for line in text.splitlines() if line.startswith("escnn_requests_total") and "/v1/predict" in line
        ]
        assert sum(float(line.split()[-1]) for line in counted) == 20
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_a_head_without_end_is_not_read_to_it(own_process: Running) -> None:
    address = (httpx.URL(own_process.url).host, httpx.URL(own_process.url).port)
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200")
        connection.settimeout(10)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            connection.sendall(b"GET /healthz HTTP/1.1\r\n")
            for _ in range(400):
                connection.sendall(b"X-More: " + b"x" * 100_000 + b"\r\n")


@pytest.mark.slow
def test_a_client_that_does_not_begin_is_let_go(own_process: Running) -> None:
    address = (httpx.URL(own_process.url).host, httpx.URL(own_process.url).port)
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(1_000)
        connection.sendall(b"GET /hea")
        connection.settimeout(15)
        assert connection.recv(100) == b"", "nor is one that does not begin again"
    with socket.create_connection(address) as connection:
        connection.sendall(b"POST /v1/pred")
        connection.settimeout(15)
        assert connection.recv(100) == b""


def test_a_client_that_is_slow_is_told_so(small_model: Path) -> None:
    with running("--model", small_model, "--timeout-seconds", 1) as server:
        address = (httpx.URL(server.url).host, httpx.URL(server.url).port)
        with socket.create_connection(address) as connection:
            connection.sendall(head(9_000) + b"RI")
            connection.settimeout(10)
            assert connection.recv(1_000).startswith(b"HTTP/1.1 408")
        assert predict(server).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zeros", "base64", "flac", "nested"])
def test_hostile_bodies_are_refused_and_memory_stays_flat(own_process: Running, kind: str) -> None:
    as_json = {"content-type": "application/json"}
    body, route, headers = {
        "zeros": (bytes(20_000_000), "/v1/predict", WAV),
        "base64": (json.dumps({"audio_data": "=" * 1_000_000}).encode(), "/inference", as_json),
        "flac": (b"fLaC\0\0\0\x22" + b"\xff" * 100_000, "/v1/predict", WAV),
        "nested": (b"[" * 1_000_000, "/inference", as_json),
    }[kind]  # fmt: skip

    def held() -> int:
        return sum(
            int(Path(f"/proc/{number}/statm").read_text().split()[1])
            for number in (own_process.process.pid, *own_process.children())
        ) * 4 // 1024  # fmt: skip

    def send() -> int:
        try:
            return httpx.post(f"{own_process.url}{route}", content=body, headers=headers, timeout=30).status_code
        except httpx.WriteError:
            return 413  # refused by its declared length, before it was sent

    send()
    before = held()
    assert all(400 <= send() < 500 for _ in range(100))
    assert held() < before + 50
    assert predict(own_process).status_code == 200


def test_schemathesis_finds_no_answer_that_is_not_described(own_process: Running) -> None:
    import schemathesis
    from schemathesis import checks

    described = schemathesis.openapi.from_url(f"{own_process.url}/openapi.json")
    seen = 0
    for operation in described.get_all_operations():
        strategy = operation.ok().as_strategy()

        @given(strategy)
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def ask(case) -> None:  # type: ignore[no-untyped-def]
            nonlocal seen
            seen += 1
            response = case.call(timeout=60)
            case.validate_response(response, checks=[checks.not_a_server_error])

        ask()
    assert seen > 50
