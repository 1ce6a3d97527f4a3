"""Events cut out of their recordings, as short files to listen to, to label, and to train on."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from escnn.audio.channels import Samples
from escnn.audio.decoding import Source, open_sound
from escnn.detection.output.formats import EVENT
from escnn.errors import AudioError, OutputError
from escnn.files import appended_lines, remove_parts, write_bytes, write_text
from escnn.inference.formats import csv_line, path_cell, utf8

MARGIN_SECONDS = 0.5  # before an event and after it
LONGEST_SECONDS = 60.0  # of a clip; of an event that is longer, the stretch around its peak
TABLE = "clips.csv"
COLUMNS = (
    "filename", "label", "class_id", "score", "path", "clip_start_seconds", "clip_end_seconds", "start_seconds",
    "end_seconds", "start_time",
)  # fmt: skip
_OURS = re.compile(r"\d{6,}_[0-9.-]+(_[0-9-]+)?\.(flac|png)")
_HALF = re.compile(r"\.\d{6,}_[^/]*\.part")
_FINE = frozenset({"PCM_24", "PCM_32", "FLOAT", "DOUBLE"})  # kept with 24 bits, others with 16


@dataclass(frozen=True, slots=True)
class Clip:
    """An event to be cut out: its line, and which stretch of the recording the clip holds, in seconds."""

    name: str  # without its ending
    event: dict[str, Any]
    start: float
    end: float

    @classmethod
    def of(cls, number: int, event: dict[str, Any]) -> Clip:
        """The clip of an event that is the `number`th: named by number and time, by nothing that others choose."""
        start, end = max(0.0, event["start_seconds"] - MARGIN_SECONDS), event["end_seconds"] + MARGIN_SECONDS
        if end - start > LONGEST_SECONDS:
            start = min(max(start, event["peak_seconds"] - LONGEST_SECONDS / 2), end - LONGEST_SECONDS)
            end = start + LONGEST_SECONDS
        return cls(f"{number:06d}_{_time_of(event, start)}", event, round(start, 3), round(end, 3))

    def row(self) -> list[Any]:
        """Its cells in the table."""
        of_event = [self.event.get(name, "") for name in ("label", "class_id", "score")]
        times = [self.event.get(name, "") for name in ("start_seconds", "end_seconds", "start_time")]
        return [f"{self.name}.flac", *of_event, path_cell(self.event.get("path", "")), self.start, self.end, *times]


class ClipFolder:
    """A folder that gets a clip an event, and a table of them with where each comes from."""

    def __init__(self, folder: Path, before: int = 0, draw: Callable[[Path, Clip], None] | None = None) -> None:
        """`before` is the number of events in recordings that were ended: their rows stay; `draw` is called with every
        clip's file.
        """
        self._folder, self._draw, self._count = folder, draw, before
        rows = [
            [row[name] for name in COLUMNS] for row in _rows(folder) if int(row["filename"].split("_")[0]) <= before
        ]
        write_text(folder / TABLE, "".join(f"{csv_line(row)}\r\n" for row in (COLUMNS, *rows)))

    def cut(self, source: Source, name: str, events: Sequence[dict[str, Any]]) -> None:
        """Cut the events of one recording out, and write down which they are.

        Raises:
            OutputError: a file cannot be written.
        """
        clips = [Clip.of(number, event) for number, event in enumerate(events, start=self._count + 1)]
        self._count += len(clips)
        cut = []
        with suppress(AudioError):  # of a recording that cannot be read to its end, what comes before is cut
            for clip, samples, rate, subtype in _stretches(source, name, clips):
                file = io.BytesIO()
                soundfile.write(file, samples, rate, subtype, format="FLAC")
                write_bytes(self._folder / f"{clip.name}.flac", file.getbuffer())
                cut.append(replace(clip, end=round(clip.start + len(samples) / rate, 3)))
                if self._draw:
                    self._draw(self._folder / f"{clip.name}.flac", cut[-1])
        with appended_lines(self._folder / TABLE) as append:
            for clip in sorted(cut, key=lambda clip: clip.name):
                append(f"{csv_line(clip.row())}\r")


def _stretches(source: Source, name: str, clips: Sequence[Clip]) -> Iterator[tuple[Clip, Samples, int, str]]:
    """The sound of each clip, mono, with its rate and how finely it was written, in the order in which they end.

    The recording is read once, and as much of it is held as the longest clip is long.
    """
    waiting = sorted(clips, key=lambda clip: clip.end, reverse=True)
    if not waiting:
        return
    with open_sound(source, name) as reader:
        rate, subtype = reader.info.sample_rate, "PCM_24" if reader.info.subtype in _FINE else "PCM_16"
        held: deque[Samples] = deque()
        first = end = 0  # samples that are held

        def stretch(clip: Clip) -> Samples:
            sound = np.concatenate(held) if held else np.zeros(0, np.float32)
            return sound[max(0, round(clip.start * rate) - first) : max(0, round(clip.end * rate) - first)]

        for block in reader.blocks():
            held.append(block)
            end += len(block)
            while waiting and round(waiting[-1].end * rate) <= end:
                clip = waiting.pop()
                yield clip, stretch(clip), rate, subtype
            if not waiting:
                return
            while held and first + len(held[0]) <= end - LONGEST_SECONDS * rate:
                first += len(held.popleft())
        while waiting:  # their margins lie behind the end of the recording
            clip = waiting.pop()
            if len(samples := stretch(clip)):
                yield clip, samples, rate, subtype


def remove_clips(folder: Path) -> None:
    """Remove the clips that the table in `folder` lists, their pictures and the table; other files stay."""
    remove_half_written(folder)
    for row in _rows(folder):
        for path in (folder / row["filename"], (folder / row["filename"]).with_suffix(".png")):
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):
        (folder / TABLE).unlink()


def is_ours(folder: Path) -> bool:
    """Whether a folder was begun by a `ClipFolder`: it has its table, or nothing yet but a half-written one."""
    try:
        names = {path.name for path in folder.iterdir()}
        if TABLE in names:
            with (folder / TABLE).open(encoding="utf-8") as file:
                return file.readline().strip() == csv_line(COLUMNS)
    except (OSError, ValueError):
        return False
    return all(re.fullmatch(rf"\.{re.escape(TABLE)}\.[^/]*\.(part|lock)", name) for name in names)


def check_going_on(folder: Path, before: Sequence[dict[str, Any]]) -> None:
    """Refuse to go on with clips that are not those of the events that were told `before`, in ended recordings.

    Raises:
        OutputError: they are of another detection, or none were cut out.
    """
    rows = {int(row["filename"].split("_")[0]): (row["path"], row["start_seconds"]) for row in _rows(folder)}
    if before and not rows:
        raise OutputError(
            f"{folder}: has no clips of what was found before", hint="go on without --clips, or begin anew"
        )
    for number, event in enumerate(before, start=1):
        if rows.get(number) not in (None, (utf8(path_cell(event["path"])), str(event["start_seconds"]))):
            raise OutputError(f"{folder}: holds clips of another detection", hint="choose another with --clips")


def remove_half_written(folder: Path) -> None:
    """Remove what a command that was killed has left half-written among its clips."""
    remove_parts(folder / TABLE)
    with suppress(OSError):
        for path in folder.iterdir():
            if _HALF.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _rows(folder: Path) -> list[dict[str, str]]:
    """The rows of the table of clips, as far as they are ours."""
    try:
        with (folder / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []
    return [row for row in rows if _OURS.fullmatch(row.get("filename") or "") and all(map(row.__contains__, COLUMNS))]


def events_in(documents: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The events of a journal's recordings that were ended, and the lines of the one that was not."""
    last = max((number for number, line in enumerate(documents) if line["schema"] != EVENT), default=-1)
    ended, begun = documents[: last + 1], documents[last + 1 :]
    return [line for line in ended if line["schema"] == EVENT], list(begun)


def _time_of(event: dict[str, Any], start: float) -> str:
    """When a clip begins: by the clock where it is known, or in its recording."""
    if "start_time" in event:
        earlier = timedelta(seconds=event["start_seconds"] - start)
        return f"{datetime.fromisoformat(event['start_time']) - earlier:%Y-%m-%d_%H-%M-%S}"
    milliseconds = round(start * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}-{minutes % 60:02d}-{rest / 1000:06.3f}"
