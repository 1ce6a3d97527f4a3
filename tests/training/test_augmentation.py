from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from escnn.runs.settings import AugmentConfig
from escnn.training import augmentation as aug

FLOOR, FILL = -110.0, -65.0


def batch(clips: int = 8, mels: int = 16, frames: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    decibels = torch.rand(clips, mels, frames, generator=generator) * 60 - 90
    return decibels, torch.eye(4)[torch.arange(clips) % 4]


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


ALONE: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "roll": aug.roll,
    "warp": lambda x, g: aug.warp(x, 0.2, 0.1, 0.05, g),
    "gain": lambda x, g: aug.gain(x, 6.0, g),
    "equalize": lambda x, g: aug.equalize(x, 6.0, g),
    "mask mels": lambda x, g: aug.mask(x, 1, 5, 0, FILL, g),
    "mask frames": lambda x, g: aug.mask(x, 1, 0, 5, FILL, g),
    "mix powers": lambda x, g: aug.mix_powers(x, batch()[1], g)[0],
    "mixup": lambda x, g: aug.mixup(x, batch()[1], 0.4, g)[0],
}


@pytest.mark.parametrize("name", ALONE)
def test_each_step_changes_the_batch_repeats_with_its_seed_and_spares_its_input(name: str) -> None:
    decibels, _ = batch()
    kept = decibels.clone()
    first, again, other = (ALONE[name](decibels, seeded(seed)) for seed in (0, 0, 1))
    torch.testing.assert_close(decibels, kept, rtol=0, atol=0)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert first.shape == decibels.shape
    assert not torch.equal(first, decibels)
    assert not torch.equal(first, other)


def test_a_rolled_clip_holds_the_same_columns_in_the_same_cycle() -> None:
    decibels, _ = batch()
    for before, after in zip(decibels, aug.roll(decibels, seeded()), strict=True):
        assert any(torch.equal(after, before.roll(-shift, dims=1)) for shift in range(before.shape[1]))


def test_gain_shifts_a_clip_by_one_amount_within_its_bound() -> None:
    decibels, _ = batch()
    change = aug.gain(decibels, 6.0, seeded()) - decibels
    assert change.std(dim=(1, 2)).max() < 1e-4
    assert change.abs().max() <= 6.0


def test_the_equalizer_is_the_same_at_all_times_and_within_its_bound() -> None:
    decibels, _ = batch()
    change = aug.equalize(decibels, 6.0, seeded()) - decibels
    assert change.std(dim=2).max() < 1e-4
    assert change.abs().max() <= 6.0 + 1e-4
    assert change[:, :, 0].std(dim=1).min() > 0


def test_a_warp_of_nothing_is_nothing() -> None:
    decibels, _ = batch()
    torch.testing.assert_close(aug.warp(decibels, 0.0, 0.0, 0.0, seeded()), decibels, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("mels", "frames"), [(5, 0), (0, 5)])
def test_a_mask_is_one_stripe_of_the_fill_within_its_width(mels: int, frames: int) -> None:
    decibels, _ = batch()
    masked = aug.mask(decibels, 1, mels, frames, FILL, seeded())
    for before, after in zip(decibels, masked, strict=True):
        if frames:
            before, after = before.T, after.T
        rows = (before != after).any(dim=1).nonzero().flatten().tolist()
        assert len(rows) <= 5
        assert rows == list(range(rows[0], rows[0] + len(rows))) if rows else True
        assert (after[rows] == FILL).all()
    assert not torch.equal(decibels, masked)


def test_several_masks_hide_more_than_one() -> None:
    decibels, _ = batch()
    one, four = ((aug.mask(decibels, bands, 5, 5, FILL, seeded()) == FILL).float().mean() for bands in (1, 4))
    assert four > one


def test_mixed_labels_add_up_to_one_and_name_both_sounds() -> None:
    decibels, targets = batch()
    for mixed in (aug.mix_powers(decibels, targets, seeded())[1], aug.mixup(decibels, targets, 1.0, seeded())[1]):
        torch.testing.assert_close(mixed.sum(dim=1), torch.ones(len(mixed)))
        assert ((mixed > 0).sum(dim=1) == 2).any()


def test_mixed_power_lies_between_the_two_and_never_below_the_quieter() -> None:
    decibels, targets = batch()
    mixed, _ = aug.mix_powers(decibels, targets, seeded())
    other = decibels[torch.randperm(len(decibels), generator=seeded())]  # its first draw
    assert (mixed <= torch.maximum(decibels, other) + 1e-3).all()
    assert (mixed >= torch.minimum(decibels, other) - 3.02).all()  # p^2 / (p^2 + (1-p)^2) is 1/2, 3 dB, at the least


def test_the_label_share_follows_what_is_heard_not_the_amplitude() -> None:
    """Of two sounds 40 dB apart, half the label means that both are heard alike: the quiet one is raised."""
    decibels = torch.full((2, 16, 20), -70.0)
    decibels[0, :8] = -20.0  # loud, low
    decibels[1, :8], decibels[1, 8:] = -110.0, -60.0  # quiet, high
    decibels[0, 8:] = -110.0
    for seed in range(200):
        mixed, targets = aug.mix_powers(decibels, torch.eye(2), seeded(seed))
        share = targets[0, 0].item()
        if 0.45 < share < 0.55:
            low, high = mixed[0, 0, 0].item(), mixed[0, -1, 0].item()
            assert low == pytest.approx(high, abs=4.0)
            break
    else:
        pytest.fail("no draw near one half")


def test_everything_off_is_the_identity() -> None:
    off = AugmentConfig(
        roll=False, speed=0, pitch=0, pitch_shift=0, gain_db=0, equalizer_db=0, mix_probability=0, masks=0
    )
    decibels, targets = batch()
    got, labels = aug.augment(decibels, targets, off, floor_db=FLOOR, fill_db=FILL, generator=seeded())
    torch.testing.assert_close(got, decibels, rtol=0, atol=0)
    torch.testing.assert_close(labels, targets, rtol=0, atol=0)


def test_nothing_falls_below_the_floor_or_stops_being_a_number() -> None:
    decibels, targets = batch()
    decibels[0] = FLOOR  # silence can be mixed, too
    for seed in range(20):
        got, labels = aug.augment(
            decibels, targets, AugmentConfig(), floor_db=FLOOR, fill_db=FILL, generator=seeded(seed)
        )
        assert got.isfinite().all()
        assert got.min() >= FLOOR
        torch.testing.assert_close(labels.sum(dim=1), torch.ones(len(labels)))


def test_a_batch_of_one_is_not_mixed() -> None:
    decibels, targets = batch(clips=1)
    _, labels = aug.augment(decibels, targets, AugmentConfig(), floor_db=FLOOR, fill_db=FILL, generator=seeded())
    torch.testing.assert_close(labels, targets)


def test_mixing_ends_when_it_should_and_not_before() -> None:
    decibels, targets = batch()
    config = AugmentConfig(mix_probability=1.0, mix_until=0.8)
    for progress, mixed in ((0.0, True), (0.79, True), (0.8, False), (1.0, False)):
        _, labels = aug.augment(
            decibels, targets, config, floor_db=FLOOR, fill_db=FILL, generator=seeded(), progress=progress
        )
        assert bool((labels.max(dim=1).values < 1).any()) is mixed
