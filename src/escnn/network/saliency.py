"""Saliency: which moments and bands of a sound are evidence for a class.

LayerCAM (P.-T. Jiang et al.: LayerCAM: Exploring Hierarchical Class Activation Maps for Localization, IEEE Transactions
on Image Processing, 2021) weighs every value of a feature map by its positive gradient. It is
taken at every stage but the last, whose cells are too coarse for a spectrogram, and the maps are multiplied: salient is
what all of these stages used. ``benchmarks/deletion.py`` measures how far scores fall without it, beside Grad-CAM and
chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.typing import NDArray
from torch import Tensor

from escnn.model.architecture import receptive_fields
from escnn.network.resnet import ResNet

Array = NDArray[np.float32]
DELETED = 0.2  # share of the spectrogram that is blanked to see how much it mattered
RANDOM_CELLS = 16  # blanked at random in squares of so many bands and frames: single pixels would be noise, not gaps
RANDOM_TRIES = 8


def saliency(network: ResNet, network_input: Tensor, class_ids: Sequence[int]) -> Array:
    """The evidence for each class in one window.

    Args:
        network: in evaluation mode.
        network_input: the window's log-mel, normalized, (mels, frames).
        class_ids: the classes to ask for.

    Returns:
        (classes, mels, frames), at least 0; the highest is 1 in each class, unless there is no evidence for it.
    """
    stages, fields = network.stages[:-1] or network.stages, receptive_fields(network.config)
    inputs = network_input[None, None].expand(len(class_ids), -1, -1, -1)
    maps, gradients = stage_gradients(network, inputs, class_ids, stages)
    found = torch.ones(len(class_ids), *network_input.shape, device=network_input.device)
    for stage, values, gradient in zip(stages, maps, gradients, strict=True):
        weighted = (gradient.clamp_min(0) * values).sum(dim=1)  # (classes, height, width)
        found = found * _strongest_is_one(enlarge(weighted, fields[stage].stride, *network_input.shape))
    result: Array = _strongest_is_one(found ** (1 / len(stages))).cpu().numpy()
    return result


def stage_gradients(
    network: ResNet, inputs: Tensor, class_ids: Sequence[int], stages: Sequence[str]
) -> tuple[list[Tensor], list[Tensor]]:
    """Feature maps of some stages, and the gradient of each input's own class there.

    Args:
        network: in evaluation mode.
        inputs: (batch, 1, mels, frames), normalized.
        class_ids: a class for each input; the gradient is of its logit.
        stages: names such as ``layer1``.

    Returns:
        Two lists with a (batch, channels, height, width) for every stage.
    """
    maps: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(stage).register_forward_hook(
            lambda _module, _args, out, stage=stage: maps.__setitem__(stage, out)
        )
        for stage in stages
    ]
    try:
        with torch.enable_grad():
            logits = network(inputs.contiguous(memory_format=torch.channels_last))
            rows = torch.arange(len(class_ids), device=logits.device)
            asked = logits[rows, torch.tensor(class_ids, device=logits.device)].sum()
            gradients = torch.autograd.grad(asked, [maps[stage] for stage in stages])
    finally:
        for hook in hooks:
            hook.remove()
    return [maps[stage].detach() for stage in stages], list(gradients)


def enlarge(maps: Tensor, stride: int, mels: int, frames: int) -> Tensor:
    """Maps (batch, height, width) at the resolution of the spectrogram, (batch, mels, frames), bilinear.

    Cell i lies on pixel ``stride`` i, where its convolutions are centred.
    """
    rows, columns = (
        (torch.arange(size, device=maps.device) / stride).clamp_max(cells - 1) * 2 / max(cells - 1, 1) - 1
        for size, cells in ((mels, maps.shape[1]), (frames, maps.shape[2]))
    )
    grid = torch.stack([columns.expand(mels, frames), rows[:, None].expand(mels, frames)], dim=-1)
    return F.grid_sample(maps[:, None], grid.expand(len(maps), -1, -1, -1), align_corners=True)[:, 0]


@torch.inference_mode()
def deletion(network: ResNet, network_input: Tensor, salient: Array, class_id: int) -> tuple[float, float]:
    """The score of a class once the most salient `DELETED` of a window is blanked, and once as much at random is.

    Args:
        network: in evaluation mode.
        network_input: the window's log-mel, normalized, (mels, frames).
        salient: the evidence for the class, (mels, frames), from `saliency`.
        class_id: the class.

    Returns:
        Both scores, 0 to 1. Blanked is filled with the mean of the training set, as masks in training are. Random
        squares are drawn `RANDOM_TRIES` times, always the same ones, and the mean score is given.
    """
    random = torch.Generator().manual_seed(0)
    blank = [
        most_salient(torch.from_numpy(salient)),
        *(random_squares(network_input.shape, random) for _ in range(RANDOM_TRIES)),
    ]
    inputs = network_input.masked_fill(torch.stack(blank).to(network_input.device), 0.0)[:, None]
    scores = network(inputs.contiguous(memory_format=torch.channels_last)).softmax(dim=1)
    return float(scores[0, class_id]), float(scores[1:, class_id].mean())


def most_salient(values: Tensor) -> Tensor:
    """True for the `DELETED` share of the cells with the highest values, (mels, frames)."""
    count = round(DELETED * values.numel())
    chosen = values.flatten().argsort(descending=True, stable=True)[:count]
    return torch.zeros(values.numel(), dtype=torch.bool).index_fill_(0, chosen, value=True).view(values.shape)


def random_squares(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """True for a random `DELETED` share of the squares that a picture (mels, frames) can be cut into."""
    mels, frames = shape
    squares = torch.rand(-(-mels // RANDOM_CELLS), -(-frames // RANDOM_CELLS), generator=generator)
    chosen = most_salient(squares)
    return chosen.repeat_interleave(RANDOM_CELLS, 0).repeat_interleave(RANDOM_CELLS, 1)[:mels, :frames]


def _strongest_is_one(maps: Tensor) -> Tensor:
    """Every map of (batch, height, width) divided by its largest value; zeros stay zeros."""
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
