"""`escnn evaluate --annotations`: events that are found, against what people have heard."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from escnn import files
from escnn.audio import inputs
from escnn.cli import progress
from escnn.cli.console import Console
from escnn.cli.output.clips import check_clips
from escnn.cli.tables import detection_lines
from escnn.errors import EscnnError, UsageError

if TYPE_CHECKING:
    from escnn.evaluation.annotations.evaluation import DetectionEvaluation


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asked for, as the options of the command are called."""

    annotations: Path
    recordings: Sequence[str]
    model: Path | None
    label_map: Path | None
    thresholds: Path | None
    precision: float | None
    clips: Path | None
    out: Path | None
    page: bool
    as_json: bool
    force: bool
    device: str


def evaluate_annotated(console: Console, asked: Request) -> None:
    """Measure, write, and show.

    Raises:
        Exit: with code 3, where a recording could not be read.
    """
    if inputs.STDIN in asked.recordings:
        raise UsageError("--annotations measures recordings in files", hint="name the files")
    left_out: Counter[str] = Counter()
    listed = inputs.list_sounds(asked.recordings, left_out)
    if asked.out is not None:
        files.check_output_folder(asked.out, force=asked.force)
    read_from = [*listed, asked.annotations]
    check_clips(asked.clips, asked.recordings, read_from, pictures=False, force=asked.force, resume=False)
    with console.working("opening the model"):
        from escnn.detection.thresholds import read_thresholds
        from escnn.evaluation.annotations.protocol import evaluate_annotations

    given = read_thresholds(asked.thresholds)
    with progress.sounds(console, len(listed) or 1) as advance:
        measured = evaluate_annotations(
            asked.annotations,
            listed,
            asked.model,
            label_map=asked.label_map,
            thresholds=given.by_label,
            device=asked.device,
            on_progress=advance,
        )
    console.left_out(left_out)
    if caveat := given.caveat(measured.model):
        console.warning(caveat)
    _warn(console, measured)
    try:
        if asked.out is not None:
            _save(measured, asked.out, asked)
            console.message(f"written to {asked.out}")
        if asked.clips is not None:
            _cut(measured, asked.clips)
            console.message(f"missed events and false alarms cut out into {asked.clips}")
    finally:  # a disk that is full does not take the figures with it
        document = measured.to_json(asked.precision)
        if asked.as_json:
            console.json_document(document)
        else:
            for line in detection_lines(document, terminal=console.is_interactive):
                console.result(line)
    if measured.unread:
        raise typer.Exit(3)


def _warn(console: Console, measured: DetectionEvaluation) -> None:
    for _, text in measured.unread:
        console.error(EscnnError(text))
    for text in measured.problems:
        console.warning(f"annotations: {text}")
    if measured.unknown_labels:
        named = ", ".join(f"{label} ({count})" for label, count in list(measured.unknown_labels.items())[:5])
        more = f" and {len(measured.unknown_labels) - 5} more" if len(measured.unknown_labels) > 5 else ""
        console.warning(f"annotations: no class of the model: {named}{more}; --map says which one is meant")
    bare = sum(not recording.truth for recording in measured.recordings)
    if bare:
        console.message(f"{bare} of {len(measured.recordings)} recordings have no row: what is found there is false")
    if measured.other_events:
        console.message(f"not counted: {measured.other_events} events of classes that the table does not name")


def _save(measured: DetectionEvaluation, out: Path, asked: Request) -> None:
    from escnn.report.evaluation.folder import remove_evaluation

    remove_evaluation(files.output_folder(out, force=asked.force))
    measured.save(out, asked.precision)
    if asked.page:
        files.write_text(out / "report.html", measured.to_html(asked.precision, command=tuple(sys.argv[1:])))


def _cut(measured: DetectionEvaluation, folder: Path) -> None:
    """Cut out what was missed and what is false, a folder each."""
    from escnn.detection.output.clips import ClipFolder, remove_clips

    ids = {label: number for number, label in enumerate(measured.model.labels)}
    for name, table in (("missed", measured.missed()), ("false-alarms", measured.false_alarms())):
        files.output_folder(folder / name, force=True)
        remove_clips(folder / name)
        cutter = ClipFolder(folder / name)
        for path, rows in table.groupby("path", sort=False):
            events: list[dict[str, Any]] = []
            for row in rows.to_dict("records"):
                middle = (row["start_seconds"] + row["end_seconds"]) / 2
                events.append({**row, "class_id": ids[row["label"]], "peak_seconds": middle})  # type: ignore[dict-item]
            cutter.cut(Path(str(path)), str(path), events)
