"""Stretching in numpy, held to torch's grid_sample."""

import numpy as np
import pytest
import torch

from escnn.errors import UsageError
from escnn.inference.test_time_augmentation import AUGMENTATIONS, augmented, check_tta
from escnn.network.log_mel import stretch


@pytest.mark.parametrize("shape", [(128, 431), (8, 2), (33, 17)])
def test_every_way_is_what_torch_makes_of_it(shape: tuple[int, int]) -> None:
    log_mels = np.random.default_rng(0).uniform(-110, 0, (3, *shape)).astype(np.float32)
    ways = list(augmented(log_mels, len(AUGMENTATIONS)))
    assert ways[0] is log_mels
    same = torch.ones(3)
    for (faster, lowered), way in zip(AUGMENTATIONS, ways, strict=True):
        expected = stretch(torch.from_numpy(log_mels), same * faster, same, same * lowered)
        np.testing.assert_allclose(way, expected.numpy(), atol=0.02)  # dB


@pytest.mark.parametrize("tta", [0, 6])
def test_a_number_of_ways_that_there_are_not_is_refused(tta: int) -> None:
    with pytest.raises(UsageError, match="between 1 and 5"):
        check_tta(tta)
