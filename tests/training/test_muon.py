import copy

import pytest
import torch
from torch import nn

from escnn.training.muon import ADAMW_RMS, Muon, orthogonalize


def matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_singular_values_come_near_one_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    given = matrix(*shape)
    got = orthogonalize(given)
    assert got.shape == shape
    values = torch.linalg.svdvals(got)
    assert 0.6 < values.min() <= values.max() < 1.3
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    inner = left.T @ got @ right.T
    torch.testing.assert_close(inner - inner.diag().diag(), torch.zeros_like(inner), rtol=0, atol=1e-3)


def test_it_is_the_iteration_on_the_whole_matrix_as_published() -> None:
    expected = matrix(12, 30)
    expected = expected / expected.norm()
    for _ in range(5):
        gram = expected @ expected.T
        expected = 3.4445 * expected + (-4.7750 * gram + 2.0315 * gram @ gram) @ expected
    torch.testing.assert_close(orthogonalize(matrix(12, 30)), expected, rtol=1e-3, atol=1e-4)


def test_nothing_to_learn_moves_nothing() -> None:
    assert torch.equal(orthogonalize(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_an_update_is_as_large_as_one_of_adamw() -> None:
    weight = nn.Parameter(torch.zeros(64, 32, 3, 3))
    weight.grad = matrix(64, 32 * 9).reshape(weight.shape) * 1e-4  # the size of the gradient does not matter
    Muon([weight], lr=0.1).step()
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.1 * ADAMW_RMS, rel=0.3)


def test_memory_format_changes_nothing() -> None:
    moved = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(matrix(8, 36).reshape(8, 4, 3, 3).contiguous(memory_format=memory_format))
        weight.grad = matrix(8, 36, seed=1).reshape(8, 4, 3, 3).contiguous(memory_format=memory_format)
        Muon([weight], lr=0.1).step()
        moved.append(weight.detach().contiguous())
    torch.testing.assert_close(*moved, rtol=0, atol=1e-5)


def test_it_solves_a_regression_and_goes_on_from_its_state() -> None:
    inputs, targets = matrix(64, 10), matrix(64, 10) @ matrix(10, 6, seed=1)

    def steps(weight: nn.Parameter, optimizer: Muon, count: int) -> float:
        for _ in range(count):
            optimizer.zero_grad()
            loss = (inputs @ weight.T - targets).square().mean()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    weight = nn.Parameter(torch.zeros(6, 10))
    optimizer = Muon([weight], lr=0.05)
    first = steps(weight, optimizer, 1)
    resumed = nn.Parameter(weight.detach().clone())
    other = Muon([resumed], lr=0.05)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert steps(weight, optimizer, 100) < 0.05 * first
    steps(resumed, other, 100)
    assert torch.equal(weight, resumed)


def test_weights_decay_towards_zero() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros(4, 4)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(weight.detach(), torch.full((4, 4), 0.95))


def test_biases_are_refused() -> None:
    with pytest.raises(ValueError, match="two or more dimensions"):
        Muon([nn.Parameter(torch.zeros(3))], lr=0.1)
