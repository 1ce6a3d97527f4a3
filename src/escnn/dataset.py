"""Clips and folds of ESC-50, or of any folder with a folder per class; and their log-mels, computed once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from torch import Tensor

from escnn import audio
from escnn.config import AudioConfig, to_json
from escnn.errors import AudioError, DatasetError, is_plain, reason
from escnn.features import LogMel
from escnn.files import atomic_path, cache_folder

FOLDS = 5
FEATURES_VERSION = 1  # of LogMel and of windows(); another one makes caches stale


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled sound."""

    name: str  # its path below the data set's folder, with forward slashes
    path: Path
    class_id: int
    fold: int


@dataclass(frozen=True, slots=True)
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

    @property
    def digest(self) -> str:
        """SHA-256 over names, classes, folds and sizes: changes when the data set does, not when it is moved."""
        lines = [
            f"{clip.name}\t{self.labels[clip.class_id]}\t{clip.fold}\t{clip.path.stat().st_size}" for clip in self.clips
        ]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


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
    if (root / "meta" / "esc50.csv").is_file():
        return _open_esc50(root)
    for child in sorted(root.iterdir()):
        if (child / "meta" / "esc50.csv").is_file():
            raise DatasetError(f"{root}: holds ESC-50 one folder further down", hint=f"use --data {child}")
    return _open_folders(root, seed)


