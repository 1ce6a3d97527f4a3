"""ESC-50 on disk: its metadata, read in one place, and whether all of it is there."""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from escnn.data.dataset import FOLDS, Clip, Dataset
from escnn.errors import DatasetError, reason, refused_as

METADATA = "meta/esc50.csv"
METADATA_SHA256 = "ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246"
DIGEST_OF_0_1_0 = "dde89484d31a33b09fd9abc38386543b2e8c933f19f090a5ae07471c5c441d33"  # of all of it, as 0.1.0 had it
CLIPS_PER_FOLD = 400
CLIP_NAME = re.compile(r"(?P<fold>[1-5])-[0-9]{1,9}-[A-Z]-(?P<target>[1-4]?[0-9])\.wav")
COLUMNS = ("filename", "fold", "target", "category")


@dataclass(frozen=True, slots=True)
class Row:
    """A clip as the metadata lists it."""

    filename: str
    fold: int
    target: int
    category: str


@dataclass(frozen=True, slots=True)
class DatasetCheck:
    """What there is of ESC-50 in `folder`. A clip counts if the metadata lists it and it is a whole WAV file."""

    folder: Path
    clips: int
    official_metadata: bool
    missing: tuple[str, ...]  # names of the clips that the metadata lists and that do not count
    missing_by_fold: dict[int, int]  # fold -> clips it lacks of the official 400; whole folds are left out

    @property
    def complete(self) -> bool:
        """Whether this is ESC-50, all of it."""
        return self.official_metadata and not self.missing_by_fold

    def describe(self) -> str:
        """One line for people: what is there, and exactly what is not."""
        parts = [f"{self.clips:,} of {CLIPS_PER_FOLD * FOLDS:,} clips"]
        parts += [f"fold {fold} lacks {count}" for fold, count in self.missing_by_fold.items()]
        if self.missing:
            parts.append(f"missing or damaged: {few(self.missing)}")
        if not self.official_metadata:
            parts.append(f"{METADATA} is not the official one")
        return "; ".join(parts)


def read_metadata(content: bytes) -> list[Row]:
    """The rows of ``meta/esc50.csv``, or of a table like it.

    Raises:
        ValueError: it is no such table; the message says where.
    """
    # pandas' errors are ValueErrors. A cell that a short row lacks counts as empty.
    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False).fillna("")
    if absent := [column for column in COLUMNS if column not in table]:
        raise ValueError(f"line 1: no column {', '.join(absent)}")
    rows = []
    for line, row in enumerate(zip(*(table[column] for column in COLUMNS), strict=True), start=2):
        filename, fold, target, category = map(str, row)
        if not all(cell.isascii() and cell.isdecimal() and len(cell) < 10 for cell in (fold, target)):
            raise ValueError(f"line {line}: fold {fold!r:.60} and target {target!r:.60} must be small numbers")
        if not category:
            raise ValueError(f"line {line}: target {target} has no category")
        rows.append(Row(filename, int(fold), int(target), category))
    return rows


def is_official(metadata: bytes) -> bool:
    """Whether this is the content of the official ``meta/esc50.csv``; any other is that of somebody's own data."""
    return hashlib.sha256(metadata).hexdigest() == METADATA_SHA256


def official_clips(metadata: bytes) -> dict[str, int]:
    """File name -> fold of the clips, named as the official ones are.

    Raises:
        ValueError: a line cannot be true; the message says which.
    """
    fold_of: dict[str, int] = {}
    categories: dict[int, str] = {}
    for line, row in enumerate(read_metadata(metadata), start=2):
        name = CLIP_NAME.fullmatch(row.filename)
        if name is None or (row.fold, row.target) != (int(name["fold"]), int(name["target"])):
            raise ValueError(f"line {line}: file name, fold and target do not go together")
        if row.filename in fold_of:
            raise ValueError(f"line {line}: {row.filename} is listed twice")
        if categories.setdefault(row.target, row.category) != row.category:
            raise ValueError(f"line {line}: target {row.target} has two categories")
        fold_of[row.filename] = row.fold
    return fold_of


