"""Onset scores of single classes, in a file: as `escnn evaluate` writes them, or as a table of one's own."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from escnn import files
from escnn.errors import UsageError, reason
from escnn.inference.classifier import Classifier
from escnn.model.card import ModelCard

SCHEMA = "escnn.thresholds/1"
MOST_BYTES = 1 << 20
_HINT = "JSON with `thresholds`, as `escnn evaluate --annotations --precision` writes it, or CSV of label,threshold"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a file holds, and for which model it was made, as far as it says."""

    by_label: Mapping[str, float]
    path: Path | None = None
    weights_sha256: str = ""
    model: str = ""  # its name

    def by_class(self, classifier: Classifier, warn: Callable[[str], None]) -> dict[int, float]:
        """By class id; `warn` is told where they were made for another model.

        Raises:
            UsageError: the model has no such class.
        """
        if caveat := self.caveat(classifier.card):
            warn(caveat)
        return class_thresholds(classifier, self.by_label)

    def caveat(self, card: ModelCard) -> str | None:
        """What is to be said where they are used with a model that they were not made for."""
        if self.weights_sha256 in ("", card.weights_sha256):
            return None
        made, used = _model(self.model, self.weights_sha256), _model(card.name, card.weights_sha256)
        return f"{self.path}: made for {made}, not for {used}: scores of different models are not comparable"


def _model(name: str, weights_sha256: str) -> str:
    return f"the model {name:.60} ({weights_sha256:.12})" if name else f"the model {weights_sha256:.12}"


def read_thresholds(path: Path | None) -> Thresholds:
    """The thresholds in a file; none without a file.

    Raises:
        UsageError: it cannot be read, holds none, or one that is no score.
    """
    if path is None:
        return Thresholds({})
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8-sig")
        is_json = text.lstrip().startswith("{")
        found = _of_json(text, path) if is_json else Thresholds(_of_csv(text), path)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be used as thresholds ({reason(error)})", hint=_HINT) from error
    if not found.by_label and not (is_json and SCHEMA in text):  # where no class needs one, ours is empty
        raise UsageError(f"{path}: holds no threshold", hint=_HINT)
    return found


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


def _of_json(text: str, path: Path) -> Thresholds:
    document = json.loads(text)
    found = document.get("thresholds", document)
    if not isinstance(found, dict):
        raise ValueError("its thresholds are no object")
    about = {} if found is document else document  # where there is nothing but labels, every name is one
    weights, model = (str(about.get(name) or "") for name in ("weights_sha256", "model"))
    return Thresholds({label: _score(label, score) for label, score in found.items()}, path, weights, model)


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
