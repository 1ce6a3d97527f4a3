"""Muon: momentum whose update of every convolution is made orthogonal. It learns in far fewer epochs than AdamW here.

K. Jordan et al.: Muon, an optimizer for hidden layers in neural networks, 2024 (the method and its constants);
J. Liu et al.: Muon is scalable for LLM training, 2025 (an update scaled to the size of AdamW's, so that one learning
rate and one weight decay serve both). torch's own Muon takes matrices only and iterates on the whole matrix in
bfloat16; here the iteration runs on its small Gram matrix, in a third of the multiplications and in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # a x + b x^3 + c x^5, steep at zero; pulls singular values to 0.7..1.2
ITERATIONS = 5
ADAMW_RMS = 0.2  # the usual root mean square of an AdamW update


class Muon(torch.optim.Optimizer):
    """For weights of two or more dimensions; all but the first count as one. Others belong to another optimizer.

    Args:
        params: weights, or groups of them.
        lr: learning rate, on AdamW's scale.
        weight_decay: decoupled, times the learning rate.
        momentum: Nesterov momentum.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        if any(weight.ndim < 2 for group in self.param_groups for weight in group["params"]):
            raise ValueError("Muon takes weights of two or more dimensions; give biases and scales to AdamW")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if "mean" not in state:
            state["mean"] = torch.zeros_like(gradient)
        mean = state["mean"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(mean, group["momentum"]).movedim(1, -1)  # order of columns is free: channels_last's
        update = orthogonalize(ahead.flatten(1))  # (rows, columns)
        scale = ADAMW_RMS * math.sqrt(max(update.shape))
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(update.reshape(ahead.shape).movedim(-1, 1), alpha=-group["lr"] * scale)


def orthogonalize(matrix: Tensor) -> Tensor:
    """The matrix with (nearly) the same singular vectors and singular values near one, shape (rows, columns).

    Newton-Schulz steps X <- (a + b X X' + c (X X')^2) X. All factors are polynomials of the first Gram matrix and
    commute, so they are multiplied up among themselves, small, and applied to the matrix once at the end.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    gram = wide @ wide.T
    product = factor = _factor(gram)
    for _ in range(ITERATIONS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        product = factor @ product
    found: Tensor = product @ wide
    return found if matrix.shape[0] <= matrix.shape[1] else found.T


def _factor(gram: Tensor) -> Tensor:
    """a + b G + c G^2 of a square matrix G."""
    a, b, c = NEWTON_SCHULZ
    factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    factor.diagonal().add_(a)
    return factor
