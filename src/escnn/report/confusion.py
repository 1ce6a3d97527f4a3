"""Which classes are taken for which: the cells of the confusion matrix, their order, and the classes one by one."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escnn.report.html import spoken

LEVELS = 8  # shades of a cell of the confusion matrix
MOST_WRONG = 20  # clips in the list of the most confidently wrong


@dataclass(frozen=True, slots=True)
class EvaluatedClip:
    """A clip and its answer. `true` and `predicted` are class ids; both scores are 0 to 1."""

    name: str
    true: int
    predicted: int
    score: float  # of the predicted class
    true_score: float  # of the true class; the same where both are one
    fold: int
    mp3: bytes | None = None  # its sound, to listen to


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the confusion matrix that is not empty: `clips` are indices, the surest answer first."""

    true: int
    predicted: int
    clips: Sequence[int]
    of: int  # clips in its row

    @property
    def right(self) -> bool:
        """Whether it lies on the diagonal."""
        return self.true == self.predicted

    @property
    def share(self) -> float:
        """Share of its row, above 0 to 1."""
        return len(self.clips) / self.of

    @property
    def level(self) -> int:
        """The share as a shade, 1 to `LEVELS`."""
        return math.ceil(LEVELS * self.share - 1e-9)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """How a class fared, 0 to 1; None: there is nothing to divide by."""

    id: int
    precision: float | None
    recall: float | None
    f1: float | None
    clips: int
    predicted: int
    rival: Cell | None  # where most of its missed clips went


def confusion_cells(clips: Sequence[EvaluatedClip]) -> list[Cell]:
    """The cells that hold clips, the fullest first, then in the order of the classes."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    totals: dict[int, int] = defaultdict(int)
    for index, clip in enumerate(clips):
        found[clip.true, clip.predicted].append(index)
        totals[clip.true] += 1
    cells = [
        Cell(true, predicted, sorted(inside, key=lambda index: -clips[index].score), totals[true])
        for (true, predicted), inside in found.items()
    ]
    return sorted(cells, key=lambda cell: (-len(cell.clips), cell.true, cell.predicted))


def class_rows(classes: int, cells: Sequence[Cell]) -> list[ClassRow]:
    """A row a class, the lowest recall first, those without clips last."""
    clips, predicted, hits = [0] * classes, [0] * classes, [0] * classes
    rivals: dict[int, Cell] = {}
    for cell in cells:  # the fullest first
        clips[cell.true] += len(cell.clips)
        predicted[cell.predicted] += len(cell.clips)
        if cell.right:
            hits[cell.true] = len(cell.clips)
        else:
            rivals.setdefault(cell.true, cell)
    rows = [
        ClassRow(
            id=index,
            precision=hits[index] / predicted[index] if predicted[index] else None,
            recall=hits[index] / clips[index] if clips[index] else None,
            f1=2 * hits[index] / (clips[index] + predicted[index]) if clips[index] else None,
            clips=clips[index],
            predicted=predicted[index],
            rival=rivals.get(index),
        )
        for index in range(classes)
    ]
    return sorted(rows, key=lambda row: (2.0 if row.recall is None else row.recall, row.id))


def macro_f1(rows: Sequence[ClassRow]) -> float:
    """Mean F1 of the classes that have clips."""
    return statistics.fmean(row.f1 for row in rows if row.f1 is not None)


def most_confidently_wrong(clips: Sequence[EvaluatedClip]) -> list[int]:
    """Indices of the wrong answers with the highest scores, highest first."""
    wrong = [index for index, clip in enumerate(clips) if clip.true != clip.predicted]
    return sorted(wrong, key=lambda index: -clips[index].score)[:MOST_WRONG]


def side_by_side(classes: int, cells: Sequence[Cell]) -> list[int]:
    """Class ids so ordered that classes often taken for each other are neighbours.

    Average linkage on the mean of both shares: the two closest groups are joined, facing each other with the ends that
    are most alike, until no two groups were ever confused. The largest groups come first.
    """
    alike: NDArray[np.float64] = np.zeros((classes, classes))
    for cell in cells:
        if not cell.right:
            alike[cell.true, cell.predicted] += cell.share / 2
            alike[cell.predicted, cell.true] += cell.share / 2
    linkage = alike.copy()
    groups = [[index] for index in range(classes)]
    while classes and linkage.max() > 0:
        one, other = map(int, np.unravel_index(linkage.argmax(), linkage.shape))
        sizes = len(groups[one]), len(groups[other])
        joined = (sizes[0] * linkage[one] + sizes[1] * linkage[other]) / sum(sizes)
        linkage[one], linkage[:, one] = joined, joined
        linkage[other], linkage[:, other], linkage[one, one] = 0, 0, 0
        groups[one], groups[other] = _face_to_face(groups[one], groups[other], alike), []
    return [index for group in sorted(groups, key=lambda group: -len(group)) for index in group]


def _face_to_face(one: list[int], other: list[int], alike: NDArray[np.float64]) -> list[int]:
    ways = [(left, right) for left in (one, one[::-1]) for right in (other, other[::-1])]
    left, right = max(ways, key=lambda way: alike[way[0][-1], way[1][0]])
    return left + right


def in_words(labels: Sequence[str], cells: Sequence[Cell], rows: Sequence[ClassRow]) -> str:
    """What it gets right and wrong, in a sentence or two; labels stand between Unicode isolates."""
    heard = [row for row in rows if row.clips]
    perfect = sum(row.recall == 1 for row in heard)
    worst = heard[0]
    if perfect == len(heard):
        return "It names every one of them right."
    flawless = (
        f"It names every clip of {perfect} of the {len(heard)} classes right."
        if perfect
        else f"None of the {len(heard)} classes is without a mistake."
    )
    hits = round((worst.recall or 0) * worst.clips)
    hardest = f"Hardest is {_isolated(labels[worst.id])}: {hits} of {worst.clips} right."
    pair = next(cell for cell in cells if not cell.right)
    often = (
        f"Its most frequent mistake: {_isolated(labels[pair.true])} taken for {_isolated(labels[pair.predicted])}, "
        f"{len(pair.clips)} of {pair.of} clips."
    )
    return f"{flawless} {hardest} {often}"


def _isolated(label: str) -> str:
    return f"\u2068{spoken(label)}\u2069"
