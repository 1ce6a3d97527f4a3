"""Augmentation of log-mels, over the whole batch at once. Every draw comes from the generator that is handed in.

All functions take and give decibels of shape (batch, mels, frames) unless they say otherwise, and never write into
their input. Shares of a mixture are soft labels of shape (batch, classes) whose rows add up to one.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Generator, Tensor

from escnn.network.log_mel import stretch
from escnn.runs.settings import AugmentConfig


def augment(
    decibels: Tensor,
    targets: Tensor,
    config: AugmentConfig,
    *,
    floor_db: float,
    fill_db: float,
    generator: Generator,
    progress: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """One training batch, augmented as `config` says.

    Args:
        decibels: (batch, mels, frames).
        targets: (batch, classes), rows adding up to one.
        config: what to do and how much.
        floor_db: the lowest value of a picture.
        fill_db: the value of what is masked, the mean of the training set.
        generator: on the device of `decibels`; the same state gives the same batch.
        progress: share of the training that is done, 0..1.

    Returns:
        Decibels (batch, mels, frames) and targets (batch, classes).
    """
    if config.roll:
        decibels = roll(decibels, generator)
    if config.speed or config.pitch or config.pitch_shift:
        decibels = warp(decibels, config.speed, config.pitch, config.pitch_shift, generator)
    if config.gain_db:
        decibels = gain(decibels, config.gain_db, generator)
    if config.equalizer_db:
        decibels = equalize(decibels, config.equalizer_db, generator)
    mixing = _uniform((1,), generator).item() < config.mix_probability and progress < config.mix_until
    if mixing and len(decibels) > 1:
        if config.mixing == "power":
            decibels, targets = mix_powers(decibels, targets, generator)
        else:
            decibels, targets = mixup(decibels, targets, config.mixup_alpha, generator)
    decibels = decibels.clamp_min(floor_db)
    if config.masks:
        decibels = mask(decibels, config.masks, config.mask_mels, config.mask_frames, fill_db, generator)
    return decibels, targets


def roll(decibels: Tensor, generator: Generator) -> Tensor:
    """Start every clip at a random frame and let it wrap around: a clip's label does not depend on when it begins."""
    batch, mels, frames = decibels.shape
    start = torch.randint(0, frames, (batch, 1), generator=generator, device=decibels.device)
    order = (torch.arange(frames, device=decibels.device) + start) % frames  # (batch, frames)
    return decibels.gather(2, order[:, None].expand(batch, mels, frames))


def warp(decibels: Tensor, speed: float, pitch: float, pitch_shift: float, generator: Generator) -> Tensor:
    """Play faster or slower by up to exp(+-`speed`), stretch the mel axis by up to 1 +- `pitch`, and shift it by up to
    `pitch_shift` of its length, every clip by its own amounts.
    """
    batch = len(decibels)
    faster = torch.exp(_spread(batch, generator) * speed)
    wider = 1 + _spread(batch, generator) * pitch
    return stretch(decibels, faster, wider, _spread(batch, generator) * pitch_shift)


def gain(decibels: Tensor, most_db: float, generator: Generator) -> Tensor:
    """Make every clip louder or quieter by up to `most_db`."""
    return decibels + _spread(len(decibels), generator)[:, None, None] * most_db


def equalize(decibels: Tensor, most_db: float, generator: Generator) -> Tensor:
    """Add a smooth random curve over frequency, within +-`most_db`: another microphone, another room."""
    batch, mels, _ = decibels.shape
    knots = (_uniform((batch, 1, 5), generator) * 2 - 1) * most_db
    curve = F.interpolate(knots, size=mels, mode="linear", align_corners=True)  # (batch, 1, mels)
    return decibels + curve.transpose(1, 2)


def mix_powers(decibels: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Let two clips be heard at once, as between-class learning does (Y. Tokozume et al., 2018).

    The label share r of the first clip is drawn from 0..1 and the amplitude weight p is chosen so that the *audible*
    share is r: p = 1 / (1 + 10^((G1 - G2) / 20) (1 - r) / r), where G is a clip's loudness in dB. Powers are added with
    weights p^2 and (1 - p)^2, divided by their sum.
    """
    batch = len(decibels)
    other = torch.randperm(batch, generator=generator, device=decibels.device)
    share = _uniform((batch, 1, 1), generator) * 0.98 + 0.01
    power = (decibels * (math.log(10) / 10)).exp()
    loudness = 10 * power.mean((1, 2), keepdim=True).log10()
    weight = 1 / (1 + 10 ** ((loudness - loudness[other]) / 20) * (1 - share) / share)
    mixed = power.lerp(power[other], (1 - weight) ** 2 / (weight**2 + (1 - weight) ** 2))
    share = share[:, :, 0]  # (batch, 1)
    return 10 * mixed.log10(), share * targets + (1 - share) * targets[other]


def mixup(decibels: Tensor, targets: Tensor, alpha: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Weighted mean of two pictures, one weight from Beta(alpha, alpha) for the batch (H. Zhang et al., 2018)."""
    other = torch.randperm(len(decibels), generator=generator, device=decibels.device)
    # torch draws a Beta only from its global generator; numpy's is seeded from ours.
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    return share * decibels + (1 - share) * decibels[other], share * targets + (1 - share) * targets[other]


def mask(decibels: Tensor, bands: int, mels: int, frames: int, fill_db: float, generator: Generator) -> Tensor:
    """Hide `bands` bands of up to `mels` rows and as many of up to `frames` columns of every clip (SpecAugment)."""
    hidden = torch.zeros_like(decibels, dtype=torch.bool)
    for _ in range(bands):
        hidden |= _bands(decibels, 1, mels, generator)[:, :, None]
        hidden |= _bands(decibels, 2, frames, generator)[:, None, :]
    return decibels.masked_fill(hidden, fill_db)


def _bands(decibels: Tensor, axis: int, widest: int, generator: Generator) -> Tensor:
    """One random run of up to `widest` positions of an axis, for every clip: true inside, (batch, length)."""
    batch, length = len(decibels), decibels.shape[axis]
    width = (_uniform((batch, 1), generator) * (min(widest, length) + 1)).long()
    start = (_uniform((batch, 1), generator) * (length - width + 1)).long()
    position = torch.arange(length, device=decibels.device)
    return (position >= start) & (position < start + width)


def _uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Uniform in 0..1, on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def _spread(batch: int, generator: Generator) -> Tensor:
    """Uniform in -1..1, one a clip."""
    return _uniform((batch,), generator) * 2 - 1
