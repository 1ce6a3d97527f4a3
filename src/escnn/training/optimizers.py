"""How weights are moved: optimizers, learning-rate schedule, precision, and the moving average of the weights."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable

import torch
from torch import nn

from escnn.cache import cache_folder
from escnn.errors import UsageError
from escnn.model.architecture import convolutions
from escnn.runs.settings import TrainConfig
from escnn.training.muon import Muon

RISE, FALL = 25, 1e4  # the peak over the first learning rate, and that over the last: those of OneCycleLR
SLOW_MOMENTUM, FAST_MOMENTUM = 0.95, 0.85  # AdamW's beta1 where the learning rate is low, and at its peak


def make_optimizers(network: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW, without weight decay for biases and batch-norm scales; before it, if asked for, Muon for convolutions."""
    try:
        tempfile.gettempdir()
    except OSError:  # torch's optimizers load its compiler, which wants a folder and is not used
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "torch"))
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


def follow_schedule(
    optimizers: Iterable[torch.optim.Optimizer], peak: float, warmup: float, step: int, steps: int
) -> float:
    """Set the learning rate of step `step` (from 0) of `steps`, and AdamW's momentum; gives the rate.

    One cycle (L. N. Smith and N. Topin, 2018), with the values of torch's OneCycleLR: along a cosine up to the peak,
    reached as the warm-up ends, then down to nearly nothing; the momentum goes the other way. A warm-up of exactly one
    step, where OneCycleLR divides by zero, is at the peak. So is a training of one step, where it would learn nothing.
    """
    top = warmup * steps - 1
    if step <= top:
        share = step / top if top else 1.0
        rate, momentum = _cosine(peak / RISE, peak, share), _cosine(SLOW_MOMENTUM, FAST_MOMENTUM, share)
    else:
        share = (step - top) / (steps - 1 - top) if steps > 1 else 0.0
        rate, momentum = _cosine(peak, peak / RISE / FALL, share), _cosine(FAST_MOMENTUM, SLOW_MOMENTUM, share)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
    return rate


def _cosine(start: float, end: float, share: float) -> float:
    """From `start` to `end` along half a cosine; rounded as torch rounds it."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def choose_precision(config: TrainConfig, device: torch.device) -> torch.dtype:
    """In what the convolutions of a training are computed; sums, norms and weights stay in float32.

    "auto" is bfloat16 where the processor has instructions for it (AVX512-BF16, AMX; CUDA from compute capability 8),
    which made a step 1.4 to 2 times as fast where it was measured; elsewhere float32, as bfloat16 would be emulated.
    It is float32, too, on a CPU where a feature map has fewer frames than its kernel: there oneDNN's bfloat16
    gradients of convolutions of stride 2 are whatever the memory held (measured with torch 2.14 at one frame).

    Raises:
        UsageError: bfloat16 was asked for, and cannot be computed right.
    """
    mels, frames = config.audio.n_mels, config.audio.frames
    narrow = device.type == "cpu" and any(
        conv.map_size(mels, frames)[1] < conv.kernel for conv in convolutions(config.model)
    )
    if narrow and config.precision == "bfloat16":
        raise UsageError(
            f"precision bfloat16: windows of {config.audio.clip_seconds:g} s are too short for it in this network",
            hint='"auto" takes float32 here',
        )
    if config.precision != "auto":
        return getattr(torch, config.precision)  # type: ignore[no-any-return]
    if device.type == "cpu":
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast and not narrow else torch.float32


@torch.no_grad()
def update_ema(ema_model: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of weights and batch-norm statistics; short at first, to forget the start."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    averages, nows = ema_model.state_dict().values(), network.state_dict().values()
    pairs = list(zip(averages, nows, strict=True))
    floating = [(average, now) for average, now in pairs if average.is_floating_point()]
    torch._foreach_lerp_([average for average, _ in floating], [now for _, now in floating], share)
    for average, now in pairs:
        if not average.is_floating_point():
            average.copy_(now)
