from __future__ import annotations

from itertools import pairwise

import numpy as np
from report.evaluation.made_up import evaluation_of, large, small

from escnn.report.evaluation.confusion import LEVELS, Cell, confusion_cells, in_words, side_by_side


def test_cells_hold_every_clip_once_the_fullest_and_the_surest_first() -> None:
    evaluation = large(20, 900)
    cells = confusion_cells(evaluation)
    assert sorted(index for cell in cells for index in cell.clips) == list(range(900))
    assert all(len(above.clips) >= len(below.clips) for above, below in pairwise(cells))
    highest = evaluation.scores.max(axis=1)
    for cell in cells:
        assert set(evaluation.truth[list(cell.clips)]) == {cell.true}
        assert set(evaluation.predicted[list(cell.clips)]) == {cell.predicted}
        assert all(np.diff(highest[list(cell.clips)]) <= 0)
        assert cell.of == (evaluation.truth == cell.true).sum()


def test_a_share_becomes_the_shade_that_holds_it() -> None:
    for count in range(1, 41):
        cell = Cell(0, 1, range(count), 40)
        assert (cell.level - 1) / LEVELS < cell.share <= cell.level / LEVELS


def test_confused_classes_lie_side_by_side() -> None:
    """Two chains, 0-4-2 and 5-1, and a class that nothing was ever taken for."""
    pairs = {(0, 4): 3, (4, 2): 2, (5, 1): 4}
    cells = [Cell(true, predicted, range(count), 10) for (true, predicted), count in pairs.items()]
    order = side_by_side(6, [*cells, Cell(3, 3, range(10), 10)])
    assert sorted(order) == list(range(6))
    place = {label: k for k, label in enumerate(order)}
    assert all(abs(place[one] - place[other]) == 1 for one, other in pairs)
    assert order[-1] == 3
    assert side_by_side(3, [Cell(k, k, range(5), 5) for k in range(3)]) == [0, 1, 2], "nothing confused: as given"


def test_it_says_in_words_what_goes_wrong() -> None:
    evaluation = small()
    words = in_words(evaluation.labels, confusion_cells(evaluation))
    assert "3 of the 5 classes are without a mistake." in words
    assert "The hardest is \u2068hen\u2069: 0 of 1 right." in words
    assert "\u2068dog\u2069 taken for \u2068sea waves\u2069, 2 of 4 clips" in words


def test_it_says_in_words_that_one_class_or_none_or_all_are_without_a_mistake() -> None:
    def words(*pairs: tuple[int, int]) -> str:
        evaluation = evaluation_of(
            ["a", "b"], [(true, said, 0.9, 0.9 if true == said else 0.1) for true, said in pairs]
        )
        return in_words(evaluation.labels, confusion_cells(evaluation))

    assert words((0, 0), (1, 0)).startswith(
        "1 of the 2 classes is without a mistake. The hardest is \u2068b\u2069: 0 of 1"
    )
    assert words((0, 1), (1, 0)).startswith("None of the 2 classes is without a mistake. The hardest is \u2068a\u2069")
    assert words((0, 0), (1, 1)) == "Every class is without a mistake."
