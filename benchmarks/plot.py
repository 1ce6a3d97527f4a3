"""Accuracy against what it cost: draws docs/accuracy.png from the figures in this folder.

python benchmarks/plot.py
"""

import csv
import json
import statistics
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from escnn.report.pictures.axes import STYLE

HERE = Path(__file__).parent
# Published figures: what they cost was not always said. Only the first two took part in no choice of an epoch.
WITH_COST = (
    ("ResNet-34 of 21 M parameters, 100 epochs,\nfold 5, last epoch", 83.7, 734 * 100 / 60),
    ("EAT-S, 3,500 epochs,\nre-run by others", 90.5, 46 * 24 * 60),
)
WITHOUT_COST = (("a person", 81.3, "bottom"), ("EnvNet-v2", 84.9, "top"), ("AclNet", 85.7, "bottom"))
OURS, THEIRS = "#5f187f", "#c98a14"


def held_out_curve(figures: Path, folds: list[int]) -> list[tuple[float, float]]:
    """(CPU-minutes, mean accuracy in per cent over the folds) wherever the held-out folds were looked at."""
    spent: dict[int, list[float]] = {}
    reached: dict[int, list[float]] = {}
    for fold in folds:
        seconds = 0.0
        for row in csv.DictReader((figures / f"fold{fold}.csv").read_text("utf-8").splitlines()):
            seconds += float(row["cpu_seconds"])
            if row["held_out_accuracy"]:
                spent.setdefault(int(row["epoch"]), []).append(seconds / 60)
                reached.setdefault(int(row["epoch"]), []).append(100 * float(row["held_out_accuracy"]))
    return [(statistics.fmean(spent[epoch]), statistics.fmean(reached[epoch])) for epoch in sorted(spent)]


def draw_ours(axes: Axes, preset: str, color: str, place: tuple[int, int], side: str) -> None:
    """The cross-validation of a preset: its folds, their mean, and the way there."""
    measured = json.loads((HERE / preset / "cross-validation.json").read_text("utf-8"))
    curve = held_out_curve(HERE / preset, [row["fold"] for row in measured["folds"]])
    minutes, accuracy = curve[-1][0], 100 * measured["mean_accuracy"]
    axes.plot(*zip(*curve, strict=True), color=color, linewidth=1.2, alpha=0.6)
    axes.scatter(
        [minutes] * len(measured["folds"]), [100 * row["accuracy"] for row in measured["folds"]], 10, color=color
    )
    axes.scatter([minutes], [accuracy], 60, color=color, zorder=3)
    axes.annotate(
        f"escnn, {preset}: {accuracy:.1f} %", (minutes, accuracy), xytext=place, textcoords="offset points",
        color=color, fontweight="bold", ha=side,
    )  # fmt: skip


def draw(axes: Axes) -> None:
    """The plot."""
    draw_ours(axes, "quick", "#9d5bb8", (-10, 2), "right")
    draw_ours(axes, "default", OURS, (10, 8), "left")
    curve = held_out_curve(HERE / "baseline-resnet34", [1])
    axes.plot(*zip(*curve, strict=True), color=THEIRS, linewidth=1.2, alpha=0.6)
    axes.scatter(*curve[-1], 40, color=THEIRS, marker="D")
    axes.annotate(
        f"the same ResNet-34, 30 epochs, fold 1,\ntrained here: {curve[-1][1]:.1f} %", curve[-1], xytext=(10, 0),
        textcoords="offset points", va="center",
    )  # fmt: skip
    for name, percent, cost in WITH_COST:
        axes.scatter([cost], [percent], 40, color=THEIRS, marker="D")
        axes.annotate(name, (cost, percent), xytext=(0, -10), textcoords="offset points", ha="center", va="top")
    for name, percent, side in WITHOUT_COST:
        axes.axhline(percent, color="#c9c2d0", linewidth=0.8, linestyle="--", zorder=0)
        place = {"xy": (0.01, percent), "xycoords": ("axes fraction", "data"), "va": side, "color": "#6b6375"}
        axes.annotate(name, **place, fontsize="small")
    axes.set(xscale="log", xlabel="CPU-minutes for one training (all cores together)", ylabel="accuracy on ESC-50, %")
    axes.set(
        xlim=(1, 500_000),
        ylim=(65, 93),
        title="From scratch, one view, last epoch (dots: folds and their mean; curves: while training)",
    )
    axes.xaxis.set_major_formatter(lambda minutes, _: f"{minutes:,.0f}")
    axes.grid(color="#ece9f0")
    axes.set_axisbelow(True)


if __name__ == "__main__":
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(8, 4.2), dpi=150, layout="constrained")
        draw(figure.subplots())
        figure.savefig(HERE.parent / "docs" / "accuracy.png")
