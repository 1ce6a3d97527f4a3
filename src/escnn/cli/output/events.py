"""Where events go as they are found: lines on stdout, or a journal in a file, of which a table is made at the end."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from msgspec import structs

from escnn import files
from escnn.audio.decoding import Source
from escnn.audio.inputs import STDIN
from escnn.cli.console import Console
from escnn.cli.options import EventFormat
from escnn.detection.clock import ClockSettings, clock_doubt, clock_time
from escnn.detection.detector import Step
from escnn.detection.frame_scores import Recording
from escnn.detection.output import tables
from escnn.detection.output.clips import ClipFolder, events_in
from escnn.detection.output.formats import DetectionSettings, event_document, recording_document
from escnn.detection.output.journal import Before, Journal, check_idle, holds_detection, journal, kept
from escnn.errors import OutputError, UsageError
from escnn.inference import resume as resuming
from escnn.inference.classifier import Classifier
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings


def is_stream(out: Path | None) -> bool:
    """Whether lines go out and none comes back: stdout, or a pipe or a device, which nothing takes the place of."""
    return out is None or (out.exists() and not out.is_file() and not out.is_dir())


def check_output(
    out: Path | None, output_format: EventFormat, recordings: Sequence[str | Path], *, force: bool, resume: bool
) -> None:
    """Refuse, before any work is done, what cannot be or would lose what a stopped command had found."""
    if is_stream(out) and output_format not in (EventFormat.JSONL, EventFormat.CSV):
        raise UsageError(f"--format {output_format}: a table is written into a file", hint="add --out FILE")
    if resume and (is_stream(out) or force):
        raise UsageError("--resume goes on with a file", hint="add --out FILE; no --force")
    if resume and STDIN in recordings:
        raise UsageError("--resume: what stdin held before is not known", hint="name the recording's file")
    tables.check_table(output_format.value, len(recordings))
    if out is not None and not is_stream(out):
        _check_journal(out, output_format, force=force, resume=resume)
    if out is not None:
        files.check_output_file(out, force=force or resume)


def _check_journal(out: Path, output_format: EventFormat, *, force: bool, resume: bool) -> None:
    """Refuse what another command is writing, or was when it was stopped, unless it is to be gone on with."""
    with files.writing(out), suppress(FileNotFoundError):
        out.stat()  # refused: a link that leads to itself
    begun = out if output_format is EventFormat.JSONL else _journal_of(out)
    check_idle(begun, out)
    if force:
        return
    if output_format is EventFormat.JSONL:
        if not resume and holds_detection(out):
            raise OutputError(
                f"{out}: holds a detection already",
                hint="if it was stopped, go on with --resume; begin anew with --force, or choose another name",
            )
    else:
        if resume and out.is_file() and not begun.exists():
            raise OutputError(
                f"{out}: is there, and no detection that was stopped would go on with it",
                hint="it may be whole; --force, without --resume, begins anew",
            )
        if begun.exists() and not resume:
            raise OutputError(
                f"{out}: a detection was begun and stopped, {begun.name} holds what it found",
                hint="go on with --resume, or begin anew with --force",
            )


def is_begun(out: Path | None, output_format: EventFormat) -> bool:
    """Whether there is a journal that the same command, stopped, would go on with."""
    return out is not None and (out if output_format is EventFormat.JSONL else _journal_of(out)).is_file()


def alone_in(folder: Path | None) -> AbstractContextManager[object]:
    """Keep other processes from writing into the same folder while the block runs.

    Raises:
        OutputError: another one does.
    """
    return nullcontext() if folder is None else files.claimed(folder.resolve())


def fingerprint(
    classifier: Classifier,
    settings: EventSettings,
    class_ids: Sequence[int],
    clock: tuple[str | None, str | None, str | None],
    thresholds: Mapping[int, float],
) -> DetectionSettings:
    """What decides the events beside the sounds."""
    start_time, time_pattern, time_zone = clock
    return DetectionSettings(
        weights_sha256=classifier.card.weights_sha256,
        runtime="torch" if "torch" in classifier.runtime.versions else "onnx",
        **structs.asdict(settings),
        classes=sorted(classifier.card.labels[number] for number in class_ids),
        start_time=start_time,
        time_pattern=time_pattern,
        time_zone=time_zone,
        thresholds={classifier.card.labels[number]: score for number, score in sorted(thresholds.items())},
    )


def remaining(sounds: Iterable[tuple[Source, str]], before: Before, path: Path) -> Iterator[Recording]:
    """Those recordings that were not ended before; see `inference.resume.remaining`."""
    coming = resuming.remaining(sounds, before.names, path)
    for number, (source, name) in enumerate(coming, start=len(before.names)):
        yield Recording(source, name, number)


class Sink:
    """Takes what is found, and counts."""

    def __init__(
        self,
        console: Console,
        card: ModelCard,
        settings: DetectionSettings,
        write: Callable[[dict[str, Any]], None],
        book: Journal | None = None,
        clips: ClipFolder | None = None,
        here: Sequence[dict[str, Any]] = (),
    ) -> None:
        """`here` are the lines of the recording at hand that were written before."""
        self.before = Before() if book is None else book.before
        self._clips, self._here = clips, list(here)
        self._console, self._card, self._settings, self._write, self._book = console, card, settings, write, book
        self._events = 0 if self.before.place is None else self.before.place.events  # of the recording at hand
        self._all, self._failures = 0, self.before.failures
        self._done = len(self.before.names)
        self._begun: tuple[Recording, datetime | None] | None = None  # the recording at hand, and its clock time

    def told_before(self) -> list[dict[str, Any]]:
        """The lines that a stopped command had written."""
        return [] if self._book is None else self._book.lines()

    def take(self, step: Step, clock: ClockSettings) -> None:
        """Write what became known."""
        recording = step.recording
        if self._begun is None or self._begun[0] is not recording:
            self._begun = recording, clock.start_of(recording.name, recording.number, recording.source)
        start = self._begun[1]
        for event in step.events:
            times = clock_time(start, event.start), clock_time(start, event.end)
            line = event_document(recording.name, event, *times)
            self._write(line)
            if self._clips is not None:
                self._here.append(line)
        self._events += len(step.events)
        if step.ended:
            if doubt := clock_doubt(start):
                recording.warnings += (doubt,)
            if self._clips is not None:
                self._clips.cut(recording.source, recording.name, self._here)
                self._here = []
            self._end_of(recording)
            began = clock_time(start, 0.0)
            self._write(recording_document(recording, self._events, self._card, self._settings, began))
            self._all, self._events = self._all + self._events, 0
        if self._book is not None:
            self._book.note(step.place, self._events)

    def _end_of(self, recording: Recording) -> None:
        self._done += 1
        if recording.error is not None:
            self._failures += 1
            self._console.error(recording.error)
        for text in recording.warnings:
            self._console.warning(f"{recording.name}: {text}")

    def end(self, left_out: Mapping[str, int]) -> None:
        """Say what there is to say at the end.

        Raises:
            Exit: with code 3, where something could not be read.
        """
        self._console.left_out(left_out)
        if self.before.failures:
            self._console.warning(f"{self.before.failures} of the recordings named before could not be read")
        done = self._done - len(self.before.names)
        self._console.message(f"{counted(self._all, 'event')} in {counted(done, 'recording')}")
        if self._failures:
            if self._done > 1:
                self._console.message(f"{self._failures} of {self._done} recordings could not be read")
            raise typer.Exit(3)


def counted(number: int, what: str) -> str:
    """Such as "1 event", "1,600 events"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@contextmanager
