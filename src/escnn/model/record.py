"""What the program reads of a model's training and score, checked; a model file holds more of both, for people."""

from __future__ import annotations

from typing import Annotated

import msgspec

from escnn.config import between

Fold = Annotated[int, between(0, 1000)]  # 0: none
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16,128}$")]
HashesByFold = dict[Annotated[str, msgspec.Meta(pattern="^[0-9]{1,4}$")], tuple[Hash, ...]]


class TrainingRecord(msgspec.Struct, frozen=True):
    """Of a card's `training`."""

    fold: Fold | None = None
    validation_fold: Fold | None = None
    trained_on_folds: tuple[Fold, ...] = ()
    epochs: Annotated[int, between(0, 10**9)] | None = None
    seed: Annotated[int, between(0, 2**31 - 1)] | None = None
    seconds: Annotated[float, between(0.0, 1e12)] | None = None
    # Hashes of the contents of the clips of each fold it was trained on, validation fold included: not their names,
    # as a model that is given away tells nobody's file names. Of 0.1.0, how many there were.
    clips: HashesByFold | Annotated[int, between(0, 10**9)] = 0


class Score(msgspec.Struct, frozen=True):
    """Of a card's `score`."""

    accuracy: Annotated[float, between(0.0, 1.0)]
    clips: Annotated[int, between(0, 10**9)] | None = None
    fold: Fold | None = None
    measured: str | None = None  # in words; where there are none, clips and fold say it

    def __post_init__(self) -> None:
        if self.measured is None and None in (self.clips, self.fold):
            raise ValueError("a score says on which clips it was measured")
