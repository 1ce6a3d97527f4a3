"""The arithmetic of the network equals the network that torch builds, for settings drawn at random."""

import pytest
import torch
from conftest import SMALL_MODEL
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from escnn.errors import UsageError
from escnn.model.architecture import (
    ModelConfig,
    activation_bytes,
    multiply_adds,
    parameter_count,
    receptive_fields,
    tensor_shapes,
)
from escnn.network.resnet import ResNet, record_feature_maps
from escnn.runs.settings import PRESETS

BASELINE = PRESETS["baseline-resnet34"].model


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    stages = draw(st.integers(1, 6))
    return ModelConfig(
        widths=tuple(draw(st.lists(st.integers(1, 6), min_size=stages, max_size=stages))),
        depths=tuple(draw(st.lists(st.integers(1, 3), min_size=stages, max_size=stages))),
        stem_kernel=draw(st.sampled_from((1, 3, 5, 15))),
        shortcut=draw(st.sampled_from(("average", "strided"))),
        pooling=draw(st.sampled_from(("mean", "mean+max"))),
    )


@settings(max_examples=30, deadline=None)
@given(configs(), st.integers(2, 9), st.integers(1, 70), st.integers(1, 70))
def test_the_arithmetic_equals_a_built_network(config: ModelConfig, classes: int, mels: int, frames: int) -> None:
    network = ResNet(config, classes).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    known = tensor_shapes(config, classes)
    assert list(known.items()) == list(shapes.items())  # in the same order, too

    def learned(module: nn.Module) -> int:
        return sum(weight.numel() for weight in module.parameters())

    assert parameter_count(config, classes) == learned(network)
    counted, kept = [], []

    def count(module: nn.Module, _inputs: object, out: torch.Tensor) -> None:
        weight = module.get_parameter("weight")
        counted.append(out[0].numel() * weight[0].numel())
        kept.append(4 * out.numel() * isinstance(module, nn.Conv2d))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.inference_mode(), record_feature_maps(network) as maps:
        network(torch.zeros(1, 1, mels, frames))
    assert multiply_adds(config, classes, mels, frames) == sum(counted)
    assert activation_bytes(config, mels, frames) == sum(kept)
    assert list(receptive_fields(config)) == list(maps)
    for layer in ("conv1", *network.stages, *(f"{stage}.block0" for stage in network.stages)):
        assert parameter_count(config, classes, layer) == learned(network.get_submodule(layer))


@settings(max_examples=5, deadline=None)
@given(configs())
def test_receptive_fields_are_as_far_as_a_gradient_reaches(config: ModelConfig) -> None:
    """Of the value in the middle of each layer, as far as the picture goes."""
    check_receptive_fields(config)


@pytest.mark.parametrize("config", [SMALL_MODEL, BASELINE])
def test_receptive_fields_of_known_networks(config: ModelConfig) -> None:
    check_receptive_fields(config)


def check_receptive_fields(config: ModelConfig) -> None:
    mels = 4096  # along the other axis it is the same
    narrow = ModelConfig((1,) * len(config.widths), config.depths, config.stem_kernel, config.shortcut)
    network = ResNet(narrow, 2).eval().double()
    network.conv1.pool = nn.AvgPool2d(3, 2, 1)  # of what max pooling sees, only the largest value has a gradient
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0.1)  # nothing negative: no ReLU cuts a path
    found: dict[str, torch.Tensor] = {}
    for name in receptive_fields(config):
        if not name.endswith(".conv"):  # the same as after its ReLU
            module = network.get_submodule(name.removesuffix(".relu"))
            module.register_forward_hook(lambda _m, _a, out, name=name: found.__setitem__(name, out))
    x = torch.rand(1, 1, mels, 1, dtype=torch.float64, requires_grad=True)
    network(x)
    for name, maps in found.items():
        middle = maps.shape[2] // 2
        (gradient,) = torch.autograd.grad(maps[0, 0, middle, 0], x, retain_graph=True)
        rows = gradient[0, 0, :, 0].nonzero().flatten()
        field = receptive_fields(config)[name]
        assert field == receptive_fields(config)[name.replace(".relu", ".conv")]
        centre, half = field.stride * middle, field.size // 2
        assert (int(rows[0]), int(rows[-1])) == (max(0, centre - half), min(mels - 1, centre + half))


def test_the_baseline_has_the_model_projects_size() -> None:
    assert parameter_count(BASELINE, 50) == 21_304_050
    assert multiply_adds(BASELINE, 50, 128, 431) == pytest.approx(3.98e9, rel=0.005)


def test_multiply_adds_are_those_of_a_sum_by_hand() -> None:
    tiny = ModelConfig(widths=(4,), depths=(1,), stem_kernel=3)  # 16 x 8, stem 8 x 4, pooled 4 x 2
    assert multiply_adds(tiny, 5, 16, 8) == 8 * 4 * 4 * 9 + 2 * (4 * 2 * 4 * 4 * 9) + 4 * 5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"widths": (8, 16), "depths": (1,)}, "a width and a depth for each"),
        ({"widths": (), "depths": ()}, "1 to 6 stages"),
        ({"widths": (1,) * 7, "depths": (1,) * 7}, "1 to 6 stages"),
        ({"widths": (2049,), "depths": (1,)}, "widths"),
        ({"depths": (1, 1, 2, 65)}, "depths"),
        ({"stem_kernel": 4}, "must be odd"),
        ({"shortcut": "none"}, "average, strided"),
    ],
)
def test_settings_that_make_no_network_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ModelConfig(**wrong)
