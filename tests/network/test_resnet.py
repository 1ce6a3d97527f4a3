"""The network: its feature maps, and logits that depend on the input alone."""

import pytest
import torch
from conftest import SMALL_MODEL

from escnn.model.architecture import ModelConfig
from escnn.network.resnet import ResNet, record_feature_maps
from escnn.runs.settings import PRESETS

BASELINE = PRESETS["baseline-resnet34"].model


def test_the_baseline_has_the_model_projects_37_feature_maps() -> None:
    names = ["conv1"]
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            names += [f"layer{stage}.block{block}.conv", f"layer{stage}.block{block}.relu"]
        names.append(f"layer{stage}")
    network = ResNet(BASELINE, 50).eval()
    with torch.inference_mode(), record_feature_maps(network) as maps:
        network(torch.randn(1, 1, 128, 64))
    assert list(maps) == names
    assert len(maps) == 37
    assert maps["conv1"].shape == (1, 64, 32, 16)  # a 7x7 convolution and a pool, each of stride 2
    assert maps["layer4"].shape == (1, 512, 4, 2)


def test_a_map_after_its_relu_is_the_one_before_without_what_is_negative() -> None:
    network = ResNet(SMALL_MODEL, 3).eval()
    with torch.inference_mode(), record_feature_maps(network) as maps:
        network(torch.randn(2, 1, 32, 32))
    assert (maps["layer2.block0.conv"] < 0).any()
    torch.testing.assert_close(maps["layer2.block0.relu"], maps["layer2.block0.conv"].clamp_min(0))
    torch.testing.assert_close(maps["layer2"], maps["layer2.block0.relu"])


def test_hooks_are_gone_afterwards_and_change_nothing() -> None:
    network = ResNet(SMALL_MODEL, 3).eval()
    x = torch.randn(2, 1, 32, 32)
    before = network(x)
    with record_feature_maps(network) as maps:
        during = network(x)
    count = len(maps)
    maps.clear()
    after = network(x)
    assert count == 7
    assert maps == {}
    torch.testing.assert_close(before, during, rtol=0, atol=0)
    torch.testing.assert_close(before, after, rtol=0, atol=0)


@pytest.mark.parametrize("shortcut", ["average", "strided"])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (8, 1)])
def test_any_size_of_log_mel_gives_logits(shortcut: str, size: tuple[int, int]) -> None:
    network = ResNet(ModelConfig(widths=(4, 8, 8), depths=(1, 2, 1), shortcut=shortcut), 5).eval()
    assert network(torch.randn(3, 1, *size)).shape == (3, 5)


def test_a_clip_gets_the_same_logits_alone_and_in_a_batch() -> None:
    network = ResNet(SMALL_MODEL, 3).eval()
    x = torch.randn(8, 1, 32, 32)
    with torch.inference_mode():
        alone = torch.cat([network(row[None]) for row in x])
        torch.testing.assert_close(network(x), alone, rtol=0, atol=1e-5)
