import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, SMALL_MODEL, tone
from torch import Tensor

from escnn import explain
from escnn.config import ModelConfig
from escnn.features import LogMel
from escnn.model import ResNet, reaches

SHAPE = (SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)


@pytest.fixture(scope="module")
def network() -> ResNet:
    torch.manual_seed(3)
    return ResNet(SMALL_MODEL, 3).eval()


def picture(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_evidence_is_between_nothing_and_one_and_differs_between_classes(network: ResNet) -> None:
    evidence = explain.evidence(network, picture(), [2, 0])
    assert evidence.shape == (2, *SHAPE)
    assert evidence.min() >= 0
    np.testing.assert_allclose(evidence.max(axis=(1, 2)), 1)
    assert not np.allclose(evidence[0], evidence[1])
    np.testing.assert_allclose(evidence[0], explain.evidence(network, picture(), [2])[0], atol=1e-5)


def test_evidence_lies_where_the_sound_is_that_the_class_hangs_on() -> None:
    """A network that adds up what it sees: whatever is loud is evidence, and nothing else."""
    network = ResNet(ModelConfig(widths=(1, 1), depths=(1, 1), stem_kernel=3, dropout=0.0), 2).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0.1)
        network.classify.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    heard = torch.zeros(64, 64)
    heard[40:44, 8:12] = 5.0
    spoke, against = explain.evidence(network, heard, [0, 1])
    row, column = np.unravel_index(spoke.argmax(), spoke.shape)
    assert abs(int(row) - 42) <= 4
    assert abs(int(column) - 10) <= 4
    assert spoke[:, 40:].max() < 0.2
    assert against.max() == 0  # loudness speaks against the other class


def test_gradients_are_those_of_each_inputs_own_class(network: ResNet) -> None:
    inputs = torch.stack([picture(1), picture(2)])[:, None]
    _, (both,) = explain.stage_gradients(network, inputs, [1, 2], ["layer1"])
    for place, class_id in enumerate((1, 2)):
        _, (alone,) = explain.stage_gradients(network, inputs[place : place + 1], [class_id], ["layer1"])
        torch.testing.assert_close(both[place], alone[0])


def test_an_enlarged_cell_lies_where_its_convolutions_are_centred() -> None:
    network = ResNet(SMALL_MODEL, 3).eval()
    step = reaches(SMALL_MODEL)["layer2"].step
    maps: list[Tensor] = []
    network.get_submodule("layer2").register_forward_hook(lambda _module, _args, out: maps.append(out))
    centre = torch.zeros(1, 1, 64, 64, requires_grad=True)
    network(centre + torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)))
    row, column = 3, 5
    (gradient,) = torch.autograd.grad(maps[0][0, :, row, column].sum(), centre)
    reached = gradient[0, 0].nonzero().float()
    torch.testing.assert_close(
        (reached.amin(0) + reached.amax(0)) / 2, torch.tensor([step * row, step * column]).float(), atol=1.0, rtol=0
    )
    cells = torch.zeros(1, 8, 8)
    cells[0, row, column] = 1.0
    large = explain.enlarge(cells, step, 64, 64)[0]
    assert large.argmax().item() == step * row * 64 + step * column
    assert large[step * row, step * column] == 1
    assert large[step * row + step // 2, step * column] == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1)])
def test_a_map_of_one_row_or_column_is_the_same_all_along_it(shape: tuple[int, int]) -> None:
    maps = torch.rand(1, *shape)
    large = explain.enlarge(maps, 8, 30, 40)
    assert large.shape == (1, 30, 40)
    if shape[0] == 1:
        assert (large == large[:, :1]).all()
    if shape[1] == 1:
        assert (large == large[:, :, :1]).all()


def test_a_fifth_is_blanked_and_it_is_the_most_marked_one() -> None:
    marked = torch.rand(SHAPE)
    mask = explain.most_marked(marked)
    assert mask.float().mean().item() == pytest.approx(explain.DELETED, abs=0.01)
    assert marked[mask].min() >= marked[~mask].max()
    assert explain.most_marked(torch.zeros(10, 10)).sum() == 20  # whatever is equal: a fifth all the same


def test_random_squares_are_a_fifth_on_average_and_come_in_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([explain.random_squares((128, 432), generator) for _ in range(20)])
    assert masks.float().mean().item() == pytest.approx(explain.DELETED, abs=0.01)
    squares = masks.reshape(20, 8, 16, 27, 16).float().mean(dim=(2, 4))
    assert ((squares == 0) | (squares == 1)).all()
    assert explain.random_squares((30, 41), generator).shape == (30, 41)


def test_deletion_blanks_what_was_marked(network: ResNet) -> None:
    heard, marked = picture(), np.zeros(SHAPE, dtype=np.float32)
    marked[:, : SHAPE[1] // 2] = 1.0
    without, at_random = explain.deletion(network, heard, marked, 1)
    blanked = heard.masked_fill(explain.most_marked(torch.from_numpy(marked)), 0.0)
    with torch.inference_mode():
        assert without == pytest.approx(network(blanked[None, None]).softmax(1)[0, 1].item(), abs=1e-6)
    assert 0 < at_random < 1
    assert explain.deletion(network, heard, marked, 1) == (without, at_random)


def test_a_filter_lets_through_what_was_marked_and_nothing_else() -> None:
    low, high = tone(300, 0.5, 8_000), tone(2_500, 0.5, 8_000)
    frequencies = LogMel(SMALL_AUDIO).mel_frequencies()
    marked = np.zeros(SHAPE, dtype=np.float32)
    marked[np.array(frequencies) < 1_000] = 1.0
    heard = explain.filter_sound(low + high, marked, SMALL_AUDIO, frequencies)
    assert heard.shape == low.shape
    assert np.abs(heard).max() == pytest.approx(np.abs(low + high).max())
    spectrum = np.abs(np.fft.rfft(heard))
    bins = np.fft.rfftfreq(len(heard), 1 / 8_000)
    assert spectrum[np.argmin(abs(bins - 2_500))] < 0.01 * spectrum[np.argmin(abs(bins - 300))]
    assert np.corrcoef(heard, low)[0, 1] > 0.99  # with the phase that it had


def test_a_filter_keeps_only_the_moments_that_were_marked() -> None:
    sound = tone(1_000, 0.5, 8_000)
    marked = np.zeros(SHAPE, dtype=np.float32)
    marked[:, : SHAPE[1] // 2] = 1.0
    heard = explain.filter_sound(sound, marked, SMALL_AUDIO, LogMel(SMALL_AUDIO).mel_frequencies())
    assert np.abs(heard[2_500:]).max() < 1e-3
    assert np.abs(heard[200:1_500]).max() > 0.4


def test_what_nothing_spoke_for_is_silence() -> None:
    heard = explain.filter_sound(
        tone(1_000, 0.5, 8_000), np.zeros(SHAPE, dtype=np.float32), SMALL_AUDIO, LogMel(SMALL_AUDIO).mel_frequencies()
    )
    assert not heard.any()
