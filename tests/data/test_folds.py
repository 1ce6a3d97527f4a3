"""Clips are dealt to folds by the seed alone; a split keeps the test fold apart."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from escnn.data.dataset import Clip, Dataset
from escnn.data.folds import deal, split
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError


def test_the_deal_depends_on_the_seed_and_on_nothing_else(class_folders: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(class_folders, tmp_path / "moved")

    def folds(root: Path, seed: int) -> list[int]:
        return [clip.fold for clip in open_dataset(root, seed=seed).clips]

    assert folds(class_folders, 3) == folds(moved, 3)
    assert folds(class_folders, 3) != folds(class_folders, 4)


def test_a_run_of_0_1_0_finds_its_folds_again(tmp_path: Path) -> None:
    """A model of a folder data set knows its test fold by number: another deal would evaluate it on training clips."""
    for label in ("ant", "bee", "dog"):
        (tmp_path / label).mkdir()
        for number in range(8):
            (tmp_path / label / f"{number}.wav").touch()
    dealt = {
        clip.path.stem: clip.fold
        for clip in open_dataset(tmp_path, seed=7, dealing="0.1.0").clips
        if clip.class_id == 2
    }
    assert dealt == {"0": 4, "1": 4, "2": 3, "3": 2, "4": 3, "5": 5, "6": 5, "7": 1}


def test_the_deal_follows_what_clips_hold_and_not_what_they_are_called() -> None:
    contents = [f"{number:064x}" for number in range(23)]
    dealt = dict(zip(contents, deal(contents, 3), strict=True))
    assert dict(zip(contents[::-1], deal(contents[::-1], 3), strict=True)) == dealt
    assert sorted(Counter(dealt.values()).values()) == [4, 4, 5, 5, 5]


def test_newcomers_are_dealt_to_the_emptiest_folds_and_the_others_stay() -> None:
    old = [f"{number:064x}" for number in range(12)]
    known = dict(zip(old, deal(old, 0), strict=True))
    more = [*(f"{number:064x}" for number in range(100, 123)), *old]
    dealt = dict(zip(more, deal(more, 0, known), strict=True))
    assert {content: dealt[content] for content in old} == known
    assert set(Counter(dealt.values()).values()) == {7}


def clips(*folds: tuple[int, int]) -> Dataset:
    """A data set with a clip for each (class, fold)."""
    root = Path("root")
    found = tuple(Clip(f"{n}", root / f"{n}", *pair) for n, pair in enumerate(folds))
    return Dataset(root, ("a", "b"), found, has_own_folds=True)


def test_every_clip_of_a_split_has_one_part() -> None:
    dataset = clips(*((class_id, fold) for fold in range(1, 6) for class_id in (0, 1)))
    parts = split(dataset, 5, 3)
    assert {clip.fold for clip in parts.train} == {1, 2, 4}
    assert {clip.fold for clip in parts.validation} == {3}
    assert {clip.fold for clip in parts.test} == {5}
    assert sorted((*parts.train, *parts.validation, *parts.test), key=lambda clip: int(clip.name)) == list(
        dataset.clips
    )
    everything = split(dataset, 0, None)
    assert (everything.train, everything.validation, everything.test) == (dataset.clips, (), ())


@pytest.mark.parametrize(
    ("folds", "fold", "validation_fold", "said"),
    [
        (((0, 1), (1, 1), (0, 5)), 3, None, "fold 3 holds no clip"),
        (((0, 1), (1, 1), (0, 5)), 5, 4, "fold 4 holds no clip"),
        (((0, 1), (1, 1), (0, 5)), 1, None, "some class has no clip left to train on"),
        (((0, 1), (1, 2), (0, 5)), 5, 2, "some class has no clip left to train on"),
    ],
)
def test_a_split_that_cannot_be_is_refused(
    folds: tuple[tuple[int, int], ...], fold: int, validation_fold: int | None, said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        split(clips(*folds), fold, validation_fold)
