"""The ONNX graph computes what the torch network computes, for any architecture and any number of frames."""

import numpy as np
import onnx
import onnxruntime
import torch
from conftest import SMALL_AUDIO
from hypothesis import given, settings
from hypothesis import strategies as st

from escnn.audio.log_mel import Normalization, normalize
from escnn.model.architecture import ModelConfig
from escnn.model.card import ModelCard
from escnn.model.model_file import ModelFile, read_model
from escnn.model.onnx_graph import build_graph
from escnn.network.resnet import ResNet, record_feature_maps
from escnn.network.runtime import build_network, network_weights


def a_model(config: ModelConfig, classes: int, seed: int = 0) -> ModelFile:
    """A network with random weights, and batch-norm statistics as after a training."""
    torch.manual_seed(seed)
    network = ResNet(config, classes)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    labels = tuple(f"class {number}" for number in range(classes))
    return ModelFile(ModelCard("a", labels, SMALL_AUDIO, config, Normalization(-60.0, 25.0)), network_weights(network))


def outputs(model: ModelFile, log_mels: np.ndarray) -> dict[str, np.ndarray]:
    graph = build_graph(model, feature_maps=True)
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"log_mel": log_mels}), strict=True))


configs = st.integers(1, 4).flatmap(
    lambda stages: st.builds(
        ModelConfig,
        widths=st.tuples(*[st.integers(1, 12)] * stages),
        depths=st.tuples(*[st.integers(1, 3)] * stages),
        stem_kernel=st.sampled_from([1, 3, 5, 7]),
        shortcut=st.sampled_from(["average", "strided"]),
        pooling=st.sampled_from(["mean", "mean+max"]),
    )
)


@settings(max_examples=40, deadline=None)
@given(config=configs, frames=st.integers(1, 130), batch=st.integers(1, 3), seed=st.integers(0, 99))
def test_scores_and_maps_are_those_of_torch(config: ModelConfig, frames: int, batch: int, seed: int) -> None:
    model = a_model(config, 5, seed)
    log_mels = np.random.default_rng(seed).uniform(-110, -10, (batch, 32, frames)).astype(np.float32)
    network, found = build_network(model), outputs(model, log_mels)
    with torch.inference_mode(), record_feature_maps(network) as maps:
        logits = network(normalize(torch.from_numpy(log_mels), model.card.normalization)[:, None])
    np.testing.assert_allclose(found.pop("scores"), logits.softmax(1).numpy(), atol=1e-4)
    embedding = found.pop("embedding")
    again = embedding @ model.weights["classify.weight"].T + model.weights["classify.bias"]
    np.testing.assert_allclose(again, logits.numpy(), rtol=1e-3, atol=1e-3)
    assert list(found) == list(maps)
    for layer, values in maps.items():
        largest = float(values.abs().max())
        np.testing.assert_allclose(found[layer], values.numpy(), rtol=1e-3, atol=1e-3 * largest + 1e-6)


def test_the_bundled_model_scores_alike_in_both() -> None:
    model = read_model()
    log_mels = np.random.default_rng(0).uniform(-110, -10, (2, 128, 431)).astype(np.float32)
    with torch.inference_mode():
        expected = build_network(model)(normalize(torch.from_numpy(log_mels), model.card.normalization)[:, None])
    np.testing.assert_allclose(outputs(model, log_mels)["scores"], expected.softmax(1).numpy(), atol=1e-5)


def test_only_the_scores_come_unless_maps_are_asked_for() -> None:
    graph = build_graph(a_model(ModelConfig(widths=(4,), depths=(1,)), 3))
    assert [output.name for output in graph.graph.output] == ["scores"]
