"""Inference without torch gives the scores that torch gives."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from escnn.cache import cache_folder
from escnn.errors import UsageError
from escnn.inference.classifier import Classifier
from escnn.inference.onnx_runtime import OnnxRuntime
from escnn.model.model_file import ModelFile, read_model

Writer = Callable[..., Path]


@pytest.mark.parametrize("tta", [1, 5])
def test_both_runtimes_give_the_same_scores(small_model: Path, write_sound: Writer, tta: int) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32)
    path = write_sound("a.wav", np.concatenate([tone(440, 0.7, 8_000), noise]))
    onnx, torch = (Classifier.load(small_model, runtime=name, tta=tta).predict(path) for name in ("onnx", "torch"))
    np.testing.assert_allclose(onnx.window_scores, torch.window_scores, atol=1e-4)
    assert onnx.window_starts == torch.window_starts
    assert not np.allclose(onnx.window_scores[0], onnx.window_scores[1], atol=1e-3)


def test_feature_maps_saliency_and_deletion_are_those_of_torch(small_model: Path) -> None:
    onnx, torch = (Classifier.load(small_model, runtime=name).runtime for name in ("onnx", "torch"))
    log_mel = onnx.log_mels(tone(700, 0.5, 8_000)[None])[0]
    maps, expected = onnx.feature_maps(log_mel), torch.feature_maps(log_mel)
    assert list(maps) == list(expected)
    for layer, values in expected.items():
        np.testing.assert_allclose(maps[layer], values, atol=1e-3 * np.abs(values).max() + 1e-6)
    salient = onnx.saliency(log_mel, [2, 0])
    np.testing.assert_allclose(salient, torch.saliency(log_mel, [2, 0]), atol=1e-3)
    assert onnx.deletion(log_mel, salient[0], 2) == pytest.approx(torch.deletion(log_mel, salient[0], 2), abs=1e-3)


def test_a_graph_is_kept_and_a_damaged_one_is_made_anew(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path))
    model = read_model(small_model, lazily=True)
    log_mels = np.zeros((1, 32, 32), dtype=np.float32)
    scores = OnnxRuntime(model).scores(log_mels)
    (kept,) = (cache_folder() / "graphs").iterdir()
    kept.write_bytes(b"damaged")
    np.testing.assert_array_equal(OnnxRuntime(model).scores(log_mels), scores)


def test_a_model_whose_weights_were_changed_in_memory_is_not_taken_for_that_of_its_file(small_model: Path) -> None:
    of_file = read_model(small_model, lazily=True)
    changed = ModelFile(of_file.card, {name: array / 2 for name, array in of_file.weights.items()})
    log_mels = np.random.default_rng(0).uniform(-90, -10, (1, 32, 32)).astype(np.float32)
    before, after = (OnnxRuntime(model).scores(log_mels) for model in (of_file, changed))
    assert np.abs(before - after).max() > 1e-3


@pytest.mark.parametrize("options", [{"runtime": "tflite"}, {"runtime": "onnx", "device": "cuda"}])
def test_a_runtime_that_is_not_there_is_refused(small_model: Path, options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="runtime"):
        Classifier.load(small_model, **options)


def test_predict_imports_nothing_heavy(small_model: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(440, 0.5, 8_000), 8_000)
    code = (
        f"import sys; sys.argv = ['escnn', 'predict', {str(tmp_path / 'a.wav')!r}, '--model', {str(small_model)!r}]\n"
        "from escnn.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'torchaudio', 'pandas', 'matplotlib', 'PIL', 'jinja2', 'requests'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.real
@pytest.mark.parametrize("share", [16])
def test_real_clips_have_the_same_first_class_in_both(real_data: Path, share: int) -> None:
    clips = [(path, path.name) for path in sorted((real_data / "audio").glob("*.wav"))[::share]]
    onnx, torch = (list(Classifier.load(runtime=name).predict_files(clips)) for name in ("onnx", "torch"))
    for one, other in zip(onnx, torch, strict=True):
        assert one.scores.argmax() == other.scores.argmax()
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
