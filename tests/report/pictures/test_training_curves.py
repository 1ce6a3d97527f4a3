from __future__ import annotations

import matplotlib.style
from matplotlib.figure import Figure

from escnn.report.pictures.axes import STYLE
from escnn.report.pictures.training_curves import training_curves
from escnn.runs.run import EpochMetrics


def epoch(number: int, loss: float, test: float | None) -> EpochMetrics:
    return EpochMetrics(number, loss, 0.4, None, test, 1e-3, seconds=1.0, cpu_seconds=1.0, clips_per_second=1.0)


def figure_of(*history: EpochMetrics) -> Figure:
    with matplotlib.style.context(["default", STYLE]):
        figure: Figure = training_curves.__wrapped__(history)
    return figure


def test_what_was_not_measured_is_left_out() -> None:
    losses, accuracies, rate = figure_of(*(epoch(k, 4 - k, 0.5 if k == 2 else None) for k in (1, 2, 3))).axes
    assert losses.lines[0].get_ydata().tolist() == [3, 2, 1]
    train, test = accuracies.lines
    assert (train.get_label(), test.get_label()) == ("training clips", "test fold")
    assert train.get_ydata().tolist() == [40] * 3, "per cent"
    assert test.get_xydata().tolist() == [[2, 50]]
    assert rate.lines[0].get_ydata().tolist() == [1e-3] * 3


def test_one_epoch_is_a_dot() -> None:
    losses, _, rate = figure_of(epoch(1, 3.9, None)).axes
    assert losses.lines[0].get_marker() == rate.lines[0].get_marker() == "o"
    left, right = losses.get_xlim()
    assert left < 1 < right


def test_it_is_a_picture() -> None:
    assert training_curves([epoch(1, 3.9, 0.5)]).size == (1500, 570)
