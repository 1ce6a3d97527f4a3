"""A CSV of names, labels and folds, as the field's data sets come with one: UrbanSound8K, ESC-10, one's own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from escnn.data.dataset import Clip, Dataset, shown_name
from escnn.errors import DatasetError, reason
from escnn.names import quoted

FOLDERS = ("", "meta", "metadata")  # of a data set, in which its table may lie
MOST_FOLDS = 1000

# Columns that are recognised, in any case, the first that is there.
NAMES = ("filename", "file_name", "slice_file_name", "fname", "file", "path", "name")
LABELS = ("category", "label", "labels", "class", "class_name", "classname")
FOLD = ("fold", "folds")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    name: str
    label: str
    fold: int  # 0: the table has no folds


def find_table(root: Path) -> Path | None:
    """The table of the data set in `root`, if there is one.

    Raises:
        DatasetError: there are several.
    """
    found = [path for folder in FOLDERS for path in sorted((root / folder).glob("*.csv")) if _is_table(path)]
    if len(found) > 1:
        listed = ", ".join(str(path.relative_to(root)) for path in found)
        raise DatasetError(f"{root}: several tables of clips: {listed}", hint=f"name one: --data {quoted(found[0])}")
    return found[0] if found else None


def open_table(path: Path) -> Dataset:
    """The clips that a table lists. Their names may begin at the data set's folder, at its ``audio``, at a folder a
    fold in that, or beside the table. A table without folds leaves its clips in none.

    Raises:
        DatasetError: it cannot be understood, or none of its clips is there.
    """
    root = path.parent.parent if path.parent.name in FOLDERS else path.parent
    try:
        rows = list(_rows(path.read_bytes()))
        if not rows:
            raise ValueError("lists no clip")
        labels = tuple(sorted({row.label for row in rows}))
        class_ids = {label: class_id for class_id, label in enumerate(labels)}
        found: dict[Path, int] = {}
        clips, missing = [], []
        for row in rows:
            place = _place(root, path.parent, row)
            if place is None:
                missing.append(row.name)
            elif found.setdefault(place, row.line) != row.line:
                raise ValueError(f"lines {found[place]} and {row.line} both list {row.name:.100}")
            else:
                name = shown_name(place.relative_to(root).as_posix())
                clips.append(Clip(name, place, class_ids[row.label], row.fold))
    except (OSError, ValueError) as error:  # pandas' errors are ValueErrors
        columns = "; ".join(
            f"{what}: {', '.join(of)}" for what, of in {"names": NAMES, "labels": LABELS, "folds": FOLD}.items()
        )
        raise DatasetError(
            f"{path}: cannot be used as a table of clips ({reason(error)})",
            hint=f"it is UTF-8 and has columns of {columns}",
        ) from error
    if not clips:
        raise DatasetError(f"{path}: none of the {len(rows)} clips is there", hint=f"they belong into {root}")
    clips.sort(key=lambda clip: clip.name)
    return Dataset(root, labels, tuple(clips), tuple(missing), has_own_folds=rows[0].fold > 0)


def _is_table(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            header = file.readline(1 << 16)
        columns = _columns(pd.read_csv(io.BytesIO(header), dtype=str, sep=_separator(header), nrows=0))
    except (OSError, ValueError):
        return False
    return columns["name"] is not None and columns["label"] is not None


def _separator(content: bytes) -> str:
    """The character between cells: office programs write semicolons where numbers have commas."""
    header = content.partition(b"\n")[0]
    return max((",", ";", "\t"), key=lambda mark: header.count(mark.encode()))


def _columns(table: pd.DataFrame) -> dict[str, str | None]:
    """The columns of names, labels and folds; None for one that is not there."""
    there = {str(column).strip().casefold(): str(column) for column in table.columns}
    wanted = {"name": NAMES, "label": LABELS, "fold": FOLD}
    return {what: next((there[name] for name in of if name in there), None) for what, of in wanted.items()}


def _rows(content: bytes) -> Iterator[_Row]:
    """The rows; a ValueError says which line is wrong. A cell that a short row lacks counts as empty."""
    table = pd.read_csv(
        io.BytesIO(content),
        dtype=str,
        keep_default_na=False,
        sep=_separator(content),
        skip_blank_lines=False,
    ).fillna("")
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError("rows have more cells than there are columns")
    columns = _columns(table)
    for what in ("name", "label"):
        if columns[what] is None:
            raise ValueError(f"line 1: no column of {what}s")
    folds = table[columns["fold"]] if columns["fold"] else ["1"] * len(table)
    for line, (name, label, fold) in enumerate(
        zip(table[columns["name"]], table[columns["label"]], folds, strict=True), 2
    ):
        if not any((name, label)):  # a blank line
            continue
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"line {line}: {name!r:.100} is not below the data set's folder")
        if not label:
            raise ValueError(f"line {line}: no label")
        number = fold.removesuffix(".0")  # as spreadsheets write whole numbers
        if not (number.isascii() and number.isdecimal() and len(number) < 9 and 1 <= int(number) <= MOST_FOLDS):
            raise ValueError(f"line {line}: fold {fold!r:.60} is no number from 1 on")
        yield _Row(line, name, label, int(number) if columns["fold"] else 0)


def _place(root: Path, beside: Path, row: _Row) -> Path | None:
    """Where the clip of a row lies."""
    places = (root, root / "audio", root / "audio" / f"fold{row.fold}", beside)
    return next((place / row.name for place in places if (place / row.name).is_file()), None)