def sink(
    console: Console,
    card: ModelCard,
    *,
    output_format: EventFormat,
    out: Path | None,
    settings: DetectionSettings,
    resume: bool | None,
    times: bool,
    clips: Callable[[Sequence[dict[str, Any]]], ClipFolder | None] = lambda _: None,
) -> Iterator[Sink]:
    """Lines on stdout, with columns of clock times if there are `times`; or in the file `out`, which goes on with what
    it holds if it is to `resume`, which is None where nothing can. `clips` opens the folder of clips, given the lines
    that there are.
    """
    if out is None or is_stream(out):
        with ExitStack() as stack:
            # CSV is always UTF-8, as files are
            encoding = None if output_format is EventFormat.JSONL else "utf-8"
            line: Callable[[str], None] = functools.partial(console.result, encoding=encoding)
            if out is not None:
                line = stack.enter_context(files.appended_lines(out))
            yield Sink(console, card, settings, _as_found(line, output_format, times=times), None, clips([]))
        return
    as_table = output_format is not EventFormat.JSONL
    path = _journal_of(out) if as_table else out
    with journal(path, settings, resume=bool(resume)) as book:
        if as_table:
            files.remove_parts(out.resolve())
        lines = tables.read_lines(path) if resume and path.exists() else []
        folder = clips(lines)
        with kept(path, resumable=resume is not None):
            yield Sink(console, card, settings, book.write, book, folder, events_in(lines)[1])
    if as_table:
        with kept(path, resumable=resume is not None):
            tables.write_table(output_format.value, tables.read_lines(path), out, card.audio)
        with suppress(OSError):
            path.unlink()


def _journal_of(out: Path) -> Path:
    """The hidden journal of a table."""
    return files.beside(out.resolve(), "journal")


def _as_found(
    line: Callable[[str], None], output_format: EventFormat, *, times: bool
) -> Callable[[dict[str, Any]], None]:
    """What writes a document by handing on each `line`."""
    if output_format is EventFormat.JSONL:
        return lambda document: line(json.dumps(document))
    line(next(tables.csv_lines([], times=times)))

    def write(document: dict[str, Any]) -> None:
        for row in list(tables.csv_lines([document], times=times))[1:]:
            line(row)

    return write
