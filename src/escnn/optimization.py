"""How weights are moved: optimizers, the number format of the computation, the running mean."""

from __future__ import annotations

import torch
from torch import nn

from escnn.config import TrainConfig
from escnn.muon import Muon


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """In what the convolutions of a training are computed; sums, norms and weights stay in float32.

    "auto" is bfloat16 where the processor has instructions for it (AVX512-BF16, AMX; CUDA from compute capability 8),
    which made a step 1.4 to 2 times as fast where it was measured; elsewhere float32, as bfloat16 would be emulated.
    """
    if name != "auto":
        return getattr(torch, name)  # type: ignore[no-any-return]
    if device.type == "cpu":
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


def make_optimizers(network: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW, without weight decay for biases and batch-norm scales; before it, if asked for, Muon for convolutions."""
    by_muon: list[nn.Parameter] = []
    if config.optimizer == "muon":  # the first convolution has one input channel: too small to be worth it
        by_muon = [weight for weight in network.parameters() if weight.ndim == 4 and weight.shape[1] > 1]
    taken = {id(weight) for weight in by_muon}
    others = [weight for weight in network.parameters() if id(weight) not in taken]
    groups = [
        {"params": [weight for weight in others if weight.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in others if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
    return [Muon(by_muon, config.learning_rate, config.weight_decay), adamw] if by_muon else [adamw]


@torch.no_grad()
def update_mean(mean_network: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of weights and batch-norm statistics; short at first, to forget the start."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    means, nows = mean_network.state_dict().values(), network.state_dict().values()
    pairs = list(zip(means, nows, strict=True))
    floating = [(mean, now) for mean, now in pairs if mean.is_floating_point()]
    torch._foreach_lerp_([mean for mean, _ in floating], [now for _, now in floating], share)
    for mean, now in pairs:
        if not mean.is_floating_point():
            mean.copy_(now)
