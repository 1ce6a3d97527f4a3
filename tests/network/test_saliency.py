"""Saliency lies where the sound is that a class hangs on, and blanking it takes the score away."""

import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, SMALL_MODEL
from torch import Tensor

from escnn.model.architecture import ModelConfig, receptive_fields
from escnn.network import saliency
from escnn.network.resnet import ResNet

SHAPE = (SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)


@pytest.fixture(scope="module")
def network() -> ResNet:
    torch.manual_seed(3)
    return ResNet(SMALL_MODEL, 3).eval()


def random_log_mel(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_saliency_is_between_nothing_and_one_and_differs_between_classes(network: ResNet) -> None:
    found = saliency.saliency(network, random_log_mel(), [2, 0])
    assert found.shape == (2, *SHAPE)
    assert found.min() >= 0
    np.testing.assert_allclose(found.max(axis=(1, 2)), 1)
    assert not np.allclose(found[0], found[1])
    np.testing.assert_allclose(found[0], saliency.saliency(network, random_log_mel(), [2])[0], atol=1e-5)


def test_saliency_lies_where_the_sound_is_that_the_class_hangs_on() -> None:
    """A network that adds up what it sees: whatever is loud is salient, and nothing else."""
    network = ResNet(ModelConfig(widths=(1, 1), depths=(1, 1), stem_kernel=3, dropout=0.0), 2).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0.1)
        network.classify.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    log_mel = torch.zeros(64, 64)
    log_mel[40:44, 8:12] = 5.0
    first, second = saliency.saliency(network, log_mel, [0, 1])
    row, column = np.unravel_index(first.argmax(), first.shape)
    assert abs(int(row) - 42) <= 4
    assert abs(int(column) - 10) <= 4
    assert first[:, 40:].max() < 0.2
    assert second.max() == 0  # loudness is evidence against the other class


def test_gradients_are_those_of_each_inputs_own_class(network: ResNet) -> None:
    inputs = torch.stack([random_log_mel(1), random_log_mel(2)])[:, None]
    _, (both,) = saliency.stage_gradients(network, inputs, [1, 2], ["layer1"])
    for place, class_id in enumerate((1, 2)):
        _, (alone,) = saliency.stage_gradients(network, inputs[place : place + 1], [class_id], ["layer1"])
        torch.testing.assert_close(both[place], alone[0])


def test_an_enlarged_cell_lies_where_its_convolutions_are_centred() -> None:
    network = ResNet(SMALL_MODEL, 3).eval()
    stride = receptive_fields(SMALL_MODEL)["layer2"].stride
    maps: list[Tensor] = []
    network.get_submodule("layer2").register_forward_hook(lambda _module, _args, out: maps.append(out))
    centre = torch.zeros(1, 1, 64, 64, requires_grad=True)
    network(centre + torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)))
    row, column = 3, 5
    (gradient,) = torch.autograd.grad(maps[0][0, :, row, column].sum(), centre)
    reached = gradient[0, 0].nonzero().float()
    torch.testing.assert_close(
        (reached.amin(0) + reached.amax(0)) / 2, torch.tensor([stride * row, stride * column]).float(), atol=1.0, rtol=0
    )
    cells = torch.zeros(1, 8, 8)
    cells[0, row, column] = 1.0
    large = saliency.enlarge(cells, stride, 64, 64)[0]
    assert large.argmax().item() == stride * row * 64 + stride * column
    assert large[stride * row, stride * column] == 1
    assert large[stride * row + stride // 2, stride * column] == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1)])
def test_a_map_of_one_row_or_column_is_the_same_all_along_it(shape: tuple[int, int]) -> None:
    maps = torch.rand(1, *shape)
    large = saliency.enlarge(maps, 8, 30, 40)
    assert large.shape == (1, 30, 40)
    if shape[0] == 1:
        assert (large == large[:, :1]).all()
    if shape[1] == 1:
        assert (large == large[:, :, :1]).all()


def test_a_fifth_is_blanked_and_it_is_the_most_salient_one() -> None:
    salient = torch.rand(SHAPE)
    mask = saliency.most_salient(salient)
    assert mask.float().mean().item() == pytest.approx(saliency.DELETED, abs=0.01)
    assert salient[mask].min() >= salient[~mask].max()
    assert saliency.most_salient(torch.zeros(10, 10)).sum() == 20  # whatever is equal: a fifth all the same


def test_random_squares_are_a_fifth_on_average_and_come_in_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([saliency.random_squares((128, 432), generator) for _ in range(20)])
    assert masks.float().mean().item() == pytest.approx(saliency.DELETED, abs=0.01)
    squares = masks.reshape(20, 8, 16, 27, 16).float().mean(dim=(2, 4))
    assert ((squares == 0) | (squares == 1)).all()
    assert saliency.random_squares((30, 41), generator).shape == (30, 41)


def test_deletion_blanks_what_was_salient(network: ResNet) -> None:
    log_mel, salient = random_log_mel(), np.zeros(SHAPE, dtype=np.float32)
    salient[:, : SHAPE[1] // 2] = 1.0
    without, at_random = saliency.deletion(network, log_mel, salient, 1)
    blanked = log_mel.masked_fill(saliency.most_salient(torch.from_numpy(salient)), 0.0)
    with torch.inference_mode():
        assert without == pytest.approx(network(blanked[None, None]).softmax(1)[0, 1].item(), abs=1e-6)
    assert 0 < at_random < 1
    assert saliency.deletion(network, log_mel, salient, 1) == (without, at_random)
