"""Which recording the rows of a table are of, and which class of a model their labels mean."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from escnn.errors import UsageError, reason
from escnn.evaluation.annotations.tables import Row, Table
from escnn.evaluation.event_metrics import Span
from escnn.inference.formats import utf8


@dataclass(frozen=True)
class LabelMap:
    """What labels of a table mean: which class of the model, or None for what is not to be measured."""

    classes: tuple[str, ...]
    given: Mapping[str, str | None] = field(default_factory=dict)

    # Tables have many rows and few labels: each is looked up once.
    _known: dict[str, str | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, label: str) -> str | None:
        """The class that a label means; None where there is none."""
        if label not in self._known:
            meant = {_plain(name): name for name in self.classes}.get(_plain(label))
            self._known[label] = self.given.get(label, meant)
        return self._known[label]


def read_map(path: Path, classes: Sequence[str]) -> LabelMap:
    """Read which class is meant by a label: a line each, ``their label,our class``; without a class it is left out.

    Raises:
        UsageError: it cannot be read, or names a class that the model does not have.
    """
    plain = {_plain(name): name for name in classes}
    given: dict[str, str | None] = {}
    try:
        text = path.read_bytes().decode("utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=separator), start=1):
            theirs, ours, *_ = [*(cell.strip() for cell in row), "", ""]
            if not theirs:
                continue
            if ours and _plain(ours) not in plain:
                if number == 1:
                    continue  # the names of the columns
                raise ValueError(f"line {number}: the model has no class {ours!r:.60}")
            given[theirs] = plain[_plain(ours)] if ours else None
        if not given:
            raise ValueError("maps no label to a class of the model")
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(
            f"--map {path}: cannot be used ({reason(error)})", hint="a line for every label: their label,our class"
        ) from error
    return LabelMap(tuple(classes), given)


def _plain(label: str) -> str:
    return " ".join(re.split(r"[\s_-]+", label.casefold().strip()))


def place_rows(table: Table, names: Sequence[str]) -> tuple[dict[int, list[Row]], tuple[str, ...]]:
    """Which recording each row is of: by its path, or by as much of the end of it as tells recordings apart.

    Args:
        table: the annotations.
        names: of the recordings, as they were named.

    Returns:
        Rows by the number of their recording; and what could not be placed, a line a file.

    Raises:
        UsageError: the rows name no file, and there are several recordings.
    """
    if not table.rows:
        return {}, ()
    if not table.names_files:
        if len(names) != 1:
            raise UsageError(
                f"{table.path}: does not say which of {len(names)} recordings a row is of",
                hint="name one recording, or add a column `file`",
            )
        return {0: list(table.rows)}, ()
    as_named, as_in_cells = _Names(map(utf8, names)), _Names(map(_in_a_cell, names))
    placed: dict[int, list[Row]] = {}
    unknown: Counter[str] = Counter()
    several: Counter[str] = Counter()
    found: dict[str, int | None] = {}
    for row in table.rows:
        if row.file not in found:
            candidates = (as_named.like(utf8(row.file)) or as_in_cells.like(_in_a_cell(row.file))) if row.file else []
            found[row.file] = candidates[0] if len(candidates) == 1 else None
            if len(candidates) > 1:
                several[row.file] = 0
        number = found[row.file]
        if number is not None:
            placed.setdefault(number, []).append(row)
        else:
            (several if row.file in several else unknown)[row.file] += 1
    said = [
        f"{name or 'rows that name no file'}: not among the recordings, {_rows_of(n)}" for name, n in unknown.items()
    ]
    said += [f"{name}: could be several of the recordings, {_rows_of(n)}" for name, n in several.items()]
    return placed, tuple(said)


def _rows_of(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'} left out"


class _Names:
    """Of recordings, by the ends of their paths."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parts = [_parts(name) for name in names]
        self._by_end: dict[str, list[int]] = {}
        for number, path in enumerate(self._parts):
            for name in {path[-1], _stem(path[-1])}:
                self._by_end.setdefault(name, []).append(number)

    def like(self, path: str) -> list[int]:
        """Numbers of the recordings whose paths agree with one from the end on, as far as any does."""
        wanted = _parts(path)
        near = self._by_end.get(wanted[-1]) or self._by_end.get(_stem(wanted[-1]), [])
        same = [number for number in dict.fromkeys(near) if self._parts[number] == wanted]
        if len(same) == 1:
            return same

        def agreement(number: int) -> int:
            pairs = zip(reversed(wanted[:-1]), reversed(self._parts[number][:-1]), strict=False)
            return next((count for count, (one, other) in enumerate(pairs) if one != other), 1_000)

        best = max(map(agreement, near), default=0)
        return [number for number in dict.fromkeys(near) if agreement(number) == best]


def _in_a_cell(path: str) -> str:
    """A path as our tables write it that cannot hold tabs and ends of lines."""
    return re.sub(r"\s+", " ", utf8(path))


def _parts(path: str) -> list[str]:
    """The parts of a path, as Windows or anybody else writes it."""
    return [part for part in re.split(r"[/\\]+", path) if part not in ("", ".")] or [path]


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def merged(rows: Iterable[tuple[float, float, str]]) -> tuple[list[Span], int]:
    """Spans of which those that overlap another of the same label are one with it, and how many were."""
    result: list[Span] = []
    last: dict[str, int] = {}
    joined = 0
    for start, end, label in sorted(rows):
        index = last.get(label)
        if index is not None and start < result[index][1]:
            result[index] = (result[index][0], max(end, result[index][1]), label)
            joined += 1
        else:
            last[label] = len(result)
            result.append((start, end, label))
    return result, joined
