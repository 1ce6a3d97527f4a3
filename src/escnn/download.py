"""Fetch, verify and place ESC-50. A dropped download goes on where it stopped; half a data set never shows."""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import os
import re
import shutil
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from escnn.errors import DatasetError, reason
from escnn.fetch import BY_HAND, fetch
from escnn.files import output_error
from escnn.lock import locked

# GitHub makes a commit's archive afresh, not always byte for byte the same: what it holds is verified, not its hash.
ARCHIVE_URL = "https://github.com/karolpiczak/ESC-50/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip"
METADATA_SHA256 = "ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246"
FOLDS = range(1, 6)
CLIPS_PER_FOLD = 400

LARGEST_MEMBER = 1 << 20  # bytes; a clip has 441 kB. With it, an archive takes 2 GB of disk at most

# All that is ever taken from an archive. Case counts, so no two of these names are one file on Windows or on a Mac.
_CLIP = re.compile(r"(?P<fold>[1-5])-[0-9]{1,9}-[A-Z]-(?P<target>[1-4]?[0-9])\.wav")
_MEMBER = re.compile(rf"(?P<top>[^/]+)/(?P<inside>audio/{_CLIP.pattern}|meta/esc50\.csv|LICENSE|README\.md)")
_METADATA = "meta/esc50.csv"

