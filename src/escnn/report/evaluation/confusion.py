"""Which classes are taken for which: the cells of the confusion matrix and their order."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escnn.evaluation.evaluation import Evaluation
from escnn.report.html import display_label

LEVELS = 8  # shades of a cell


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the confusion matrix that is not empty: `clips` are indices, the highest score first."""

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


def confusion_cells(evaluation: Evaluation) -> list[Cell]:
    """The cells that hold clips, the fullest first, then in the order of the classes."""
    truth, predicted = evaluation.truth, evaluation.predicted
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index in np.argsort(-evaluation.scores.max(axis=1), kind="stable").tolist():
        found[int(truth[index]), int(predicted[index])].append(index)
    totals = evaluation.confusion_matrix.sum(axis=1)
    cells = [Cell(true, answer, clips, int(totals[true])) for (true, answer), clips in found.items()]
    return sorted(cells, key=lambda cell: (-len(cell.clips), cell.true, cell.predicted))


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


def in_words(labels: Sequence[str], cells: Sequence[Cell]) -> str:
    """What it gets right and wrong, in a sentence or two; labels stand between Unicode isolates."""
    right = {cell.true: len(cell.clips) for cell in cells if cell.right}
    clips = {cell.true: cell.of for cell in cells}
    mistakes = [cell for cell in cells if not cell.right]  # the fullest first
    if not mistakes:
        return "Every class is without a mistake."
    perfect = sum(right.get(true) == of for true, of in clips.items())
    flawless = f"{perfect or 'None'} of the {len(clips)} classes {'is' if perfect <= 1 else 'are'} without a mistake."
    worst = min(clips, key=lambda true: (right.get(true, 0) / clips[true], true))
    hardest = f"The hardest is {_isolated(labels[worst])}: {right.get(worst, 0)} of {clips[worst]} right."
    pair = mistakes[0]
    often = (
        f"The most frequent mistake: {_isolated(labels[pair.true])} taken for {_isolated(labels[pair.predicted])}, "
        f"{len(pair.clips)} of {pair.of} clips."
    )
    return f"{flawless} {hardest} {often}"


def _isolated(label: str) -> str:
    return f"\u2068{display_label(label)}\u2069"
