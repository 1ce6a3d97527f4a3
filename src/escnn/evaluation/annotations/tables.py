"""What people have heard in recordings: tables with a start, an end and a label a row, as the field's tools write them.

Selection tables of Raven, label tracks of Audacity, CSV or TSV with columns of these names, and the JSON Lines of
`escnn detect` are read. A row that makes no sense is left out and named; the rest is used.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from escnn.detection.output.formats import EVENT, RECORDING
from escnn.errors import UsageError, reason

MOST_BYTES = 256 << 20
MOST_NAMED = 3  # rows that are named one by one, of each kind of trouble

# Columns that are recognised, in any case, the first that is there.
STARTS = ("start_seconds", "begin time (s)", "start", "onset", "begin", "start (s)", "begin_time", "start_time")
ENDS = ("end_seconds", "end time (s)", "end", "offset", "stop", "end (s)", "end_time")
LABELS = (
    "label", "annotation", "event_label", "category", "class", "class_name", "common name", "species", "tag", "tags",
    "type", "sound type", "name",
)  # fmt: skip
FILES = (
    "path", "filename", "file", "file_name", "file name", "filepath", "file_path", "begin path", "begin file",
    "recording", "audio", "sound", "fname",
)  # fmt: skip
WHAT_IS_READ = (
    "give a selection table of Raven, a label track of Audacity, CSV or TSV with start, end, label and file, or JSON "
    "Lines of `escnn detect`"
)
_OF_DETECT = "no event of `escnn detect`"
_OTHER_KINDS = {
    b"PAR1": ("parquet", "`escnn detect --format csv` writes what is read here"),
    b"PK\x03\x04": ("a workbook or another archive", "save the sheet as CSV"),
}  # by how they begin
_OFFSET = "file offset (s)"  # in Raven's tables of several files, times in the file itself


@dataclass(frozen=True, slots=True)
class Row:
    """A stretch of a recording and what somebody heard there; times in seconds."""

    line: int
    file: str  # as the table names it; empty where it names none
    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Table:
    """The rows of a table that make sense, and what was wrong with the others, a line each."""

    path: Path
    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()

    @property
    def names_files(self) -> bool:
        """Whether rows say which recording they are of."""
        return any(row.file for row in self.rows)


class Problems:
    """Collects what is wrong with rows: the first few of a kind one by one, then how many there are."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, where: str) -> None:
        """Something of a kind, such as "ends before it starts", and where."""
        self._found.setdefault(kind, []).append(where)

    def lines(self) -> tuple[str, ...]:
        """A line a kind."""
        said = []
        for kind, places in self._found.items():
            more = f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
            said.append(f"{', '.join(places[:MOST_NAMED])}{more}: {kind}")
        return tuple(said)


def read_table(path: Path) -> Table:
    """The annotations in a file.

    Raises:
        UsageError: it cannot be read, or it is no such table.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES)
        if other := _OTHER_KINDS.get(content[:4]):
            raise UsageError(f"{path}: no table of annotations, but {other[0]}", hint=other[1])
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
        problems = Problems()
        rows = tuple(_rows(text, problems))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(
            f"{path}: cannot be used as a table of annotations ({reason(error)})",
            hint=WHAT_IS_READ,
        ) from error
    return Table(path, rows, problems.lines())


def _rows(text: str, problems: Problems) -> Iterator[Row]:
    first = text.partition("\n")[0]
    if re.match(r"\s*[-+.,\d]+\t[-+.,\d]+(\t|\s*$)", first):
        yield from _of_audacity(text, problems)
    elif first.lstrip().startswith(("{", "[")):
        yield from _of_json_lines(text, problems)
    else:
        yield from _of_columns(text, first, problems)


def _of_columns(text: str, first: str, problems: Problems) -> Iterator[Row]:
    """CSV, TSV and tables of Raven, by the names of their columns, which stand in the `first` line."""
    separator = max("\t;,", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    columns = {name.strip().casefold(): number for number, name in reversed(list(enumerate(next(reader, []))))}

    def column(what: str, names: Iterable[str]) -> int:
        number = next((columns[name] for name in names if name in columns), None)
        if number is None:
            raise ValueError(f"no column of {what}")
        return number

    start, end, label = column("starts", STARTS), column("ends", ENDS), column("labels", LABELS)
    file = next((columns[name] for name in FILES if name in columns), None)
    offset, view, selection = columns.get(_OFFSET), columns.get("view"), columns.get("selection")
    seen: set[tuple[str, ...]] = set()
    for cells in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue

        def cell(number: int | None, cells: Sequence[str] = cells) -> str:
            return cells[number].strip() if number is not None and number < len(cells) else ""

        if view is not None:  # Raven writes a row a view of a selection: they are one event
            key = (cell(selection), cell(file), cell(start), cell(end), cell(label))
            if key in seen:
                continue
            seen.add(key)
        times = [_number(cell(number)) for number in (start, end)]
        if offset is not None and cell(offset):
            in_file = _number(cell(offset))
            times = [in_file, in_file + times[1] - times[0]]
        yield from _sensible(Row(line, cell(file), times[0], times[1], cell(label)), problems)


def _of_audacity(text: str, problems: Problems) -> Iterator[Row]:
    """Start, end and label, separated by tabs, without a header; lines of frequencies begin with a backslash."""
    for line, content in enumerate(text.splitlines(), start=1):
        if content.startswith("\\") or not content.strip():
            continue
        start, end, label = [*content.split("\t", 2), "", ""][:3]
        yield from _sensible(Row(line, "", _number(start), _number(end), label.strip()), problems)


def _of_json_lines(text: str, problems: Problems) -> Iterator[Row]:
    """The events among the lines that `escnn detect` writes; those that end recordings say nothing here."""
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        row = None
        with suppress(ValueError, RecursionError, KeyError, TypeError):
            document = json.loads(content)
            if document["schema"] == RECORDING:
                continue
            if document["schema"] == EVENT:
                start, end = float(document["start_seconds"]), float(document["end_seconds"])
                row = Row(line, str(document["path"]), start, end, str(document["label"]))
        if row is not None:
            yield from _sensible(row, problems)
        elif line == 1:
            raise ValueError(f"JSON, but {_OF_DETECT}")
        else:
            problems.add(_OF_DETECT, f"line {line}")


def _sensible(row: Row, problems: Problems) -> Iterator[Row]:
    where = f"line {row.line}"
    if not math.isfinite(row.start) or not math.isfinite(row.end):
        problems.add("a time is no number", where)
    elif row.start < 0:
        problems.add("starts before its recording", where)
    elif row.end < row.start:
        problems.add("ends before it starts", where)
    elif row.end == row.start:
        problems.add("has no length", where)
    elif not row.label:
        problems.add("has no label", where)
    else:
        yield row


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        try:
            return float(text.replace(",", "."))  # as office programs write it, in some languages
        except ValueError:
            return math.nan