# What Python's zipfile raises for archives that are damaged, locked (RuntimeError) or made to do harm.
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, OverflowError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is: bytes of a download, files of an extraction. `total` is None when the server does not say."""

    stage: Literal["download", "extract"]
    done: int
    total: int | None


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
        parts = [f"{self.clips:,} of {CLIPS_PER_FOLD * len(FOLDS):,} clips"]
        parts += [f"fold {fold} lacks {count}" for fold, count in self.missing_by_fold.items()]
        if self.missing:
            parts.append(f"missing or damaged: {_few(self.missing)}")
        if not self.official_metadata:
            parts.append(f"{_METADATA} is not the official one")
        return "; ".join(parts)


def check(folder: Path) -> DatasetCheck:
    """Compare `folder` with the official ESC-50. Clips that the metadata does not list are not looked at.

    Raises:
        DatasetError: there is no ``meta/esc50.csv``, or it cannot be understood.
    """
    try:
        metadata = (folder / _METADATA).read_bytes()
        fold_of = _listed_clips(metadata)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(f"{folder}: no {_METADATA} here", hint="`escnn download` fetches ESC-50") from error
    except (OSError, ValueError) as error:
        hint = "correct it, or move the folder away and run `escnn download`"
        raise DatasetError(f"{folder / _METADATA}: cannot be used ({reason(error)})", hint=hint) from error
    missing = tuple(name for name in fold_of if not _is_whole(folder / "audio" / name))
    there = Counter(fold_of.values()) - Counter(fold_of[name] for name in missing)  # fold -> clips
    return DatasetCheck(
        folder=folder,
        clips=there.total(),
        official_metadata=is_official(metadata),
        missing=missing,
        missing_by_fold={fold: CLIPS_PER_FOLD - there[fold] for fold in FOLDS if there[fold] < CLIPS_PER_FOLD},
    )


def download(
    folder: Path,
    *,
    source: str | Path | None = None,
    allow_missing: bool = False,
    force: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> DatasetCheck:
    """Fetch ESC-50, verify it and put it at `folder`: ``audio/*.wav``, ``meta/esc50.csv``, ``LICENSE``, ``README.md``.

    All of it happens in a hidden folder beside `folder`, with one rename at the end: a `folder` that is there is whole.
    If the network fails, what has come is kept and the next call goes on from there. A complete `folder` is left alone.

    Args:
        folder: Where ESC-50 is to be.
        source: An http(s) address or the path of a zip file at hand; by default the archive of the pinned commit.
        allow_missing: Be content with an archive, or a `folder`, that lacks clips, as long as it has one.
        force: Replace the ESC-50 at `folder`. A folder that holds anything else is not replaced even so: other metadata
            than the official, or a clip that this does not list, is somebody's own.
        on_progress: Called for every piece of the download and every file of the extraction.
        on_message: Called with a line for people when a download is resumed or tried again.

    Raises:
        DatasetError: the archive is damaged or incomplete, `folder` is occupied, or another download is busy with it.
        NetworkError: the archive cannot be fetched.
        OutputError: no space or no permission.
    """
    show = on_progress or (lambda progress: None)
    say = on_message or (lambda message: None)
    folder = folder.resolve()  # where `folder` is a link to a larger disk, the data set belongs there
    name = str(source or ARCHIVE_URL)
    try:
        if found := _already_there(folder, allow_missing, force):
            _remove_leftovers(folder)
            return found
        archive = _archive_at_hand(source)
        with _workshop(folder) as work:
            # Once more: another download may have ended meanwhile, or the traces of a killed one were just put right.
            if found := _already_there(folder, allow_missing, force):
                return found
            if archive is None:
                archive = work / "archive.zip.part"
                fetch(name, archive, lambda done, total: show(Progress("download", done, total)), say)
            _extract(archive, name, work / "unpacked", show)
            found = check(work / "unpacked")
            if not _acceptable(found, allow_missing):
                hint = "take another archive, or go on without these clips with --allow-missing"
                raise DatasetError(f"{name}: not all of ESC-50: {found.describe()}", hint=hint)
            _put_in_place(work / "unpacked", folder, aside=work / "replaced")
            return replace(found, folder=folder)
    except OSError as error:
        raise output_error(folder, error) from error


def _acceptable(found: DatasetCheck, allow_missing: bool) -> bool:
    return found.complete or (allow_missing and found.clips > 0)


def _already_there(folder: Path, allow_missing: bool, force: bool) -> DatasetCheck | None:
    """The data set that makes a download needless; None if there is room for one; `DatasetError` if there is not."""
    elsewhere = "choose another folder with --data, or move this one away"
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise DatasetError(f"{folder}: not a folder", hint=elsewhere)
    names = {entry.name for entry in folder.iterdir()}
    is_data_set = (folder / _METADATA).is_file()
    if names and not is_data_set:
        raise DatasetError(f"{folder}: holds something other than ESC-50", hint=elsewhere)
    strangers = _strangers(folder) if is_data_set else []
    if is_data_set and not force:
        found = check(folder)
        if _acceptable(found, allow_missing):
            return found
        hint = elsewhere if strangers else "replace it with --force"
        raise DatasetError(f"{folder}: not all of ESC-50: {found.describe()}", hint=hint)
    # --force deletes the old folder, which must not take anybody's own sounds and files with it.
    if strangers:
        raise DatasetError(f"{folder}: not replaced, because it holds {_few(strangers)} besides ESC-50", hint=elsewhere)
    if os.path.ismount(folder):
        hint = f"choose a folder inside it, such as --data {folder / 'ESC-50'}"
        raise DatasetError(f"{folder}: the top of a file system cannot be replaced", hint=hint)
    return None


def is_official(metadata: bytes) -> bool:
    """Whether this is the content of the official ``meta/esc50.csv``; any other is that of somebody's own data."""
    return hashlib.sha256(metadata).hexdigest() == METADATA_SHA256


def _strangers(folder: Path) -> list[str]:
    """What `folder` holds that is not ESC-50's, as paths below it."""
    metadata = (folder / _METADATA).read_bytes()
    if not is_official(metadata):
        return [f"{_METADATA} of its own"]
    ours = {"audio", "meta", "LICENSE", "README.md", _METADATA, *(f"audio/{name}" for name in _listed_clips(metadata))}
    there = {*folder.iterdir(), *(folder / "meta").iterdir(), *(folder / "audio").glob("*")}
    return sorted({path.relative_to(folder).as_posix() for path in there} - ours)


def _listed_clips(metadata: bytes) -> dict[str, int]:
    """File name -> fold of the clips in meta/esc50.csv. `ValueError` names the first line that cannot be true."""
    rows = csv.DictReader(io.StringIO(metadata.decode("utf-8"), newline=""), strict=True)
    fold_of: dict[str, int] = {}
    categories: dict[str, str] = {}
    try:
        if absent := {"filename", "fold", "target", "category"} - set(rows.fieldnames or ()):
            raise ValueError(f"no column {', '.join(sorted(absent))}")
        for row in rows:
            clip = _CLIP.fullmatch(row["filename"] or "")
            if clip is None or (row["fold"], row["target"]) != (clip["fold"], clip["target"]):
                raise ValueError("file name, fold and target do not go together")
            if clip[0] in fold_of:
                raise ValueError(f"{clip[0]} is listed twice")
            if not row["category"] or categories.setdefault(row["target"], row["category"]) != row["category"]:
                raise ValueError(f"target {row['target']} has no category, or two")
            fold_of[clip[0]] = int(clip["fold"])
    except (ValueError, csv.Error) as error:
        raise ValueError(f"line {rows.line_num}: {error}") from error
    return fold_of


def _is_whole(clip: Path) -> bool:
    """Whether this is a WAV file that has sound after its 44-byte header and goes on as far as the header says."""
    try:
        with clip.open("rb") as file:
            container, length, form = struct.unpack("<4sI4s", file.read(12))  # `length` counts from byte 8 on
            return (container, form) == (b"RIFF", b"WAVE") and 44 < length + 8 <= os.fstat(file.fileno()).st_size
    except (OSError, struct.error):
        return False


def _archive_at_hand(source: str | Path | None) -> Path | None:
    """The zip file that `source` names; None if it is to be fetched."""
    if source is None or str(source).lower().startswith(("https://", "http://")):
        return None
    if not Path(source).is_file():
        hint = "give the path of a zip file, or an address that begins with https://"
        raise DatasetError(f"{source}: no such archive", hint=hint)
    return Path(source)


def _extract(archive: Path, name: str, target: Path, show: Callable[[Progress], None]) -> None:
    """Write the members that make up ESC-50 below `target`. No other name is ever used, so none leads outside."""
    try:
        opened = zipfile.ZipFile(archive)
    except _BAD_ZIP as error:
        raise DatasetError(f"{name}: not a zip file that can be read ({reason(error)})", hint=BY_HAND) from error
    with opened:
        members = _members(opened, name)
        for folder in ("audio", "meta"):
            (target / folder).mkdir(parents=True)
        for done, (inside, member) in enumerate(members.items(), start=1):
            (target / inside).write_bytes(_read(opened, member, inside, name))
            show(Progress("extract", done, len(members)))


def _members(archive: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    """What to take from the archive, by its path inside the data set."""
    members: dict[str, zipfile.ZipInfo] = {}
    tops = set()
    for member in archive.infolist():
        if match := _MEMBER.fullmatch(member.filename):
            if match["inside"] in members:
                raise DatasetError(f"{name}: holds {match['inside']} twice")
            members[match["inside"]] = member
            tops.add(match["top"])
    if _METADATA not in members or len(tops) > 1:
        raise DatasetError(f"{name}: not an archive of ESC-50, which has one folder with {_METADATA} inside")
    if sum(inside.startswith("audio/") for inside in members) > CLIPS_PER_FOLD * len(FOLDS):
        raise DatasetError(f"{name}: holds more clips than ESC-50 has")
    return members


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, inside: str, name: str) -> bytes:
    """The content of one member, checked by its CRC. Never holds more than the limit, whatever the header says."""
    try:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError("neither stored nor deflated")  # the other methods inflate without a bound
        with archive.open(member) as file:
            content = file.read(LARGEST_MEMBER + 1)
        if len(content) > LARGEST_MEMBER:
            raise ValueError(f"more than {LARGEST_MEMBER:,} bytes")
        if inside == _METADATA:
            _listed_clips(content)  # to blame the archive, by the line, for what is wrong there
    except _BAD_ZIP as error:
        raise DatasetError(f"{name}: {inside} is damaged ({reason(error)})", hint="fetch the archive again") from error
    return content


def _put_in_place(unpacked: Path, folder: Path, aside: Path) -> None:
    """Give the verified data set its name, in one step. What had that name before comes back if this fails."""
    try:
        if folder.exists():
            folder.rename(aside)
        unpacked.rename(folder)
    except BaseException:  # Ctrl-C, too
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """The hidden folder beside `folder`, for us alone. It outlives a network failure, a full disk and Ctrl-C."""
    work = _work(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        work.mkdir(exist_ok=True)
        if (work / "replaced").exists() and not folder.exists():
            (work / "replaced").rename(folder)  # a call with --force was killed between its two renames
        shutil.rmtree(work / "replaced", ignore_errors=True)
        shutil.rmtree(work / "unpacked", ignore_errors=True)
        try:
            yield work
        except DatasetError:
            shutil.rmtree(work, ignore_errors=True)  # a bad archive is not worth going on with
            raise
        except BaseException:
            shutil.rmtree(work / "unpacked", ignore_errors=True)  # it takes room, and is not gone on with
            with suppress(OSError):
                work.rmdir()  # nothing had come
            raise
        shutil.rmtree(work, ignore_errors=True)


def _work(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.download")


def _remove_leftovers(folder: Path) -> None:
    """What a call left that was killed after its last step, hidden and as large as the data set: gone if we may."""
    if any(folder.parent.glob(f".{glob.escape(folder.name)}.*")):  # traces of a download or of its lock
        with suppress(DatasetError, OSError), _workshop(folder):
            pass


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"
