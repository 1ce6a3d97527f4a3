"""A model file at work in torch: what the network is given, what it answers, and that files of 0.1.0 score the same."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, tone

from escnn.errors import ModelError, UsageError
from escnn.model.model_file import ModelFile, read_model, write_model
from escnn.network.log_mel import LogMel
from escnn.network.runtime import TorchRuntime, build_network, choose_device, network_weights

OLD_FILE = Path(__file__).parents[1] / "data" / "model-0.1.0.safetensors"
CPU = torch.device("cpu")
WINDOWS = np.random.default_rng(0).uniform(-0.5, 0.5, (5, SMALL_AUDIO.window_samples)).astype(np.float32)


@pytest.fixture(scope="module")
def runtime(small_model: Path) -> TorchRuntime:
    return TorchRuntime(read_model(small_model), CPU)


def test_scores_of_a_window_add_up_to_one_and_do_not_depend_on_its_neighbours(runtime: TorchRuntime) -> None:
    scores = runtime.scores(WINDOWS)
    assert scores.shape == (5, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    for window, row in zip(WINDOWS, scores, strict=True):
        np.testing.assert_allclose(runtime.scores(window[None])[0], row, atol=1e-5)
    assert np.ptp(scores, axis=0).max() > 1e-3  # it does tell sounds apart


def test_scores_are_those_of_the_network_on_the_normalized_log_mel(runtime: TorchRuntime) -> None:
    decibels = LogMel(SMALL_AUDIO)(torch.from_numpy(WINDOWS))
    np.testing.assert_array_equal(runtime.log_mels(WINDOWS), decibels[:, 0].numpy())
    with torch.inference_mode():
        expected = build_network(read_model_of(runtime))((decibels + 60) / 25).softmax(1)
    np.testing.assert_allclose(runtime.scores(WINDOWS), expected.numpy(), atol=1e-5)


def read_model_of(runtime: TorchRuntime) -> ModelFile:
    return ModelFile(runtime.card, network_weights(runtime.network))


def test_scores_with_augmentation_are_a_mean_in_which_the_plain_ones_count(small_model: Path) -> None:
    """With n ways, n times the mean of n less n - 1 times the mean of n - 1 is the score of the n-th way alone."""
    model = read_model(small_model)
    means = [TorchRuntime(model, CPU, tta=tta).scores(WINDOWS) for tta in range(1, 6)]
    alone = [means[0], *(n * means[n - 1] - (n - 1) * means[n - 2] for n in range(2, 6))]
    for number, scores in enumerate(alone):
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-4)
        assert all(not np.allclose(scores, other, atol=1e-4) for other in alone[:number])
    for tta in (0, 6):
        with pytest.raises(UsageError, match="tta"):
            TorchRuntime(model, CPU, tta=tta)


def test_the_feature_maps_lead_to_the_scores(runtime: TorchRuntime) -> None:
    maps = runtime.feature_maps(runtime.log_mels(WINDOWS)[0])
    assert tuple(maps) == runtime.card.layers
    last = maps["layer2"]  # (channels, mels, frames)
    pooled = last.mean(axis=1).mean(axis=1) + last.mean(axis=1).max(axis=1)
    weights = network_weights(runtime.network)
    logits = weights["classify.weight"] @ pooled + weights["classify.bias"]
    scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(scores, runtime.scores(WINDOWS)[0], atol=1e-5)


def test_thumbnails_are_means_of_the_log_mel_and_no_larger_than_it(runtime: TorchRuntime) -> None:
    decibels = runtime.log_mels(WINDOWS)  # (5, 32, 32)
    np.testing.assert_allclose(
        runtime.thumbnails(WINDOWS, (8, 16)), decibels.reshape(5, 8, 4, 16, 2).mean(axis=(2, 4)), atol=1e-4
    )
    np.testing.assert_array_equal(runtime.thumbnails(WINDOWS, (99, 99)), decibels)


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
    np.testing.assert_allclose(half.scores(WINDOWS), runtime.scores(WINDOWS), atol=0.01)


@pytest.mark.parametrize(
    ("tta", "scores"), [(1, (0.5397816, 0.2896764, 0.1705419)), (3, (0.5475956, 0.2855457, 0.1668587))]
)
def test_a_file_of_0_1_0_scores_as_0_1_0_did(tta: int, scores: tuple[float, ...]) -> None:
    runtime = TorchRuntime(read_model(OLD_FILE), CPU, tta=tta)
    np.testing.assert_allclose(runtime.scores(tone(440, 0.5, 8_000)[None])[0], scores, atol=1e-5)


def test_scores_that_are_no_numbers_are_an_error_and_not_quoted(runtime: TorchRuntime) -> None:
    # Every weight is finite, so the file loads; what they add up to is not: a flipped exponent does that.
    model = read_model_of(runtime)
    hopeless = dataclasses.replace(model, weights={**model.weights, "classify.weight": np.full((3, 16), 3e38, "f4")})
    with pytest.raises(ModelError, match="no numbers"):
        TorchRuntime(hopeless, CPU).scores(WINDOWS)


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="toaster"):
        choose_device("toaster")
    assert choose_device("cpu") == CPU
