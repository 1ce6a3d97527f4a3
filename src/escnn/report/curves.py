"""The curves of a training, as lines within their plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from escnn.report.html import percent


@dataclass(frozen=True, slots=True)
class EpochScore:
    """One epoch of the training. Accuracies are 0 to 1; None: not looked at."""

    epoch: int  # from 1
    loss: float  # nats
    train_accuracy: float  # on altered and mixed clips
    held_out_accuracy: float | None = None
    validation_accuracy: float | None = None


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
    """The training as two plots with one axis of epochs; a tick is a label and its place."""

    accuracy: Sequence[Line]
    loss: Line
    loss_top: float
    loss_ticks: Sequence[tuple[str, float]]
    epoch_ticks: Sequence[tuple[str, float]]
    description: str


def training_curves(rows: Sequence[EpochScore]) -> Curves:
    """The training as lines within their plots."""
    first, last = rows[0].epoch, rows[-1].epoch
    loss_top, loss_ticks = axis_from_zero(max(row.loss for row in rows if math.isfinite(row.loss)))

    def place(epoch: int) -> float:
        return (epoch - first) / (last - first) if last > first else 0.5

    def line(key: str, name: str, values: Sequence[float | None], top: float) -> Line | None:
        seen = [(row.epoch, value) for row, value in zip(rows, values, strict=True) if value is not None]
        seen = [(epoch, value) for epoch, value in seen if math.isfinite(value)]
        return Line(key, name, [(place(epoch), value / top) for epoch, value in seen], seen[-1][1]) if seen else None

    accuracy = [
        line("held", "held-out fold", [row.held_out_accuracy for row in rows], 1),
        line("valid", "validation fold", [row.validation_accuracy for row in rows], 1),
        line("learnt", "clips it learns from", [row.train_accuracy for row in rows], 1),
    ]
    loss = line("loss", "loss", [row.loss for row in rows], loss_top)
    if loss is None:
        raise ValueError("no epoch has a finite loss")
    drawn = [each for each in accuracy if each]
    ends = ", ".join(f"{each.name} {percent(each.last)}" for each in drawn)
    return Curves(
        accuracy=drawn,
        loss=loss,
        loss_top=loss_top,
        loss_ticks=loss_ticks,
        epoch_ticks=[(str(epoch), place(epoch)) for epoch in _epochs_to_label(first, last)],
        description=f"Accuracy over epochs {first} to {last}. At the end: {ends}.",
    )


def axis_from_zero(highest: float) -> tuple[float, list[tuple[str, float]]]:
    """The top of an axis that begins at 0 and holds `highest`, and three to seven round ticks with their places."""
    if highest <= 0:
        return 1.0, [("0", 0.0), ("1", 1.0)]
    size = 10.0 ** math.floor(math.log10(highest))
    step = next(part * size for part in (0.2, 0.5, 1.0, 2.0) if highest <= 5 * part * size)
    count = math.ceil(highest / step - 1e-9)
    return count * step, [(f"{k * step:g}", k / count) for k in range(count + 1)]


def _epochs_to_label(first: int, last: int) -> list[int]:
    """The first, the last and round ones between that keep clear of both."""
    span = last - first
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if span / step <= 7)
    between = range(math.ceil(first / step) * step, last, step)
    inner = [epoch for epoch in between if epoch - first >= 0.6 * step and last - epoch >= 0.6 * step]
    return sorted({first, *inner, last})
