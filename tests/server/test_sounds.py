"""What is sent is named as `escnn predict` names it; what is no sound is told so."""

from __future__ import annotations

import base64
import csv
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jsonschema
import msgspec
import numpy as np
import pytest
import soundfile
from conftest import escnn, tone
from server.conftest import Running
from starlette.testclient import TestClient

from escnn import Classifier, analyze
from escnn.analysis.formats import AnalysisDocument
from escnn.inference.formats import schema
from escnn.inference.onnx_runtime import OnnxRuntime

RATE = 8_000
WAV = {"content-type": "audio/wav"}


def wav(samples: np.ndarray, **options: Any) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, format=options.pop("format", "WAV"), **options)
    return content.getvalue()


SOUND = wav(tone(440, 0.5, RATE))
LONG = wav(np.concatenate([tone(440, 0.7, RATE), tone(2_000, 0.6, RATE)]))


@pytest.mark.parametrize("sound", [SOUND, LONG], ids=["one window", "three windows"])
@pytest.mark.parametrize("as_form", [True, False])
def test_a_sound_is_named_as_predict_names_it(
    server: TestClient, model: Path, tmp_path: Path, sound: bytes, as_form: bool
) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(sound)
    options = {"top_k": 2, "min_score": 0.1, "windows": True}
    if as_form:
        answer = server.post("/v1/predict", params=options, files={"file": ("clip.wav", sound)})
    else:
        answer = server.post("/v1/predict", params=options | {"name": "clip.wav"}, content=sound, headers=WAV)
    assert answer.status_code == 200
    document = answer.json()
    jsonschema.validate(document, schema())
    command = ["predict", path, "--top-k", 2, "--min-score", 0.1, "--windows"]
    assert document == json.loads(escnn(*command).stdout) | {"path": "clip.wav"}


