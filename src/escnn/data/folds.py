"""Dealing clips to folds, and folds to the parts of a training."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from escnn.data.dataset import FOLDS, Clip, Dataset
from escnn.errors import DatasetError

ALL = tuple(range(1, FOLDS + 1))


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
        DatasetError: a fold holds no clip, some class has none left to train on, or there is nothing to tell apart.
    """
    _check_trainable(dataset)
    apart = {fold, validation_fold}
    train_clips = tuple(clip for clip in dataset.clips if clip.fold not in apart)
    if absent := set(range(len(dataset.labels))) - {clip.class_id for clip in train_clips}:
        raise DatasetError(
            f"{dataset.root}: some class has no clip left to train on: {dataset.labels[min(absent)]!r:.60}",
            hint="give it more clips",
        )
    return Split(
        train=train_clips,
        validation=dataset.fold(validation_fold) if validation_fold else (),
        test=dataset.fold(fold) if fold else (),
    )


def deal(
    contents: Sequence[str],
    seed: int,
    known: Mapping[str, int] | None = None,
    folds: Sequence[int] = ALL,
    turn: int = 0,
) -> list[int]:
    """The folds of a class's clips, which follow from what they hold: not from their names, and not from their order.

    Where some have a fold already, only the others are dealt: each to the fold that has fewest of the class. Of equals
    the last one comes first, so that even a class of two clips has one in it and one outside; the others take turns, so
    that several small classes do not all lie in the same. Copies stay together.

    Args:
        contents: the hash of every clip's content.
        seed: of the order in which they are dealt.
        known: folds of some contents.
        folds: those to deal to.
        turn: of the class among the others.
    """
    last, *others = sorted(folds, reverse=True)
    start = turn % len(others) if others else 0
    order = [last, *others[start:], *others[:start]]
    copies = Counter(contents)
    fold_of = {content: fold for content, fold in (known or {}).items() if content in copies}
    filled = Counter(dict.fromkeys(folds, 0))
    for content, fold in fold_of.items():
        filled[fold] += copies[content]
    for content in sorted(copies.keys() - fold_of.keys(), key=lambda content: _shuffled(seed, content)):
        fold_of[content] = min(order, key=lambda fold: filled[fold])
        filled[fold_of[content]] += copies[content]
    return [fold_of[content] for content in contents]


def with_folds_dealt(
    dataset: Dataset, seed: int, known: Mapping[str, int] | None = None, folds: Sequence[int] = ALL
) -> Dataset:
    """The data set with its clips dealt to folds class by class; the arguments are those of `deal`."""
    fold_of: dict[str, int] = {}
    for class_id in range(len(dataset.labels)):
        names = [clip.name for clip in dataset.clips if clip.class_id == class_id]
        contents = [dataset.hashes[name] for name in names]
        fold_of |= zip(names, deal(contents, seed, known, folds, class_id), strict=True)
    return dataset.with_folds(fold_of)


def deal_as_0_1_0(count: int, class_id: int, seed: int) -> list[int]:
    """The folds that 0.1.0 gave the `count` clips of a class, sorted by name; its models know their folds by number."""
    places = np.argsort(np.random.default_rng([seed, class_id]).permutation(count))
    return [FOLDS - place % FOLDS for place in places.tolist()]


def _shuffled(seed: int, content: str) -> str:
    return hashlib.sha256(f"{seed}/{content}".encode()).hexdigest()


def _check_trainable(dataset: Dataset) -> None:
    if len(dataset.labels) < 2:
        raise DatasetError(
            f"{dataset.root}: 1 class, {dataset.labels[0]!r:.60}: nothing to tell apart",
            hint="make one folder per class, named after it, with its sounds inside",
        )
    counts = Counter(clip.class_id for clip in dataset.clips)
    for class_id, label in enumerate(dataset.labels):
        if counts[class_id] == 1 and not dataset.has_own_folds:
            raise DatasetError(
                f"{dataset.root}: class {label!r:.60} holds 1 sound",
                hint="a class needs at least 2, better 20 and more",
            )
