import pytest
import torch
from conftest import SMALL_MODEL

from escnn.config import PRESETS, ModelConfig
from escnn.model import ResNet, multiply_adds, parameter_count, reaches, record_feature_maps

SEED = PRESETS["seed-resnet34"].model


def test_the_preset_has_the_model_projects_number_of_parameters() -> None:
    assert parameter_count(ResNet(SEED, 50)) == 21_304_050


def test_the_preset_has_the_model_projects_37_feature_maps() -> None:
    names = ["conv1"]
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            names += [f"layer{stage}.block{block}.conv", f"layer{stage}.block{block}.relu"]
        names.append(f"layer{stage}")
    network = ResNet(SEED, 50).eval()
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
def test_any_picture_size_gives_logits(shortcut: str, size: tuple[int, int]) -> None:
    network = ResNet(ModelConfig(widths=(4, 8, 8), depths=(1, 2, 1), shortcut=shortcut), 5).eval()
    assert network(torch.randn(3, 1, *size)).shape == (3, 5)


def test_a_clip_gets_the_same_logits_alone_and_in_a_batch() -> None:
    network = ResNet(SMALL_MODEL, 3).eval()
    x = torch.randn(8, 1, 32, 32)
    with torch.inference_mode():
        alone = torch.cat([network(row[None]) for row in x])
        torch.testing.assert_close(network(x), alone, rtol=0, atol=1e-5)


def test_multiply_adds_are_those_of_the_published_network_and_of_a_sum_by_hand() -> None:
    assert multiply_adds(ResNet(SEED, 50), 128, 431) == pytest.approx(3.98e9, rel=0.005)
    tiny = ResNet(ModelConfig(widths=(4,), depths=(1,), stem_kernel=3), 5)  # 16 x 8, stem 8 x 4, pooled 4 x 2
    assert multiply_adds(tiny, 16, 8) == 8 * 4 * 4 * 9 + 2 * (4 * 2 * 4 * 4 * 9) + 4 * 5


@pytest.mark.parametrize("config", [SMALL_MODEL, ModelConfig(widths=(4, 4, 4), depths=(2, 1, 2)), SEED])
def test_reaches_are_what_a_gradient_reaches(config: ModelConfig) -> None:
    """Of the value in the middle of each layer, as far as the picture goes."""
    size = 512
    small = ModelConfig(
        widths=(2,) * len(config.widths), depths=config.depths, stem_kernel=config.stem_kernel, shortcut=config.shortcut
    )
    network = ResNet(small, 2).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0.01)  # nothing negative: no ReLU cuts a path
    found: dict[str, torch.Tensor] = {}
    for name in ("conv1", *network.stages):
        network.get_submodule(name).register_forward_hook(lambda _m, _a, out, name=name: found.__setitem__(name, out))
    x = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    network.double()(x)
    known = reaches(small)
    assert list(known) == list(_names(small))
    for name, maps in found.items():
        middle = maps.shape[2] // 2
        (gradient,) = torch.autograd.grad(maps[0, 0, middle, middle], x, retain_graph=True)
        rows = gradient[0, 0].abs().sum(1).nonzero().flatten()
        centre, half = known[name].step * middle, known[name].extent // 2
        assert rows[-1] - centre <= half
        if name != "conv1":  # of what is pooled only the largest value has a gradient
            assert rows[-1] >= min(size - 1, centre + half - 2 * 4)
            assert rows[0] <= max(0, centre - half + 2 * 4)


def _names(config: ModelConfig) -> list[str]:
    with torch.inference_mode(), record_feature_maps(network := ResNet(config, 2).eval()) as maps:
        network(torch.zeros(1, 1, 64, 64))
    return list(maps)