def _open_esc50(root: Path) -> Dataset:
    path = root / "meta" / "esc50.csv"
    try:
        table = pd.read_csv(path, dtype={"filename": str, "fold": int, "target": int, "category": str})
        rows = list(zip(table["filename"], table["fold"], table["target"], table["category"], strict=True))
    except (ValueError, KeyError, OverflowError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise DatasetError(
            f"{path}: not metadata as that of ESC-50 ({reason(error)})",
            hint="it needs the columns filename, fold, target and category, separated by commas, in UTF-8",
        ) from error
    names = {int(target): str(category) for _, _, target, category in rows}
    if sorted(names) != list(range(len(names))) or len(names) < 2 or len(set(names.values())) != len(names):
        raise DatasetError(f"{path}: targets must number the categories from 0 without a gap, one name each")
    _check_labels(root, names.values())
    clips: list[Clip] = []
    missing: list[Clip] = []
    for filename, fold, target, category in rows:
        if not isinstance(filename, str) or Path(filename).name != filename or not 1 <= fold <= FOLDS:
            raise DatasetError(f"{path}: row for {filename!r:.100} in fold {fold} is not one of ESC-50")
        if names[int(target)] != category:
            raise DatasetError(
                f"{path}: {filename:.100} is {category!r:.60}, but target {target} is "
                f"{names[int(target)]!r:.60} elsewhere"
            )
        clip = Clip(f"audio/{filename}", root / "audio" / filename, int(target), int(fold))
        try:
            (clips if clip.path.is_file() else missing).append(clip)
        except OSError as error:  # a name that is too long, a folder that may not be searched
            raise DatasetError(f"{path}: {filename!r:.100} cannot be looked for ({reason(error)})") from error
    if not clips:
        raise DatasetError(f"{root}: none of the {len(rows)} clips is there", hint=f"they belong into {root / 'audio'}")
    return Dataset(
        root,
        tuple(names[index] for index in range(len(names))),
        tuple(clips),
        tuple(clip.path.name for clip in missing),
    )


def _open_folders(root: Path, seed: int) -> Dataset:
    by_class = {
        folder.name: sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in audio.EXTENSIONS and path.is_file()
        )
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    by_class = {label: paths for label, paths in by_class.items() if paths}
    if len(by_class) < 2:
        raise DatasetError(
            f"{root}: neither ESC-50 (meta/esc50.csv) nor at least two folders of sounds",
            hint="make one folder per class, named after it, with its sounds inside",
        )
    _check_labels(root, by_class)
    clips = []
    for class_id, (label, paths) in enumerate(by_class.items()):
        if len(paths) < 2:
            raise DatasetError(f"{root / label}: holds 1 sound", hint="a class needs at least 2, better 20 and more")
        # Folds are dealt from the last one down, so that even a class of two clips has one in fold 5 and one outside.
        order = np.random.default_rng([seed, class_id]).permutation(len(paths))
        for place, index in enumerate(order):
            path = paths[index]
            clips.append(Clip(path.relative_to(root).as_posix(), path, class_id, FOLDS - place % FOLDS))
    return Dataset(root, tuple(by_class), tuple(sorted(clips, key=lambda clip: clip.name)))


def _check_labels(root: Path, labels: Iterable[str]) -> None:
    """Refuse names of classes that a page, a table or a terminal could not show; they go into the model."""
    for label in labels:
        if not is_plain(label):
            raise DatasetError(f"{root}: class {label!r:.60} holds control characters", hint="rename it")


@dataclass(frozen=True, slots=True)
class Split:
    """Which clips do what."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    held_out: tuple[Clip, ...]


def split(dataset: Dataset, fold: int, validation_fold: int | None) -> Split:
    """Folds to parts: one held out and reported, perhaps one to choose the epoch on, the rest to learn from."""
    apart = {fold, validation_fold}
    train_clips = tuple(clip for clip in dataset.clips if clip.fold not in apart)
    if len({clip.class_id for clip in train_clips}) < len(dataset.labels):
        raise DatasetError(f"{dataset.root}: some class has no clip left to learn from", hint="give it more clips")
    return Split(
        train=train_clips,
        validation=dataset.fold(validation_fold) if validation_fold else (),
        held_out=dataset.fold(fold) if fold else (),
    )


@dataclass(frozen=True, slots=True)
class Features:
    """Log-mels: `decibels` (windows, mels, frames) float16; `clip` (windows,) the index of the clip they are from."""

    decibels: Tensor
    clip: Tensor

    def windows_of(self, clips: Tensor) -> Tensor:
        """Indices of the windows of the clips whose indices are given."""
        return torch.isin(self.clip, clips).nonzero().flatten()


def load_features(
    dataset: Dataset, config: AudioConfig, on_progress: Callable[[int, int], None] | None = None
) -> Features:
    """Log-mels of every clip, from the cache if they are there, otherwise computed once and kept.

    The cache is a file below `cache_folder()` named after everything that decides its content: audio settings, and the
    clips' paths, sizes and times of last change. `on_progress(done, total)` is called while clips are read.

    Raises:
        DatasetError: a clip cannot be read; every unreadable one is counted, the first few are named.
    """
    path = cache_folder() / "features" / f"{_features_key(dataset, config)}.safetensors"
    if not path.exists():
        decibels, owner = _compute_features(dataset, config, on_progress)
        with atomic_path(path) as part:
            safetensors.torch.save_file({"decibels": decibels, "clip": owner}, part)
    try:
        tensors = safetensors.torch.load_file(path)  # memory-mapped
        return Features(tensors["decibels"], tensors["clip"])
    except (safetensors.SafetensorError, KeyError, OSError) as error:
        path.unlink(missing_ok=True)
        raise DatasetError(
            f"{path}: damaged feature cache ({reason(error)})", hint="it was removed; run the command again"
        ) from error


def _compute_features(
    dataset: Dataset, config: AudioConfig, on_progress: Callable[[int, int], None] | None
) -> tuple[Tensor, Tensor]:
    log_mel = LogMel(config)
    decibels: list[Tensor] = []
    owner: list[int] = []
    unreadable: list[AudioError] = []
    for index, windows in enumerate(_read_ahead(dataset, config)):
        if isinstance(windows, AudioError):
            unreadable.append(windows)
        else:
            with torch.inference_mode():
                decibels.append(log_mel(torch.from_numpy(windows))[:, 0].half())  # (windows, mels, frames)
            owner += [index] * len(windows)
        if on_progress:
            on_progress(index + 1, len(dataset.clips))
    if unreadable:
        first = "; ".join(error.message for error in unreadable[:3])
        raise DatasetError(
            f"{dataset.root}: {len(unreadable)} of {len(dataset.clips)} clips cannot be used: {first}",
            hint="repair them or take them out of the folder",
        )
    return torch.cat(decibels), torch.tensor(owner, dtype=torch.int32)


def _read_ahead(dataset: Dataset, config: AudioConfig) -> Iterator[audio.Samples | AudioError]:
    """Every clip in turn as windows (windows, time), decoded ahead by a few threads (decoding frees the GIL)."""

    def read(clip: Clip) -> audio.Samples | AudioError:
        try:
            with audio.open_sound(clip.path) as reader:
                return np.stack(list(audio.windows(reader.blocks(config.sample_rate), config.window_samples)))
        except AudioError as error:
            return error

    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(read, clip) for clip in dataset.clips[: 4 * threads]]
        for clip in (*dataset.clips[4 * threads :], *[None] * len(waiting)):
            yield waiting.pop(0).result()
            if clip is not None:
                waiting.append(pool.submit(read, clip))


def _features_key(dataset: Dataset, config: AudioConfig) -> str:
    files = [(os.fsencode(clip.path.resolve()).hex(), *_size_and_time(clip.path)) for clip in dataset.clips]
    described = json.dumps([FEATURES_VERSION, to_json(config), files])
    return hashlib.sha256(described.encode()).hexdigest()[:32]


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
