"""Somebody without escnn gets the scores that escnn gives."""

import json
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from escnn.errors import OutputError
from escnn.inference.classifier import Classifier
from escnn.inference.export import export


@pytest.mark.parametrize("bundled", [True, False])
def test_the_script_says_what_escnn_says(small_model: Path, tmp_path: Path, bundled: bool) -> None:
    model = None if bundled else small_model
    written = export(model, tmp_path / "model.onnx")
    code = f"import sys; sys.modules['escnn'] = sys.modules['torch'] = None; exec(open({str(written.script)!r}).read())"
    command = [sys.executable, "-c", code, str(written.model), str(written.sound)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    expected = json.loads(written.output.read_text())
    assert [answer["label"] for answer in said] == [answer["label"] for answer in expected]
    for answer, other in zip(said, expected, strict=True):
        assert answer["score"] == pytest.approx(other["score"], abs=1e-4)
    prediction = Classifier.load(model).predict(written.sound)
    assert len(prediction.window_starts) == 2
    assert expected[0]["score"] == pytest.approx(prediction.top(1)[0][2], abs=1e-6)


def test_the_graph_describes_itself_and_gives_maps_if_asked(small_model: Path, tmp_path: Path) -> None:
    written = export(small_model, tmp_path / "model.onnx", feature_maps=True)
    session = onnxruntime.InferenceSession(str(written.model), providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["escnn"])
    assert card["labels"] == ["low", "middle", "high"]
    assert {"scores", "embedding", "conv1", "layer2"} <= {output.name for output in session.get_outputs()}


def test_nothing_is_replaced_unless_forced(small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "model-demo.wav").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        export(small_model, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model-demo.wav"]
    export(small_model, tmp_path / "model.onnx", force=True)
    assert (tmp_path / "model-demo.wav").stat().st_size > 1_000
