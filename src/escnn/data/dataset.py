"""Labelled clips in folds, the hashes of what they hold, and the digest that tells one data set from another."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import time
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from escnn import cache
from escnn.errors import DatasetError, OutputError
from escnn.files import sha256_file

FOLDS = 5  # to which the clips of a data set without folds are dealt
SETTLED_SECONDS = 2.0  # a file that was changed more recently can change again without another time of change


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled sound."""

    name: str  # its path below the data set's folder, with forward slashes; bytes that are no UTF-8 as \xe9
    path: Path
    class_id: int
    fold: int  # from 1; 0: in none


@dataclass(frozen=True)
class Dataset:
    """Labelled clips in folds from 1 on. ``labels[class_id]`` is a class's name."""

    root: Path
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    missing: tuple[str, ...] = ()  # listed in the metadata but not there
    has_own_folds: bool = False  # its makers chose them; others were dealt
    of_0_1_0: bool = False  # dealt and told from others as 0.1.0 did

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
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 of the content of every clip, by its name. Computed once: a clip may go away later."""
        found = content_hashes([clip.path for clip in self.clips], self.root)
        return {clip.name: content for clip, content in zip(self.clips, found, strict=True)}

    def hashes_by_fold(self, folds: Collection[int]) -> dict[str, list[str]]:
        """Of some folds, the hashes of their clips, sorted, as they stand in a model file: keys are numbers as text.

        They tell whether a model was trained on a clip, and nobody what its maker called it.
        """
        return {
            str(fold): sorted(self.hashes[clip.name] for clip in self.clips if clip.fold == fold)
            for fold in sorted(folds)
        }

    def with_folds(self, fold_of: Mapping[str, int]) -> Dataset:
        """The same clips in the folds given by their names, and in none where none is given."""
        clips = tuple(dataclasses.replace(clip, fold=fold_of.get(clip.name, 0)) for clip in self.clips)
        changed = dataclasses.replace(self, clips=clips)
        vars(changed)["hashes"] = self.hashes  # known already: the files need not be there any more
        return changed

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over names, classes, folds and contents: changes when the data set does, not when it is moved.

        Computed once: a clip that goes away later does not end a training that has its log-mels. Of a data set opened
        as 0.1.0 did, sizes stand for contents.
        """
        lines = []
        for clip in self.clips:
            name = clip.path.relative_to(self.root).as_posix() if self.of_0_1_0 else clip.name
            content = clip.path.stat().st_size if self.of_0_1_0 else self.hashes[clip.name]
            lines.append(f"{name}\t{self.labels[clip.class_id]}\t{clip.fold}\t{content}")
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def shown_name(name: str) -> str:
    """A file's name as it can be written anywhere: bytes that are no UTF-8 stand as ``\\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def same_label(label: str) -> str:
    """What spellings of one class have in common: ``car_horn`` and ``Car Horn``, an umlaut composed or not."""
    return " ".join(unicodedata.normalize("NFKC", label).casefold().replace("_", " ").replace("-", " ").split())


def check_labels(root: Path, labels: Iterable[str]) -> None:
    """Refuse classes that only their spelling tells apart: each would learn half of the sounds.

    Raises:
        DatasetError: there are such.
    """
    seen: dict[str, str] = {}
    for label in labels:
        twin = seen.setdefault(same_label(label), label)
        if twin != label:
            raise DatasetError(
                f"{root}: {twin!r:.60} and {label!r:.60}: one class or two?",
                hint="give them one name, or different ones",
            )


def content_hashes(paths: Sequence[Path], root: Path) -> list[str]:
    """SHA-256 of the content of every file, in hex, remembered as long as the files stay as they are.

    A file is taken for unchanged by its inode, its size, its time of change and that of its inode, which no archive
    sets: files exchanged for each other are seen, whatever times they carry. One that cannot be read has the hash of
    its name instead, as opening it will say why.

    Args:
        paths: the files.
        root: of their data set, under whose name hashes are kept in the cache.
    """
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32] + ".json"
    marks = list(map(_mark, paths))
    wanted = set(marks)
    hash_of = {mark: content for mark, content in _remembered(name).items() if mark in wanted}
    unknown = {mark: path for mark, path in zip(marks, paths, strict=True) if mark and mark not in hash_of}
    started = time.time()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = zip(unknown, pool.map(_content_hash, unknown.values()), strict=True)
        hash_of |= {mark: content for mark, content in found if content}
    settled = {mark: content for mark, content in hash_of.items() if _changed(mark) <= started - SETTLED_SECONDS}
    if unknown.keys() & settled.keys():
        with suppress(OutputError):  # they will be computed again
            cache.keep("hashes", name, lambda part: part.write_text(json.dumps(settled)))
    return [
        hash_of.get(mark) or hashlib.sha256(b"unreadable\0" + os.fsencode(path)).hexdigest()
        for path, mark in zip(paths, marks, strict=True)
    ]


def _content_hash(path: Path) -> str | None:
    with suppress(OSError):
        return sha256_file(path)
    return None


def _mark(path: Path) -> str:
    """What changes when the content of a file may have changed; "" if it is not there."""
    with suppress(OSError):
        status = path.stat()
        return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
    return ""


def _changed(mark: str) -> float:
    return int(mark.rpartition(":")[2]) / 1e9


def _remembered(name: str) -> dict[str, str]:
    """The hashes in the cache by `_mark`; none where it was damaged."""
    path = cache.find("hashes", name)
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_text("utf-8")) if path else {}
        if isinstance(found, dict) and all(
            isinstance(content, str) and mark.rpartition(":")[2].isdecimal() for mark, content in found.items()
        ):
            return found
    return {}
