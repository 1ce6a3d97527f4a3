"""The curves of a training, as lines within their plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from escnn.report.html import percent
from escnn.report.pictures.axes import Ticks, epoch_place, epoch_ticks, zero_based_ticks
from escnn.runs.run import EpochMetrics


@dataclass(frozen=True, slots=True)
class Line:
    """A curve over the epochs; places are shares of the plot, x to the right, y upwards."""

    key: str
    name: str
    points: Sequence[tuple[float, float]]
    last: float

    @property
    def path(self) -> str:
        """As points of an SVG polyline in a box of 1000 x 1000, y downwards."""
        return " ".join(f"{1000 * x:.1f},{1000 * (1 - y):.1f}" for x, y in self.points)


@dataclass(frozen=True, slots=True)
class Curves:
    """The training as two plots with one axis of epochs."""

    accuracies: Sequence[Line]
    loss: Line | None  # None: no epoch has a finite one
    loss_ticks: Ticks
    epoch_ticks: Ticks
    description: str


def curve_lines(history: Sequence[EpochMetrics]) -> Curves:
    """The training as lines within their plots. What was not looked at, or is no number, is left out."""
    first, last = history[0].epoch, history[-1].epoch
    loss_top, loss_ticks = zero_based_ticks(max((row.loss for row in history if math.isfinite(row.loss)), default=0.0))

    def line(key: str, name: str, values: Sequence[float | None], top: float = 1.0) -> Line | None:
        measured = [
            (row.epoch, value)
            for row, value in zip(history, values, strict=True)
            if value is not None and math.isfinite(value)
        ]
        points = [(epoch_place(epoch, first, last), value / top) for epoch, value in measured]
        return Line(key, name, points, measured[-1][1]) if measured else None

    lines = [
        line("test", "test fold", [row.held_out_accuracy for row in history]),
        line("validation", "validation fold", [row.validation_accuracy for row in history]),
        line("train", "training clips", [row.train_accuracy for row in history]),
    ]
    accuracies = [each for each in lines if each]
    ends = ", ".join(f"{each.name} {percent(each.last)}" for each in accuracies)
    return Curves(
        accuracies=accuracies,
        loss=line("loss", "loss", [row.loss for row in history], loss_top),
        loss_ticks=loss_ticks,
        epoch_ticks=epoch_ticks(first, last),
        description=f"Accuracy over epochs {first} to {last}. At the end: {ends}.",
    )
