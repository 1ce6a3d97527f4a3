"""Log-mels of a whole data set, computed once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from escnn import cache
from escnn.audio.decoding import Samples, open_sound
from escnn.audio.log_mel import AudioConfig
from escnn.audio.windows import read_windows
from escnn.config import to_json
from escnn.data.dataset import Clip, Dataset, content_hashes
from escnn.errors import AudioError, DatasetError, OutputError, reason

FEATURES_VERSION = 2  # of the log-mel and of windows; another one makes caches stale

LogMels = Callable[[Samples], NDArray[np.float32]]  # waveforms (windows, time) to dB (windows, mels, frames)


@dataclass(frozen=True, slots=True)
class Features:
    """Log-mels: `decibels` (windows, mels, frames) float16; `clip` (windows,) the index of the clip they are from.

    `warnings` are what a person should know of a clip, such as that it was cut off, by the clip's index.
    """

    decibels: NDArray[np.float16]
    clip: NDArray[np.int32]
    warnings: tuple[tuple[int, str], ...] = ()

    def windows_of(self, clips: NDArray[Any]) -> NDArray[np.int64]:
        """Indices of the windows of the clips whose indices are given."""
        return np.flatnonzero(np.isin(self.clip, clips))


def load_features(
    dataset: Dataset, config: AudioConfig, log_mels: LogMels, on_progress: Callable[[int, int], None] | None = None
) -> Features:
    """Log-mels of every clip, from the cache if they are there, otherwise computed once and kept.

    The cache is a file named after everything that decides its content: audio settings, and what the clips hold. Where
    it cannot be kept, they are computed each time, with a warning.

    Args:
        dataset: the clips.
        config: of the log-mels.
        log_mels: computes those of some windows.
        on_progress: called with (clips done, clips) while clips are read.

    Raises:
        DatasetError: a clip cannot be read; every unreadable one is counted, the first few are named. Or one changed
            while it was read.
    """
    name = f"{_features_key(dataset, config)}.safetensors"
    if found := _from_cache(name):
        return found
    computed = _compute_features(dataset, config, log_mels, on_progress)
    _check_unchanged(dataset)
    tensors: dict[str, NDArray[Any]] = {"decibels": computed.decibels, "clip": computed.clip}
    told = {"warnings": json.dumps(computed.warnings)}
    try:
        cache.keep("features", name, lambda part: safetensors.numpy.save_file(tensors, part, told))
    except (OutputError, safetensors.SafetensorError) as error:  # the latter: a full disk
        warnings.warn(f"log-mels are not kept for the next time: {reason(error)}; {cache.HELPS}", stacklevel=2)
        return computed
    return _from_cache(name) or computed


def _from_cache(name: str) -> Features | None:
    """Log-mels left on disk until they are looked at; None if they are not there, or not for this user to read."""
    path = cache.find("features", name)
    if path is None:
        return None
    try:
        with safetensors.safe_open(path, framework="np") as file:  # checks the header
            told = json.loads((file.metadata() or {}).get("warnings", "[]"))
        return Features(
            _mapped(path, "decibels"), _mapped(path, "clip"), tuple((int(clip), str(text)) for clip, text in told)
        )
    except OSError:  # of the disk: no damage
        return None
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        path.unlink(missing_ok=True)
        raise DatasetError(
            f"{path}: damaged feature cache ({reason(error)})", hint="it was removed; run the command again"
        ) from error


def _mapped(path: Path, name: str) -> NDArray[Any]:
    """A tensor of a safetensors file, left on disk until it is looked at."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[name]
    kind = {"F16": "<f2", "I32": "<i4"}[entry["dtype"]]
    offset = 8 + length + entry["data_offsets"][0]
    return np.memmap(path, kind, mode="r", offset=offset, shape=tuple(entry["shape"]))


def _compute_features(
    dataset: Dataset, config: AudioConfig, log_mels: LogMels, on_progress: Callable[[int, int], None] | None
) -> Features:
    decibels: list[NDArray[np.float16]] = []
    owner: list[int] = []
    unreadable: list[AudioError] = []
    told: list[tuple[int, str]] = []
    for index, found in enumerate(_read_ahead(dataset, config)):
        if isinstance(found, AudioError):
            unreadable.append(found)
        else:
            windows, texts = found
            told += [(index, text) for text in texts]
            decibels.append(log_mels(windows).astype(np.float16))
            owner += [index] * len(windows)
        if on_progress:
            on_progress(index + 1, len(dataset.clips))
    if unreadable:
        first = "; ".join(error.message for error in unreadable[:3])
        raise DatasetError(
            f"{dataset.root}: {len(unreadable)} of {len(dataset.clips)} clips cannot be used: {first}",
            hint="repair them or take them out of the folder",
        )
    # In C order, as a file of safetensors has no other: torch's log-mels come with their axes swapped.
    return Features(np.ascontiguousarray(np.concatenate(decibels)), np.array(owner, dtype=np.int32), tuple(told))


def _read_ahead(dataset: Dataset, config: AudioConfig) -> Iterator[tuple[Samples, list[str]] | AudioError]:
    """Every clip in turn as windows (windows, time), decoded ahead by a few threads (decoding frees the GIL), and what
    the reader warns of.
    """

    def read(clip: Clip) -> tuple[Samples, list[str]] | AudioError:
        try:
            with open_sound(clip.path) as reader:
                windows = np.stack([window for _, window in read_windows(reader, config)])
                return windows, list(reader.warnings)
        except AudioError as error:
            return error

    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(read, clip) for clip in dataset.clips[: 4 * threads]]
        for clip in (*dataset.clips[4 * threads :], *[None] * len(waiting)):
            yield waiting.pop(0).result()
            if clip is not None:
                waiting.append(pool.submit(read, clip))


def _check_unchanged(dataset: Dataset) -> None:
    """Refuse log-mels of other sounds than those whose hashes name them."""
    now = content_hashes([clip.path for clip in dataset.clips], dataset.root)
    for clip, content in zip(dataset.clips, now, strict=True):
        if content != dataset.hashes[clip.name] and clip.path.exists():  # it may go away once it has been read
            raise DatasetError(f"{dataset.root}: {clip.name} changed while it was read", hint="run the command again")


def _features_key(dataset: Dataset, config: AudioConfig) -> str:
    contents = [dataset.hashes[clip.name] for clip in dataset.clips]
    return hashlib.sha256(json.dumps([FEATURES_VERSION, to_json(config), contents]).encode()).hexdigest()[:32]
