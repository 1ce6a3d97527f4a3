"""Onset scores of single classes, in a file: as `escnn evaluate` writes them, or as a table of one's own."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from escnn import files
from escnn.errors import UsageError, reason
from escnn.inference.classifier import Classifier

SCHEMA = "escnn.thresholds/1"
MOST_BYTES = 1 << 20
_HINT = "JSON with `thresholds`, as `escnn evaluate --annotations --precision` writes it, or CSV of label,threshold"


def read_thresholds(path: Path) -> dict[str, float]:
    """The thresholds in a file, by label.

    Raises:
        UsageError: it cannot be read, holds none, or one that is no score.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8-sig")
        is_json = text.lstrip().startswith("{")
        pairs = _of_json(text) if is_json else _of_csv(text)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be used as thresholds ({reason(error)})", hint=_HINT) from error
    if not pairs and not (is_json and SCHEMA in text):  # where no class needs one, ours is empty
        raise UsageError(f"{path}: holds no threshold", hint=_HINT)
    return pairs


def write_thresholds(path: Path, thresholds: Mapping[str, float], about: Mapping[str, Any]) -> None:
    """Write thresholds by label, and what they are `about`."""
    files.write_json(path, {"schema": SCHEMA, **about, "thresholds": dict(thresholds)})


def class_thresholds(classifier: Classifier, thresholds: Mapping[str, float]) -> dict[int, float]:
    """Thresholds by class id.

    Raises:
        UsageError: the model has no such class, or a threshold is no score.
    """
    try:
        scores = [_score(label, score) for label, score in thresholds.items()]
    except ValueError as error:
        raise UsageError(f"threshold of {error}") from error
    return dict(zip(classifier.class_ids(list(thresholds)), scores, strict=True))


def _of_json(text: str) -> dict[str, float]:
    document = json.loads(text)
    found = document.get("thresholds", document)
    if not isinstance(found, dict):
        raise ValueError("its thresholds are no object")
    return {label: _score(label, score) for label, score in found.items()}


def _of_csv(text: str) -> dict[str, float]:
    pairs: dict[str, float] = {}
    separator = max(",;\t", key=text.partition("\n")[0].count)
    for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=separator), start=1):
        if not any(row) or (number == 1 and row[1:] and not _is_number(row[1])):
            continue  # a blank line, or the names of the columns
        if len(row) < 2:
            raise ValueError(f"line {number}: no threshold")
        label = row[0].strip()
        if label in pairs:
            raise ValueError(f"line {number}: {label:.60} a second time")
        pairs[label] = _score(label, row[1].replace(",", "."))
    return pairs


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _score(label: str, value: Any) -> float:
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"{label:.60}: {value!r:.40} is no score from 0 to 1")
    return score
