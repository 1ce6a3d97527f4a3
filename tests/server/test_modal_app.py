"""The example for Modal calls escnn as escnn is, with a stand-in for Modal itself."""

from __future__ import annotations

import base64
import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import stand_in_modal
from conftest import SMALL_TRAINING
from server.test_sounds import SOUND
from starlette.testclient import TestClient

from escnn.data import download
from escnn.runs import settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "modal_app.py"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "modal", stand_in_modal)
    spec = importlib.util.spec_from_file_location("modal_app", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VOLUME", tmp_path)
    monkeypatch.setattr(module, "RUN", tmp_path / "run")
    return module


def test_it_trains_keeps_the_run_and_serves_its_model(
    example: ModuleType, class_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.PRESETS, "default", SMALL_TRAINING)
    monkeypatch.setattr(download, "download", lambda folder, **_: shutil.copytree(class_folders, folder))
    accuracy = example.train(epochs=2)
    assert 0 <= accuracy <= 1
    assert ("commit", (), {}) in example.volume.asked, "the volume keeps what was trained"
    assert example.app.functions["train"]["gpu"]
    monkeypatch.setenv("ESCNN_TOKEN", "guess me")
    with TestClient(example.serve(), base_url="https://somebody--escnn-serve.example") as client:
        body = {"audio_data": base64.b64encode(SOUND).decode()}
        assert client.post("/inference", json=body).status_code == 401
        token = {"authorization": "Bearer guess me", "origin": "https://a-page.example"}
        answer = client.post("/inference", json=body, headers=token)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert {one["class"] for one in answer.json()["predictions"]} <= {"low", "middle", "high"}


def test_before_a_training_it_serves_the_bundled_model(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCNN_TOKEN", "guess me")
    with TestClient(example.serve()) as client:
        model = client.get("/v1/model", headers={"authorization": "Bearer guess me"}).json()
    assert model["classes"] == 50
