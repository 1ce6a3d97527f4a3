"""Fetch, verify and place ESC-50. A dropped download goes on where it stopped; half a data set never shows."""

from __future__ import annotations

import glob
import os
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from escnn.data import esc50
from escnn.data.dataset import FOLDS
from escnn.data.http import BY_HAND, fetch, shown
from escnn.errors import DatasetError, OutputError, reason
from escnn.files import exclusive, output_error
from escnn.names import quoted

# GitHub makes a commit's archive afresh, not always byte for byte the same: what it holds is verified, not its hash.
ARCHIVE_URL = "https://github.com/karolpiczak/ESC-50/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip"

LARGEST_MEMBER = 1 << 20  # bytes; a clip has 441 kB. With it, an archive takes 2 GB of disk at most

# All that is ever taken from an archive. Case counts, so no two of these names are one file on Windows or on a Mac.
_MEMBER = re.compile(rf"(?P<top>[^/]+)/(?P<inside>audio/{esc50.CLIP_NAME.pattern}|meta/esc50\.csv|LICENSE|README\.md)")

# What Python's zipfile raises for archives that are damaged, locked (RuntimeError) or made to do harm.
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, OverflowError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is: bytes of a download, files of an extraction. `total` is None when the server does not say."""

    stage: Literal["download", "extract"]
    done: int
    total: int | None


def download(
    folder: Path,
    *,
    source: str | Path | None = None,
    allow_missing: bool = False,
    force: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> esc50.DatasetCheck:
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
    url = str(source or ARCHIVE_URL)
    name = shown(url) if _is_remote(url) else url
    try:
        if found := _already_there(folder, allow_missing, force):
            _remove_leftovers(folder)
            return found
        archive = _archive_at_hand(source)
        with _staging_dir(folder) as work:
            # Once more: another download may have ended meanwhile, or the traces of a killed one were just put right.
            if found := _already_there(folder, allow_missing, force):
                return found
            if archive is None:
                archive = work / "archive.zip.part"
                fetch(url, archive, lambda done, total: show(Progress("download", done, total)), say)
            _extract(archive, name, work / "unpacked", show)
            found = esc50.check(work / "unpacked")
            if not _acceptable(found, allow_missing):
                hint = "take another archive, or go on without these clips with --allow-missing"
                raise DatasetError(f"{name}: not all of ESC-50: {found.describe()}", hint=hint)
            _put_in_place(work / "unpacked", folder, aside=work / "replaced")
            return replace(found, folder=folder)
    except OSError as error:
        hint = "is there space and permission? --data and ESCNN_DATA name another folder"
        raise OutputError(output_error(folder, error).message, hint=hint) from error


def _acceptable(found: esc50.DatasetCheck, allow_missing: bool) -> bool:
    return found.complete or (allow_missing and found.clips > 0)


def _already_there(folder: Path, allow_missing: bool, force: bool) -> esc50.DatasetCheck | None:
    """The data set that makes a download needless; None if there is room for one; `DatasetError` if there is not."""
    elsewhere = "choose another folder with --data, or move this one away"
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise DatasetError(f"{folder}: not a folder", hint=elsewhere)
    names = {entry.name for entry in folder.iterdir()}
    is_data_set = (folder / esc50.METADATA).is_file()
    if names and not is_data_set:
        raise DatasetError(f"{folder}: holds something other than ESC-50", hint=elsewhere)
    strangers = _strangers(folder) if is_data_set else []
    if is_data_set and not force:
        found = esc50.check(folder)
        if _acceptable(found, allow_missing):
            return found
        hint = elsewhere if strangers else "replace it with --force"
        raise DatasetError(f"{folder}: not all of ESC-50: {found.describe()}", hint=hint)
    # --force deletes the old folder, which must not take anybody's own sounds and files with it.
    if strangers:
        raise DatasetError(
            f"{folder}: not replaced, because it holds {esc50.few(strangers)} besides ESC-50", hint=elsewhere
        )
    if os.path.ismount(folder):
        hint = f"choose a folder inside it, such as --data {quoted(folder / 'ESC-50')}"
        raise DatasetError(f"{folder}: the top of a file system cannot be replaced", hint=hint)
    return None


def _strangers(folder: Path) -> list[str]:
    """What `folder` holds that is not ESC-50's, as paths below it."""
    metadata = (folder / esc50.METADATA).read_bytes()
    if not esc50.is_official(metadata):
        return [f"{esc50.METADATA} of its own"]
    ours = {
        "audio",
        "meta",
        "LICENSE",
        "README.md",
        esc50.METADATA,
        *(f"audio/{name}" for name in esc50.official_clips(metadata)),
    }
    there = {*folder.iterdir(), *(folder / "meta").iterdir(), *(folder / "audio").glob("*")}
    return sorted({path.relative_to(folder).as_posix() for path in there} - ours)


def _archive_at_hand(source: str | Path | None) -> Path | None:
    """The zip file that `source` names; None if it is to be fetched."""
    if source is None or _is_remote(str(source)):
        return None
    hint = "give the path of a zip file, or an address that begins with https://"
    try:
        if Path(source).is_file():
            return Path(source)
    except OSError as error:
        raise DatasetError(f"{source}: cannot be opened ({reason(error)})", hint=hint) from error
    raise DatasetError(f"{source}: no such archive", hint=hint)


def _is_remote(source: str) -> bool:
    return source.lower().startswith(("https://", "http://"))


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
    if esc50.METADATA not in members or len(tops) > 1:
        raise DatasetError(f"{name}: not an archive of ESC-50, which has one folder with {esc50.METADATA} inside")
    if sum(inside.startswith("audio/") for inside in members) > esc50.CLIPS_PER_FOLD * FOLDS:
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
        if inside == esc50.METADATA:
            esc50.official_clips(content)  # to blame the archive, by the line, for what is wrong there
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
def _staging_dir(folder: Path) -> Iterator[Path]:
    """The hidden folder beside `folder`, for us alone. It outlives a network failure, a full disk and Ctrl-C."""
    work = _work(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    busy = DatasetError(f"{folder}: another process is downloading it", hint="wait for it, or stop it")
    with exclusive(folder.with_name(f".{folder.name}.lock"), busy):
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
        with suppress(DatasetError, OSError), _staging_dir(folder):
            pass
