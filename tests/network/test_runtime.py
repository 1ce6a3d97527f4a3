"""A model file at work in torch: what the network is given, what it answers, and that files of 0.1.0 score the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, tone

from escnn.errors import UsageError
from escnn.inference.classifier import Classifier
from escnn.model.model_file import ModelFile, read_model, write_model
from escnn.network.log_mel import TorchLogMel
from escnn.network.runtime import TorchRuntime, build_network, choose_device, network_weights

OLD_FILE = Path(__file__).parents[1] / "data" / "model-0.1.0.safetensors"
CPU = torch.device("cpu")
WINDOWS = np.random.default_rng(0).uniform(-0.5, 0.5, (5, SMALL_AUDIO.window_samples)).astype(np.float32)


@pytest.fixture(scope="module")
def runtime(small_model: Path) -> TorchRuntime:
    return TorchRuntime(read_model(small_model), CPU)


def test_scores_of_a_window_add_up_to_one_and_do_not_depend_on_its_neighbours(runtime: TorchRuntime) -> None:
    log_mels = runtime.log_mels(WINDOWS)
    scores = runtime.scores(log_mels)
    assert scores.shape == (5, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    for log_mel, row in zip(log_mels, scores, strict=True):
        np.testing.assert_allclose(runtime.scores(log_mel[None])[0], row, atol=1e-5)
    assert np.ptp(scores, axis=0).max() > 1e-3  # it does tell sounds apart


def test_scores_are_those_of_the_network_on_the_normalized_log_mel(runtime: TorchRuntime) -> None:
    decibels = TorchLogMel(SMALL_AUDIO)(torch.from_numpy(WINDOWS))
    np.testing.assert_array_equal(runtime.log_mels(WINDOWS), decibels[:, 0].numpy())
    with torch.inference_mode():
        expected = build_network(read_model_of(runtime))((decibels + 60) / 25).softmax(1)
    np.testing.assert_allclose(runtime.scores(runtime.log_mels(WINDOWS)), expected.numpy(), atol=1e-5)


def read_model_of(runtime: TorchRuntime) -> ModelFile:
    return ModelFile(runtime.card, network_weights(runtime.network))


def test_the_feature_maps_lead_to_the_scores(runtime: TorchRuntime) -> None:
    maps = runtime.feature_maps(runtime.log_mels(WINDOWS)[0])
    assert tuple(maps) == runtime.card.layers
    last = maps["layer2"]  # (channels, mels, frames)
    pooled = last.mean(axis=1).mean(axis=1) + last.mean(axis=1).max(axis=1)
    weights = network_weights(runtime.network)
    logits = weights["classify.weight"] @ pooled + weights["classify.bias"]
    scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(scores, runtime.scores(runtime.log_mels(WINDOWS))[0], atol=1e-5)


def test_saliency_and_deletion_take_the_log_mel_in_decibels(runtime: TorchRuntime) -> None:
    decibels = runtime.log_mels(WINDOWS)[0]
    salient = runtime.saliency(decibels, [2, 0])
    assert salient.shape == (2, SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)
    without, at_random = runtime.deletion(decibels, np.zeros_like(salient[0]), 2)
    blanked = decibels.copy()
    blanked.reshape(-1)[: round(0.2 * blanked.size)] = -60.0  # the mean of the training set; of equals, the first
    with torch.inference_mode():
        normalized = torch.from_numpy((blanked + 60) / 25)[None, None]
        assert without == pytest.approx(float(runtime.network(normalized).softmax(1)[0, 2]), abs=1e-5)
    assert 0 < at_random < 1


def test_a_network_comes_back_from_its_file_weight_for_weight(runtime: TorchRuntime, tmp_path: Path) -> None:
    write_model(tmp_path / "again", read_model_of(runtime))
    network = build_network(read_model(tmp_path / "again"))
    assert not network.training
    for name, tensor in runtime.network.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=0, atol=0)


def test_a_model_in_half_precision_scores_the_same(runtime: TorchRuntime, tmp_path: Path) -> None:
    write_model(tmp_path / "half", read_model_of(runtime), half=True)
    half = TorchRuntime(read_model(tmp_path / "half"), CPU)
    log_mels = runtime.log_mels(WINDOWS)
    np.testing.assert_allclose(half.scores(log_mels), runtime.scores(log_mels), atol=0.01)


@pytest.mark.parametrize(
    ("tta", "scores"), [(1, (0.5397816, 0.2896764, 0.1705419)), (3, (0.5475956, 0.2855457, 0.1668587))]
)
def test_a_file_of_0_1_0_scores_as_0_1_0_did(tta: int, scores: tuple[float, ...]) -> None:
    for runtime in ("torch", "onnx"):
        classifier = Classifier.load(OLD_FILE, runtime=runtime, tta=tta)
        log_mels = classifier.runtime.log_mels(tone(440, 0.5, 8_000)[None])
        np.testing.assert_allclose(classifier.scores(log_mels)[0], scores, atol=1e-4)


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="toaster"):
        choose_device("toaster")
    assert choose_device("cpu") == CPU
