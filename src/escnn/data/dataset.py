"""Labelled clips in folds, and the digest that tells one data set from another."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from escnn.errors import DatasetError

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled sound."""

    name: str  # its path below the data set's folder, with forward slashes
    path: Path
    class_id: int
    fold: int


@dataclass(frozen=True)
class Dataset:
    """Labelled clips in folds 1 to 5. ``labels[class_id]`` is a class's name."""

    root: Path
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    missing: tuple[str, ...] = ()  # listed in the metadata but not there

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that hold a clip, ascending."""
        return tuple(sorted({clip.fold for clip in self.clips}))

    def fold(self, number: int) -> tuple[Clip, ...]:
        """The clips of one fold; `DatasetError` when it holds none."""
        clips = tuple(clip for clip in self.clips if clip.fold == number)
        if not clips:
            folds = ", ".join(map(str, self.folds))
            raise DatasetError(
                f"{self.root}: fold {number} holds no clip (there are folds {folds})",
                hint=f"choose --fold from {folds}, or --fold 0 to train on everything and evaluate nothing",
            )
        return clips

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over names, classes, folds and sizes: changes when the data set does, not when it is moved.

        Computed once: a clip that goes away later does not end a training that has its log-mels.
        """
        lines = [
            f"{clip.name}\t{self.labels[clip.class_id]}\t{clip.fold}\t{clip.path.stat().st_size}" for clip in self.clips
        ]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
