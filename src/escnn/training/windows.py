"""Windows of the clips that a network learns from: which of them in an epoch, and how they are normalized."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from escnn.audio.log_mel import Normalization
from escnn.data.features import Features


def draw_windows(owner: Tensor, generator: torch.Generator) -> Tensor:
    """Which windows to learn from in an epoch: equally many of each clip, however long, in random order.

    They are as many as the median clip has windows. Of a longer clip some are drawn, those of a shorter one come again.

    Args:
        owner: (windows,), the clip that each window is from, ascending.
        generator: of the processor; the same state draws the same.

    Returns:
        (clips * median,), indices into `owner`.
    """
    counts = torch.unique_consecutive(owner, return_counts=True)[1]  # (clips,)
    each = int(counts.median())
    order = torch.randperm(len(counts) * each, generator=generator)
    # Sorted by clip, and at random within each.
    mixed = torch.argsort(owner + torch.rand(len(owner), generator=generator, dtype=torch.float64))
    first = counts.cumsum(0) - counts
    places = first[:, None] + torch.arange(each) % counts[:, None]  # (clips, median)
    return mixed[places.flatten()[order]]


def measure_normalization(features: Features, windows: Tensor) -> Normalization:
    """Mean and standard deviation, in dB, over the given windows."""
    total = squares = 0.0
    for part in torch.split(windows, 64):
        decibels = torch.from_numpy(features.decibels[part.numpy()]).double()
        total, squares = total + float(decibels.sum()), squares + float(decibels.square().sum())
    count = len(windows) * features.decibels[0].size
    mean = total / count
    return Normalization(mean, max(1e-3, math.sqrt(max(0.0, squares / count - mean**2))))