def test_rows_are_those_of_predict(server: TestClient) -> None:
    answer = server.post("/v1/predict?top_k=2&name=a.wav", content=SOUND, headers={**WAV, "accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["path"], row["status"], row["rank"]) for row in rows] == [("a.wav", "ok", "1"), ("a.wav", "ok", "2")]


def test_an_analysis_holds_every_map_with_its_numbers(server: TestClient, small_model: Path) -> None:
    document = server.post("/v1/analyze?name=a.wav", content=LONG, headers=WAV).json()
    read = msgspec.convert(document, AnalysisDocument)
    samples, _ = soundfile.read(io.BytesIO(LONG), dtype="float32")
    analysis = analyze((samples, RATE), Classifier.load(small_model), name="a.wav")
    assert read.prediction == analysis.prediction.to_json(windows=True)
    assert read.main_window == analysis.main
    assert list(read.feature_maps) == list(analysis.card.layers)
    for layer, maps in analysis.feature_maps.items():
        shown = read.feature_maps[layer]
        assert (shown.channels, *shown.shape) == maps.shape
        np.testing.assert_allclose(shown.values, maps.mean(axis=0), atol=2e-3 * np.abs(maps).max())
    np.testing.assert_allclose(read.spectrogram.values, analysis.detail.log_mel, atol=0.06)
    assert read.saliency is not None
    assert [one.class_id for one in read.saliency] == list(analysis.detail.class_ids)
    assert analysis.detail.saliency is not None
    np.testing.assert_allclose(read.saliency[0].values, analysis.detail.saliency[0], atol=1e-2)
    assert max(read.waveform.high) == pytest.approx(analysis.detail.samples.max(), abs=1e-3)
    assert read.sha256 != analysis.sha256, "that of the file that was sent, not of its samples"


def test_an_analysis_comes_as_the_page_of_visualize(server: TestClient) -> None:
    page = server.post("/v1/analyze", files={"file": ("<b>.wav", SOUND)}, headers={"accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Content-Security-Policy" in page.text
    assert "Inside the network" in page.text
    assert "&lt;b&gt;.wav" in page.text


def test_a_sound_longer_than_a_minute_comes_as_the_page_of_a_recording(own_process: Running) -> None:
    url, long = f"{own_process.url}/v1/analyze", {"file": ("<b>_20240702_064404.wav", wav(tone(700, 61.0, RATE)))}
    page = httpx.post(url, files=long, headers={"accept": "text/html"}, timeout=60)
    assert page.status_code == 200
    assert "Inside the network" not in page.text
    assert 'id="timeline"' in page.text
    assert "2024" in page.text
    assert "<b>_2024" not in page.text
    assert httpx.post(url, files=long, timeout=60).json()["schema"].startswith("escnn.analysis/")


def test_without_torch_there_is_all_but_the_evidence(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxRuntime, "has_saliency", property(lambda _: False))
    analysis = analyze(SOUND, small_model, name="a.wav")
    assert analysis.detail.saliency is None
    assert set(analysis.feature_maps) == set(analysis.card.layers)
    assert "made without PyTorch" in analysis.to_html()


def test_the_endpoint_of_the_model_project_gives_what_its_page_expects(server: TestClient, small_model: Path) -> None:
    samples = 0.1 * tone(300, 0.5, RATE)
    samples[1_234], samples[2_345] = 0.9, -0.8  # peaks that decimation would miss
    sound = wav(samples)
    answer = server.post("/inference", json={"audio_data": base64.b64encode(sound).decode()})
    assert answer.status_code == 200
    document = answer.json()
    assert set(document) == {"predictions", "visualization", "input_spectrogram", "waveform"}
    classifier = Classifier.load(small_model)
    best = classifier.predict(sound).top(3)
    assert document["predictions"] == [
        {"class": label, "confidence": pytest.approx(score, abs=1e-6)} for label, _, score in best
    ]
    analysis = analyze(sound, classifier, saliency=False)
    assert set(document["visualization"]) == set(analysis.card.layers)
    for layer, maps in analysis.feature_maps.items():
        shown = document["visualization"][layer]
        assert tuple(shown["shape"]) == np.shape(shown["values"]) == maps.shape[1:]
        np.testing.assert_allclose(shown["values"], maps.mean(axis=0), atol=2e-3 * np.abs(maps).max())
    stages = [name for name in document["visualization"] if "." not in name]
    assert stages[0] == "conv1"
    assert all(name.split(".")[0] in stages for name in document["visualization"])
    spectrogram = document["input_spectrogram"]
    assert tuple(spectrogram["shape"]) == np.shape(spectrogram["values"]) == analysis.detail.log_mel.shape
    waveform = document["waveform"]
    assert waveform["duration"] == pytest.approx(0.5)
    assert len(waveform["values"]) / waveform["sample_rate"] == pytest.approx(waveform["duration"])
    assert max(waveform["values"]) == pytest.approx(0.9, abs=1e-3)
    assert min(waveform["values"]) == pytest.approx(-0.8, abs=1e-3)


def test_a_long_waveform_keeps_its_peaks_and_its_rate() -> None:
    from escnn.server.model_project import inference_document

    samples = 0.1 * tone(300, 0.5, 48_000)
    samples[12_345] = 0.95
    document = inference_document(analyze((samples, 48_000), saliency=False))["waveform"]
    assert len(document["values"]) == 8_000
    assert document["sample_rate"] * document["duration"] == pytest.approx(8_000)
    assert max(document["values"]) > 0.5


@pytest.mark.parametrize("prefix", ["", "data:audio/wav;base64,"])
def test_base64_may_come_as_an_address_and_in_lines(server: TestClient, prefix: str) -> None:
    lines = base64.encodebytes(SOUND).decode()
    assert server.post("/inference", json={"audio_data": prefix + lines}).status_code == 200


def test_base64_may_be_that_of_addresses_but_nothing_is_guessed(server: TestClient) -> None:
    sound = wav(np.random.default_rng(0).uniform(-1, 1, 4_000).astype(np.float32))
    plain = server.post("/inference", json={"audio_data": base64.b64encode(sound).decode()}).json()
    url_safe = base64.urlsafe_b64encode(sound).decode()
    assert "-" in url_safe
    assert server.post("/inference", json={"audio_data": url_safe}).json() == plain
    assert server.post("/inference", json={"audio_data": url_safe.replace("-", "!")}).status_code == 422


@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", "utf-7", "none such", "utf-8"])
def test_the_charset_of_a_form_is_nobodys_choice(server: TestClient, charset: str) -> None:
    slow = b"a-" + b"a" * 50_000  # what punycode would take seconds for
    part = b'--X\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    name = rb'; filename="\ud800x.wav"'
    headers = {"content-type": f"multipart/form-data; boundary=X; charset={charset}"}
    started = time.perf_counter()
    refused = server.post("/v1/predict", content=part % (b"x", b"", slow) + b"--X--\r\n", headers=headers)
    assert refused.status_code == 400
    assert time.perf_counter() - started < 1
    named = server.post("/v1/predict", content=part % (b"file", name, SOUND) + b"--X--\r\n", headers=headers)
    assert (named.status_code, named.json()["path"]) == (200, "\\ud800x.wav")


def test_a_long_silence_is_not_read_to_its_end(server: TestClient) -> None:
    sound = bytearray(wav(np.zeros(60 * RATE, dtype=np.float32)))
    sound[4:8] = sound[40:44] = b"\xff\xff\xff\xff"  # a stream, whose header does not know its length
    answer = server.post("/v1/predict", content=bytes(sound[:400_000]), headers=WAV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_long")
    assert "longer than 10 seconds" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("text/csv", "text/csv"), ("TEXT/CSV;q=0.5, */*", "text/csv"), ("text/csv;q=0", "application/json"),
     ("text/csvx", "application/json"), ("*/*", "application/json"), ("", "application/json")],
)  # fmt: skip
def test_rows_come_to_those_who_ask_for_them(server: TestClient, accept: str, kind: str) -> None:
    answer = server.post("/v1/predict", content=SOUND, headers={**WAV, "accept": accept})
    assert answer.headers["content-type"].startswith(kind)


SILENCE = wav(np.zeros(4_000, dtype=np.float32))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"hello, this is no sound" * 9, 415, "not_audio"), (b"", 422, "invalid"), (SILENCE, 422, "silent"),
        (SOUND[:50], 422, "empty"), (b"RIFF\xff\xff\xff\xffWAVEfmt ", 415, "not_audio"),
        (bytes(400_000), 415, "not_audio"),
        (wav(tone(440, 11.0, RATE)), 413, "too_long"), (bytes(600_000), 413, "too_large"),
        (b"fLaC" + bytes(range(256)) * 8, 415, "not_audio"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", ["/v1/predict", "/v1/analyze"])
def test_what_cannot_be_read_is_told_in_its_own_way(
    server: TestClient, route: str, body: bytes, status: int, code: str
) -> None:
    for answer in (
        server.post(route, content=body, headers=WAV),
        server.post(route, files={"file": ("a.wav", body)}) if body else None,
    ):
        if answer is not None:
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
            assert set(answer.json()["error"]) == {"code", "message", "hint"}
    assert server.app.state.engine.in_hand == 0  # type: ignore[attr-defined]
    assert server.app.state.budget.held == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"url": "/v1/predict", "content": SOUND, "headers": {"content-type": "text/plain"}}, 415),
        ({"url": "/v1/predict", "content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"url": "/v1/predict", "content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400),
        ({"url": "/v1/predict", "data": {"text": "no file"}, "files": {}}, 415),
        ({"url": "/v1/predict", "files": {"other": (None, "text")}}, 422),
        ({"url": "/v1/predict?top_k=0", "content": SOUND, "headers": WAV}, 422),
        ({"url": "/v1/predict?min_score=2", "content": SOUND, "headers": WAV}, 422),
        ({"url": "/inference", "json": {"audio_data": "!!!"}}, 422),
        ({"url": "/inference", "json": {"audio_data": 7}}, 422),
        ({"url": "/inference", "json": ["audio_data"]}, 422),
        ({"url": "/inference", "content": b"{" * 100_000}, 422),
        ({"url": "/inference", "json": {"audio_data": base64.b64encode(b"no sound" * 9).decode()}}, 415),
        ({"url": "/inference", "json": {"audio_data": "A" * 900_000}}, 413),
        ({"url": "/nothing", "content": SOUND}, 404),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(server: TestClient, request_: dict[str, Any], status: int) -> None:
    answer = server.post(**request_)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_a_body_without_a_length_is_counted_as_it_comes(server: TestClient) -> None:
    def pieces() -> Any:
        for _ in range(100):
            yield bytes(10_000)

    answer = server.post("/v1/predict", content=pieces(), headers=WAV)
    assert answer.status_code == 413
    assert server.app.state.budget.held == 0  # type: ignore[attr-defined]


def test_no_upload_is_written_to_disk(server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    sound = wav(tone(440, 9.0, RATE), subtype="FLOAT")
    assert len(sound) > 250_000
    monkeypatch.setattr("starlette.formparsers.MultiPartParser.spool_max_size", 1_000)
    assert server.post("/v1/predict", files={"file": ("a.wav", sound)}).status_code == 200


def test_a_damaged_sound_is_named_with_a_warning(server: TestClient) -> None:
    cut = LONG[: len(LONG) // 2]
    document = server.post("/v1/predict", content=cut, headers=WAV).json()
    assert document["status"] == "ok"
    assert "its header promised" in document["warnings"][0]