@refused_as(DatasetError)
def check(folder: Path) -> DatasetCheck:
    """Compare `folder` with the official ESC-50. Clips that the metadata does not list are not looked at.

    Raises:
        DatasetError: there is no ``meta/esc50.csv``, or it cannot be understood.
    """
    try:
        metadata = (folder / METADATA).read_bytes()
        fold_of = official_clips(metadata)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(f"{folder}: no {METADATA} here", hint="`escnn download` fetches ESC-50") from error
    except (OSError, ValueError) as error:
        hint = "correct it, or move the folder away and run `escnn download`"
        raise DatasetError(f"{folder / METADATA}: cannot be used ({reason(error)})", hint=hint) from error
    missing = tuple(name for name in fold_of if not _is_whole(folder / "audio" / name))
    there = Counter(fold_of.values()) - Counter(fold_of[name] for name in missing)  # fold -> clips
    return DatasetCheck(
        folder=folder,
        clips=there.total(),
        official_metadata=is_official(metadata),
        missing=missing,
        missing_by_fold={
            fold: CLIPS_PER_FOLD - there[fold] for fold in range(1, FOLDS + 1) if there[fold] < CLIPS_PER_FOLD
        },
    )


def open_esc50(root: Path) -> Dataset:
    """The clips that ``meta/esc50.csv`` lists, of any names and classes, in its folds.

    Raises:
        DatasetError: the metadata cannot be understood, or no clip is there.
    """
    path = root / METADATA
    try:
        rows = read_metadata(path.read_bytes())
    except (ValueError, OSError) as error:
        raise DatasetError(
            f"{path}: not metadata as that of ESC-50 ({reason(error)})",
            hint=f"it needs the columns {', '.join(COLUMNS)}, separated by commas, in UTF-8",
        ) from error
    names = {row.target: row.category for row in sorted(rows, key=lambda row: row.target)}
    if not names or len(set(names.values())) != len(names):
        raise DatasetError(f"{path}: targets must number the categories, one name each")
    class_ids = {target: class_id for class_id, target in enumerate(names)}  # a part of ESC-50 leaves gaps
    line_of: dict[str, int] = {}
    clips: list[Clip] = []
    missing: list[str] = []
    for line, row in enumerate(rows, start=2):
        if line_of.setdefault(row.filename, line) != line:
            raise DatasetError(
                f"{path}: lines {line_of[row.filename]} and {line} both list {row.filename:.100}",
                hint="take one of them out",
            )
        if Path(row.filename).name != row.filename or not 1 <= row.fold <= FOLDS:
            raise DatasetError(f"{path}: row for {row.filename!r:.100} in fold {row.fold} is not one of ESC-50")
        if names[row.target] != row.category:
            raise DatasetError(
                f"{path}: {row.filename:.100} is {row.category!r:.60}, but target {row.target} is "
                f"{names[row.target]!r:.60} elsewhere"
            )
        clip = Clip(f"audio/{row.filename}", root / "audio" / row.filename, class_ids[row.target], row.fold)
        try:
            if clip.path.is_file():
                clips.append(clip)
            else:
                missing.append(row.filename)
        except OSError as error:  # a name that is too long, a folder that may not be searched
            raise DatasetError(f"{path}: {row.filename!r:.100} cannot be looked for ({reason(error)})") from error
    if not clips:
        raise DatasetError(f"{root}: none of the {len(rows)} clips is there", hint=f"they belong into {root / 'audio'}")
    return Dataset(root, tuple(names.values()), tuple(clips), tuple(missing), has_own_folds=True)


def few(names: Sequence[str]) -> str:
    """The first three of some names, and how many more there are."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"


def _is_whole(clip: Path) -> bool:
    """Whether this is a WAV file that has sound after its 44-byte header and goes on as far as the header says."""
    try:
        with clip.open("rb") as file:
            container, length, form = struct.unpack("<4sI4s", file.read(12))  # `length` counts from byte 8 on
            return (container, form) == (b"RIFF", b"WAVE") and 44 < length + 8 <= os.fstat(file.fileno()).st_size
    except (OSError, struct.error):
        return False
