from __future__ import annotations

import math
from dataclasses import replace

import pytest
from report.evaluation.made_up import history

from escnn.report.evaluation.curves import curve_lines


def test_curves_run_through_their_points_and_leave_out_what_was_not_measured() -> None:
    curves = curve_lines(history())
    test, train = curves.accuracies
    assert [x for x, _ in test.points] == [0, 0.5, 1]
    assert len(train.points) == 5
    assert [y for _, y in test.points] == pytest.approx([0.15, 0.45, 0.75])
    assert test.path == "0.0,850.0 500.0,550.0 1000.0,250.0", "y runs downwards on a screen"
    assert curves.loss is not None
    highest_label, place = curves.loss_ticks[-1]
    assert place == 1
    assert curves.loss.points[0] == (0, 3 / float(highest_label))
    assert max(y for _, y in curves.loss.points) <= 1
    assert [label for label, _ in curves.epoch_ticks] == ["1", "2", "3", "4", "5"]
    assert "At the end: test fold 75.0\u00a0%, training clips 50.0\u00a0%." in curves.description


def test_a_loss_that_is_no_number_is_no_point() -> None:
    first, second = history(2)
    curves = curve_lines([replace(first, loss=math.nan), second])
    assert curves.loss is not None
    assert [x for x, _ in curves.loss.points] == [1]
    assert curve_lines([replace(first, loss=math.inf)]).loss is None
