from __future__ import annotations

import itertools
from collections.abc import Iterator

import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from escnn.report.pictures.axes import DPI, STYLE
from escnn.report.pictures.confusion_matrix import confusion_matrix


@pytest.fixture
def our_style() -> Iterator[None]:
    """For tests that look at a figure (through ``__wrapped__``) rather than at its pixels."""
    with matplotlib.style.context(["default", STYLE]):
        yield


@pytest.mark.usefixtures("our_style")
def test_names_are_readable_and_counts_stand_in_their_cells() -> None:
    labels = [f"a_rather_long_name_{k:02}" for k in range(50)]
    matrix = np.eye(50, dtype=int) * 6
    matrix[3, 7] = 2  # class 3 taken for class 7
    figure = confusion_matrix.__wrapped__(matrix, labels)
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        boxes = [tick.get_window_extent() for tick in ticks]
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
        assert all(tick.get_fontsize() * DPI / 72 >= 12 for tick in ticks), "pixels"
        assert ticks[7].get_text() == "a rather long name 07"
    counts = {text.get_position(): text.get_text() for text in axes.texts}
    assert counts[7, 3] == "2", "column 7, row 3"
    assert len(counts) == 51
    assert axes.get_title("left") == "accuracy 99.3 % (300 of 302 clips)"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.images[0].get_array()[3, [3, 7]].tolist() == [6 / 8, 2 / 8], "shares of the row"


def test_many_classes_shrink_their_names() -> None:
    figure = confusion_matrix.__wrapped__(np.zeros((250, 250), dtype=int), ["x"] * 250)
    cell_points = 72 * figure.get_figheight() / 250
    assert figure.axes[0].get_yticklabels()[0].get_fontsize() < cell_points


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_and_no_clips(classes: int) -> None:
    assert confusion_matrix(np.zeros((classes, classes), dtype=int), ["x"] * classes).width > 600
