"""Which kind of data set a folder holds: ESC-50, a table of clips, or a folder of sounds per class."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re
import unicodedata
import warnings
from collections import Counter
from pathlib import Path
from typing import Literal

from escnn.audio.inputs import OTHER, find_sounds
from escnn.data import esc50, tables
from escnn.data.dataset import Clip, Dataset, check_labels, shown_name
from escnn.data.folds import deal_as_0_1_0, with_folds_dealt
from escnn.errors import DatasetError, is_plain, refused_as
from escnn.names import quoted

Dealing = Literal["content", "0.1.0"]

# Folders of these names are parts of a split, each of which has the classes below it.
_PART = re.compile(
    r"(train(ing)?|test(ing)?|val(id(ation)?)?|dev|eval(uation)?|(fold|split)[ _-]?[0-9]+)", re.IGNORECASE
)
_EXTENSIONS_OF_0_1_0 = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"}
)


@refused_as(DatasetError)
def open_dataset(root: Path, *, seed: int = 0, dealing: Dealing = "content") -> Dataset:
    """Find the clips below `root`: ESC-50 where there is a ``meta/esc50.csv``, the clips of another table of names and
    labels, otherwise a folder per class. What is left out, and copies of clips, are warned of.

    Clips that have no folds of their own are dealt to five, class by class, by what they hold.

    Args:
        root: the folder, or the table itself.
        seed: of the deal.
        dealing: "0.1.0" finds clips and deals them as 0.1.0 did, for what was trained with it.

    Raises:
        DatasetError: there is no data set, or one that cannot be used.
    """
    if dealing == "0.1.0" and not (root / esc50.METADATA).is_file():
        dataset = _open_class_folders_as_0_1_0(root, seed)
    elif root.is_file():
        dataset = tables.open_table(root)
    elif not root.is_dir():
        raise DatasetError(
            f"{root}: no data set here", hint="`escnn download` fetches ESC-50; --data names another folder"
        )
    elif (root / esc50.METADATA).is_file():
        dataset = esc50.open_esc50(root)
    elif table := tables.find_table(root):
        dataset = tables.open_table(table)
    else:
        dataset = _open_class_folders(root)
    _check_names(root, dataset)
    if dealing == "0.1.0":
        return dataclasses.replace(dataset, of_0_1_0=True)
    dataset = dataclasses.replace(
        dataset, labels=tuple(unicodedata.normalize("NFC", label) for label in dataset.labels)
    )
    _warn_of_copies(dataset)
    return dataset if dataset.has_own_folds else with_folds_dealt(dataset, seed)


def _open_class_folders(root: Path) -> Dataset:
    by_class: dict[str, list[Path]] = {}
    left_out: Counter[str] = Counter()
    for entry in sorted(root.iterdir()):
        if not entry.is_dir():
            left_out["sounds in no folder of a class"] += entry.suffix.lower() in _EXTENSIONS_OF_0_1_0
        elif (entry / esc50.METADATA).is_file():
            raise DatasetError(f"{root}: holds ESC-50 one folder further down", hint=f"use --data {quoted(entry)}")
        elif not entry.name.startswith("."):
            passed_over: Counter[str] = Counter()
            # As text, so that not even a folder called "-" is taken for stdin.
            found = [
                Path(str(source))
                for source, _ in find_sounds([f"{root}{os.sep}{entry.name}"], io.BytesIO(), passed_over)
            ]
            sounds = [path for path in found if path.is_file()]
            if sounds:
                by_class[entry.name] = sorted(sounds)
                passed_over["folders that cannot be read"] += len(found) - len(sounds)
            else:
                files = passed_over.pop(OTHER, 0)
                why = f"none of the {files} files in it is a sound" if files else "there is no sound in it"
                warnings.warn(f"class {shown_name(entry.name)!r:.60} is left out: {why}", stacklevel=3)
            left_out += passed_over
    if counted := ", ".join(f"{count} {what}" for what, count in left_out.items() if count):
        warnings.warn(f"left out: {counted}", stacklevel=3)
    _check_classes(root, by_class)
    return _with_classes(root, by_class)


def _open_class_folders_as_0_1_0(root: Path, seed: int) -> Dataset:
    by_class = {
        entry.name: sorted(
            path for path in entry.rglob("*") if path.suffix.lower() in _EXTENSIONS_OF_0_1_0 and path.is_file()
        )
        for entry in (sorted(root.iterdir()) if root.is_dir() else ())
        if entry.is_dir() and not entry.name.startswith(".")
    }
    by_class = {label: paths for label, paths in by_class.items() if paths}
    _check_classes(root, by_class)
    dataset = _with_classes(root, by_class)
    deals = (deal_as_0_1_0(len(paths), class_id, seed) for class_id, paths in enumerate(by_class.values()))
    fold_of = {
        path: fold
        for paths, folds in zip(by_class.values(), deals, strict=True)
        for path, fold in zip(paths, folds, strict=True)
    }
    clips = tuple(dataclasses.replace(clip, fold=fold_of[clip.path]) for clip in dataset.clips)
    return dataclasses.replace(dataset, clips=clips)


def _with_classes(root: Path, by_class: dict[str, list[Path]]) -> Dataset:
    """The sounds of every class as clips, sorted by their paths, in no fold yet."""
    clips = [
        Clip(shown_name(path.relative_to(root).as_posix()), path, class_id, 0)
        for class_id, paths in enumerate(by_class.values())
        for path in paths
    ]
    return Dataset(root, tuple(by_class), tuple(sorted(clips, key=lambda clip: clip.path.relative_to(root).as_posix())))


def _check_classes(root: Path, by_class: dict[str, list[Path]]) -> None:
    """Refuse folders that are not those of classes."""
    if not by_class:
        raise DatasetError(
            f"{root}: neither ESC-50 ({esc50.METADATA}) nor folders of sounds",
            hint="make one folder per class, named after it, with its sounds inside",
        )
    nested = not any(path.parent.parent == root for paths in by_class.values() for path in paths)
    if all(map(_PART.fullmatch, by_class)) and (nested or len(by_class) > 1):
        above = root.parent if tables.find_table(root.parent) else None
        raise DatasetError(
            f"{root}: {next(iter(by_class))!r} is a part of a split and no class",
            hint=f"use --data {quoted(above)}"
            if above
            else "make one folder per class; a CSV of names, labels and folds beside them keeps a split",
        )


def _check_names(root: Path, dataset: Dataset) -> None:
    """Refuse names of classes that a page, a table or a terminal could not show; they go into the model."""
    for label in dataset.labels:
        if not is_plain(label):
            raise DatasetError(f"{root}: class {label!r:.60} holds control characters", hint="rename it")
    check_labels(root, dataset.labels)


def _warn_of_copies(dataset: Dataset) -> None:
    """Say which clips hold the same: where they lie on both sides of a split, what is tested was trained on."""
    first: dict[str, Clip] = {hashlib.sha256().hexdigest(): Clip("", Path(), 0, 0)}  # empty files are no sounds at all
    copies: list[tuple[Clip, Clip]] = []
    for clip in dataset.clips:
        other = first.setdefault(dataset.hashes[clip.name], clip)
        if other is not clip and other.name:
            copies.append((clip, other))
    if copies:
        one, other = copies[0]
        text = f"{len(copies)} clips are exact copies of others, such as {one.name} of {other.name}"
        if both := sum(one.class_id != other.class_id for one, other in copies):
            text += f"; {both} of them are in two classes"
        if apart := sum(one.fold != other.fold for one, other in copies):
            text += f"; {apart} of them are in two folds: what is tested there was trained on"
        warnings.warn(text, stacklevel=3)
