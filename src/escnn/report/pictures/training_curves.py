"""The curves of a training as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from escnn.report.pictures.axes import GREY, GRID, drawn, figure
from escnn.runs.run import EpochMetrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@drawn
def training_curves(history: Sequence[EpochMetrics]) -> Figure:
    """Loss, learning rate and accuracies over one epoch or more.

    What was not looked at is left out: an accuracy measured every fifth epoch is a line all the same.
    """
    from matplotlib.ticker import MaxNLocator

    sheet = figure(10, 3.8, layout="constrained")
    losses, accuracies = sheet.subplots(1, 2)
    _draw(losses, "loss", [(row.epoch, row.loss) for row in history])
    _draw(accuracies, "training clips", [(row.epoch, row.train_accuracy) for row in history], scale=100)
    _draw(accuracies, "validation fold", [(row.epoch, row.validation_accuracy) for row in history], scale=100)
    _draw(accuracies, "test fold", [(row.epoch, row.held_out_accuracy) for row in history], scale=100)
    rate = losses.twinx()
    _draw(rate, "learning rate", [(row.epoch, row.learning_rate) for row in history], color=GREY, linestyle=":")
    rate.set_ylabel("learning rate (dotted)", color=GREY)
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes, title in ((losses, "Loss"), (accuracies, "Accuracy, %")):
        axes.legend()
        axes.set(title=title, xlabel="epoch")
        axes.set_xlim(history[0].epoch - 0.5, history[-1].epoch + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
    return sheet


def _draw(axes: Axes, name: str, points: Sequence[tuple[int, float | None]], scale: float = 1, **style: Any) -> None:
    """A line through the points that have a value, if any has."""
    measured = [(epoch, value * scale) for epoch, value in points if value is not None]
    if measured:
        marker = "o" if len(measured) < 20 else ""  # a line through one point shows nothing
        axes.plot(*zip(*measured, strict=True), marker=marker, label=name, **style)
