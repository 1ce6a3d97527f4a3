"""Which kind of data set a folder holds: ESC-50, or a folder of sounds per class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from escnn.audio.decoding import EXTENSIONS
from escnn.data import esc50
from escnn.data.dataset import Dataset
from escnn.data.folds import deal
from escnn.errors import DatasetError, is_plain


def open_dataset(root: Path, *, seed: int = 0) -> Dataset:
    """Find the clips below `root`: ESC-50 where there is a ``meta/esc50.csv``, otherwise a folder per class.

    A folder per class has no folds of its own: its clips are dealt to five folds, class by class, shuffled with `seed`.

    Raises:
        DatasetError: there is no data set, or one that cannot be used.
    """
    if not root.is_dir():
        raise DatasetError(
            f"{root}: no data set here", hint="`escnn download` fetches ESC-50; --data names another folder"
        )
    if (root / esc50.METADATA).is_file():
        dataset = esc50.open_esc50(root)
    else:
        for child in sorted(root.iterdir()):
            if (child / esc50.METADATA).is_file():
                raise DatasetError(f"{root}: holds ESC-50 one folder further down", hint=f"use --data {child}")
        dataset = _open_class_folders(root, seed)
    _check_labels(root, dataset.labels)
    return dataset


def _open_class_folders(root: Path, seed: int) -> Dataset:
    by_class = {
        folder.name: sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    by_class = {label: paths for label, paths in by_class.items() if paths}
    if len(by_class) < 2:
        raise DatasetError(
            f"{root}: neither ESC-50 ({esc50.METADATA}) nor at least two folders of sounds",
            hint="make one folder per class, named after it, with its sounds inside",
        )
    for label, paths in by_class.items():
        if len(paths) < 2:
            raise DatasetError(f"{root / label}: holds 1 sound", hint="a class needs at least 2, better 20 and more")
    clips = [clip for class_id, paths in enumerate(by_class.values()) for clip in deal(root, class_id, paths, seed)]
    return Dataset(root, tuple(by_class), tuple(sorted(clips, key=lambda clip: clip.name)))


def _check_labels(root: Path, labels: Iterable[str]) -> None:
    """Refuse names of classes that a page, a table or a terminal could not show; they go into the model."""
    for label in labels:
        if not is_plain(label):
            raise DatasetError(f"{root}: class {label!r:.60} holds control characters", hint="rename it")
