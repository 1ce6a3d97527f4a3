"""Results for people: tables as text."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import rich.console
from rich.table import Table
from rich.text import Text

from escnn.cli.console import printable

SHOWN_CLASSES = 3  # of a sound, in a table of sounds


def prediction_table(documents: Sequence[Mapping[str, Any]], top_k: int, *, terminal: bool) -> str:
    """Predictions, a row a sound."""
    count = min(top_k, SHOWN_CLASSES)
    header = ["sound", "seconds", *(name for _ in range(count) for name in ("label", "score"))]
    return draw(header, [_prediction_row(document, count) for document in documents], terminal=terminal)


def evaluation_lines(document: Mapping[str, Any], *, terminal: bool) -> Iterator[str]:
    """An evaluation of one fold: a summary, its classes, and what it confuses."""
    top5 = f"{100 * document['top5_accuracy']:.2f} % within the first five, " if len(document["per_class"]) > 5 else ""
    measured = f"fold {document['fold']}" if document["fold"] else "all clips"
    yield (
        f"{measured}: {100 * document['accuracy']:.2f} % of {document['clips']} clips named right, "
        f"balanced accuracy {100 * document['balanced_accuracy']:.2f} %, {top5}macro F1 {document['macro_f1']:.3f}"
    )
    measured_classes = [row for row in document["per_class"] if row["clips"]]
    classes = [
        [row["label"], *(f"{row[key]:.2f}" for key in ("precision", "recall", "f1")), str(row["clips"])]
        for row in sorted(measured_classes, key=lambda row: (row["f1"], row["label"]))
    ]
    yield draw(["class, worst first", "precision", "recall", "f1", "clips"], classes, terminal=terminal)
    confused = [[row["true"], row["predicted"], str(row["clips"])] for row in document["most_confused"]]
    if confused:
        yield draw(["most confused", "taken for", "clips"], confused, terminal=terminal)


def cross_validation_lines(document: Mapping[str, Any], *, classes: int, terminal: bool) -> Iterator[str]:
    """The figures of a cross-validation."""
    columns = {"accuracy": "accuracy"} | ({"top5_accuracy": "top-5"} if classes > 5 else {})
    rows = [
        [f"fold {row['fold']}", str(row["clips"]), *(f"{100 * row[key]:.2f} %" for key in columns)]
        for row in document["folds"]
    ]
    yield draw(["test fold", "clips", *columns.values()], rows, terminal=terminal)
    top5 = f", {100 * document['top5_accuracy']:.2f} % within the first five" if classes > 5 else ""
    yield (
        f"all folds: {100 * document['accuracy']:.2f} % of {document['clips']} clips named right, balanced accuracy "
        f"{100 * document['balanced_accuracy']:.2f} %{top5}; standard deviation over folds "
        f"{100 * document['std_accuracy']:.2f} %"
    )


def detection_lines(document: Mapping[str, Any], *, terminal: bool) -> Iterator[str]:
    """Events against annotations: a summary, its classes, and thresholds if they were asked for."""
    recordings = document["recordings"]
    names = {"precision": "precision", "recall": "recall", "segment_f1": "segment F1", "event_f1": "event F1"}
    yield (
        f"{len(recordings)} recording{'' if len(recordings) == 1 else 's'}, {document['hours']:.2f} h: "
        f"{document['annotated'] - document['missed']} of {document['annotated']} annotated events found, "
        f"{document['false_alarms']} of {document['reported']} reported are false alarms "
        f"({document['false_alarms_an_hour']:.1f} an hour)"
    )
    yield ", ".join(f"{name} {_share(document[key])}" for key, name in names.items())
    classes = [
        [row["label"], str(row["annotated"]), str(row["reported"]), *(_share(row[key]) for key in names)]
        for row in sorted(document["per_class"], key=lambda row: (row["segment_f1"], row["label"]))
    ]
    yield draw(["class, worst first", "annotated", "reported", *names.values()], classes, terminal=terminal)
    if "thresholds" in document:
        rows = []
        for label, row in document["thresholds"]["classes"].items():
            cells = ["none", "", "", ""]
            if row is not None:
                cells = [f"{row['score']:.2f}", f"{row['precision']:.2f}", f"{row['recall']:.2f}", str(row["reported"])]
            rows.append([label, *cells])
        wanted = f"threshold for precision {document['thresholds']['precision']:g}"
        if any(row is None for row in document["thresholds"]["classes"].values()):
            yield "none: no score up to 0.95 is as often right, or fewer than 5 events were reported with it"
        yield draw(["class", wanted, "precision", "recall", "reported"], rows, terminal=terminal)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.2f}"


def draw(columns: Sequence[str], rows: Sequence[Sequence[str]], *, terminal: bool) -> str:
    """A table as text; columns of numbers stand at the right."""
    drawn = Table(box=None, pad_edge=False, header_style="bold" if terminal else "")
    for index, column in enumerate(columns):
        numeric = all(row[index][:1] in "0123456789-." for row in rows)
        drawn.add_column(Text(column), justify="right" if numeric else "left", no_wrap=not terminal)
    for row in rows:
        drawn.add_row(*(printable(cell.replace("\n", "\\n")) for cell in row))
    width = None if terminal else 10_000  # a pipe has no width to fold to
    text = io.StringIO()
    rich.console.Console(file=text, force_terminal=terminal, width=width, legacy_windows=False).print(drawn)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _prediction_row(document: Mapping[str, Any], count: int) -> list[str]:
    if document["status"] == "error":
        return [document["path"], "", document["error"]["message"], *[""] * (2 * count - 1)]
    cells = [cell for item in document["predictions"][:count] for cell in (item["label"], f"{item['score']:.3f}")]
    return [document["path"], f"{document['duration_seconds']:.2f}", *cells, *[""] * (2 * count - len(cells))]
