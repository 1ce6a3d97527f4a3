"""Events as tables that other programs read: CSV, label tracks of Audacity, selection tables of Raven, parquet."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from escnn.audio.log_mel import AudioConfig
from escnn.detection.output.formats import EVENT
from escnn.errors import UsageError
from escnn.files import write_bytes, write_text
from escnn.inference.formats import csv_line, path_cell, utf8

COLUMNS = (
    "path",
    "start_seconds",
    "end_seconds",
    "peak_seconds",
    "label",
    "class_id",
    "score",
    "start_time",
    "end_time",
)
RAVEN_COLUMNS = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Begin Path",
    "File Offset (s)", "Species", "Score",
)  # fmt: skip
PARQUET = "parquet"
ONE_RECORDING = "a label track of Audacity is of one recording"
ONE_RECORDING_HINT = "name one, or write CSV, Raven or JSON Lines"
Documents = Sequence[dict[str, Any]]


def write_table(kind: str, documents: Documents, out: Path, audio: AudioConfig) -> None:
    """Write the lines of a journal as a table of its events, whole or not at all.

    Args:
        kind: csv, raven, audacity or parquet.
        documents: events and ends of recordings, in order.
        out: the file.
        audio: what the model hears, which Raven draws as the height of a selection.

    Raises:
        UsageError: the table cannot hold several recordings.
        OutputError: it cannot be written.
    """
    if kind == PARQUET:
        write_bytes(out, _parquet(documents))
        return
    lines, end = WRITERS[kind](documents, audio)
    write_text(out, "".join(f"{line}{end}" for line in lines))


def check_table(kind: str, recordings: int) -> None:
    """Refuse, before any work is done, a table that could not be written in the end.

    Raises:
        UsageError: it cannot hold so many recordings, or a library is missing.
    """
    if kind == "audacity" and recordings > 1:
        raise UsageError(ONE_RECORDING, hint=ONE_RECORDING_HINT)
    if kind == PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise UsageError("--format parquet needs pyarrow", hint="pip install 'escnn-audio[parquet]'")


def csv_lines(documents: Iterable[dict[str, Any]], *, times: bool) -> Iterator[str]:
    """Lines of CSV, without their ends: a header, then a line an event; with columns of clock times if asked for."""
    columns = COLUMNS if times else COLUMNS[:-2]
    yield csv_line(columns)
    for document in documents:
        if document["schema"] == EVENT:
            yield csv_line([path_cell(document["path"]), *(document.get(name, "") for name in columns[1:])])


def raven_lines(documents: Documents, f_min: float, f_max: float) -> Iterator[str]:
    """Lines of a selection table of Raven: tab-separated, times from the start of each file, all frequencies heard."""
    yield "\t".join(RAVEN_COLUMNS)
    for number, event in enumerate(events_of(documents), start=1):
        start, end = event["start_seconds"], event["end_seconds"]
        cells = [
            number,
            "Spectrogram 1",
            1,
            start,
            end,
            f_min,
            f_max,
            path_cell(_cell(event["path"])),
            start,
            event["label"],
            event["score"],
        ]
        yield "\t".join(_cell(cell) for cell in cells)


def audacity_lines(documents: Documents) -> Iterator[str]:
    """Lines of a label track of Audacity: start, end and label, separated by tabs.

    Raises:
        UsageError: there are several recordings, which a label track cannot tell apart.
    """
    if len({document["path"] for document in documents}) > 1:
        raise UsageError(ONE_RECORDING, hint=ONE_RECORDING_HINT)
    for event in events_of(documents):
        yield f"{event['start_seconds']:.6f}\t{event['end_seconds']:.6f}\t{_cell(event['label'])}"


def events_of(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events: recordings in their order, in each of them by start."""
    order = {path: number for number, path in enumerate(dict.fromkeys(document["path"] for document in documents))}
    events = [document for document in documents if document["schema"] == EVENT]
    return sorted(events, key=lambda event: (order[event["path"]], event["start_seconds"], event["class_id"]))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The documents of a journal of ours."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _cell(value: Any) -> str:
    """A cell of a table separated by tabs, which has no way to hold a tab or the end of a line."""
    if isinstance(value, str):
        return " ".join(value.split())
    return str(round(value, 4)) if isinstance(value, float) else str(value)  # 0.0, not 0: readers tell types by it


def _csv(documents: Documents, _: AudioConfig) -> tuple[Iterable[str], str]:
    events = events_of(documents)
    return csv_lines(events, times=any("start_time" in event for event in events)), "\r\n"


def _raven(documents: Documents, audio: AudioConfig) -> tuple[Iterable[str], str]:
    return raven_lines(documents, audio.f_min, audio.f_max), "\n"


def _audacity(documents: Documents, _: AudioConfig) -> tuple[Iterable[str], str]:
    return audacity_lines(documents), "\n"


def _parquet(documents: Documents) -> memoryview:
    """The columns of CSV, each with its type; clock times as text, since some may have a zone and others none."""
    import pyarrow
    from pyarrow import parquet

    text, number = pyarrow.string(), pyarrow.float64()
    of_type = {"path": text, "label": text, "class_id": pyarrow.int32(), "start_time": text, "end_time": text}
    schema = pyarrow.schema([(name, of_type.get(name, number)) for name in COLUMNS])
    events = events_of(documents)
    columns = {name: [event.get(name) for event in events] for name in COLUMNS}
    columns["path"] = [utf8(event["path"]) for event in events]
    file = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns, schema=schema), file)
    return memoryview(file.getvalue())


WRITERS: dict[str, Callable[[Documents, AudioConfig], tuple[Iterable[str], str]]] = {
    "csv": _csv,
    "raven": _raven,
    "audacity": _audacity,
}
