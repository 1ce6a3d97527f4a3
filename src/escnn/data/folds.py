"""Dealing clips to folds, and folds to the parts of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from escnn.data.dataset import FOLDS, Clip, Dataset
from escnn.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Split:
    """Which clips do what."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]


def split(dataset: Dataset, fold: int, validation_fold: int | None) -> Split:
    """Folds to parts: one to test on and report, perhaps one to choose the epoch on, the rest to train on.

    Args:
        dataset: the clips.
        fold: the test fold; 0 for none.
        validation_fold: the fold to choose the epoch on, if any.

    Raises:
        DatasetError: a fold holds no clip, or some class has none left to train on.
    """
    apart = {fold, validation_fold}
    train_clips = tuple(clip for clip in dataset.clips if clip.fold not in apart)
    if len({clip.class_id for clip in train_clips}) < len(dataset.labels):
        raise DatasetError(f"{dataset.root}: some class has no clip left to train on", hint="give it more clips")
    return Split(
        train=train_clips,
        validation=dataset.fold(validation_fold) if validation_fold else (),
        test=dataset.fold(fold) if fold else (),
    )


def deal(root: Path, class_id: int, paths: Sequence[Path], seed: int) -> list[Clip]:
    """The clips of one class, shuffled with `seed` and dealt to folds.

    Folds are dealt from the last one down, so that even a class of two clips has one in fold 5 and one outside.
    """
    order = np.random.default_rng([seed, class_id]).permutation(len(paths))
    return [
        Clip(paths[index].relative_to(root).as_posix(), paths[index], class_id, FOLDS - place % FOLDS)
        for place, index in enumerate(order)
    ]
