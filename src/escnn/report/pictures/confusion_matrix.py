"""The confusion matrix as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from escnn.report.html import display_label
from escnn.report.pictures.axes import GRID, drawn, figure
from escnn.report.pictures.fonts import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@drawn
def confusion_matrix(matrix: NDArray[np.integer[Any]], labels: Sequence[str]) -> Figure:
    """Counts of shape (classes, classes), rows the true class, columns the predicted; colours are shares of a row."""
    classes = len(labels)
    side_inches = min(max(0.26 * classes, 5.0), 30.0)
    font = min(10.0, 72 * side_inches / classes * 0.5)  # points: fits a cell, whatever their number
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    sheet = figure(side_inches + 2.6, side_inches + 2.2, layout="constrained")
    axes = sheet.add_subplot()
    image = axes.imshow(shares, cmap="Purples", vmin=0, vmax=1)
    names = shortened([display_label(label) for label in labels])
    axes.set_xticks(range(classes), names, rotation=90, fontsize=font)
    axes.set_yticks(range(classes), names, fontsize=font)
    axes.set_xticks(np.arange(0.5, classes - 1), minor=True)
    axes.set_yticks(np.arange(0.5, classes - 1), minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    for row, column in np.argwhere(matrix > 0):
        text = str(matrix[row, column])
        if len(text) <= 4:
            color = "white" if shares[row, column] > 0.5 else "#2d2336"
            axes.text(column, row, text, ha="center", va="center", fontsize=0.9 * font, color=color)
    right, total = int(np.trace(matrix)), int(matrix.sum())
    accuracy = f"accuracy {100 * right / total:.1f} %" if total else "no clips"
    axes.set_title(f"{accuracy} ({right} of {total} clips)", fontsize=13, pad=12)
    axes.set_xlabel("predicted class", fontsize=11)
    axes.set_ylabel("true class", fontsize=11)
    sheet.colorbar(image, ax=axes, label="share of the true class", shrink=0.5, pad=0.015, aspect=35)
    return sheet
