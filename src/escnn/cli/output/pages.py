"""The pages of `escnn detect`: of one recording, or of all of them and, if asked for, of each."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from escnn import files, names
from escnn.analysis.recording.found import FoundEvents
from escnn.analysis.recording.recording import Found, revisit
from escnn.audio import inputs
from escnn.cli.console import Console
from escnn.detection.clock import ClockSettings
from escnn.detection.detector import Detector, Event, Step
from escnn.detection.frame_scores import Recording
from escnn.detection.output.formats import EVENT, RECORDING
from escnn.errors import AudioError, UsageError
from escnn.inference.classifier import Classifier
from escnn.inference.prediction import Failure
from escnn.report.recording.folder import PAGE, save_recording
from escnn.report.recordings.page import recordings_page
from escnn.report.recordings.summary import RecordingSummary, summarized
from escnn.report.sound.leftovers import remove_recordings
from escnn.report.sound.page import title

INDEX = "index.html"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Which pages are asked for."""

    folder: Path
    one: bool  # of a single recording, which needs no page of all
    each: bool  # every recording has a page of its own
    anew: bool  # pages of an earlier call go


def wanted(
    folder: Path | None,
    sounds: Sequence[str],
    out: Path | None,
    clips: Path | None,
    *,
    each: bool,
    force: bool,
    resume: bool,
) -> Wanted | None:
    """What is asked for, by recordings as they were named; refused, before any work is done, where it cannot be.

    Raises:
        UsageError: pages are asked for without a folder, or of a sound that cannot be read again.
        OutputError: the folder holds something already, or cannot be written.
    """
    if folder is None:
        if each:
            raise UsageError("--pages: there is no folder for them", hint="add --page DIR")
        return None
    if clips is not None and clips.resolve() == folder.resolve():
        raise UsageError(f"--page {folder}: is the folder of --clips", hint="give each a folder of its own")
    if resume and inputs.STDIN in sounds:
        raise UsageError(
            "--page with --resume: what stdin held before cannot be read again", hint="name the recording's file"
        )
    if out is not None and out.absolute() in (folder.absolute(), *(folder / name for name in (PAGE, INDEX))):
        raise UsageError(f"--page {folder}: --out is in its way", hint="write them to different places")
    files.check_output_folder(folder, force=force or resume, option="--page")
    return Wanted(folder, inputs.is_one_sound(sounds), each, force)


class Pages:
    """Writes pages as soon as recordings end, and at the end the page of all."""

    def __init__(
        self,
        console: Console,
        wanted: Wanted,
        classifier: Classifier,
        detector: Detector,
        clock: ClockSettings,
        class_ids: Sequence[int],
    ) -> None:
        """`class_ids` are the classes that are asked for; none are all."""
        self._console, self._wanted, self._clock = console, wanted, clock
        self._classifier, self._settings = classifier, detector.settings
        self._class_ids = tuple(class_ids)
        self._events = self._nothing_yet()
        self._is_whole = True  # whether all scores of the recording at hand were seen
        self._summaries: list[RecordingSummary] = []
        self._failures: list[Failure] = []
        self._taken = {names.same_name(INDEX), *map(names.same_name, _not_ours(wanted.folder))}
        self._page: Path | None = None
        self._gone = False  # whether a recording could not be read again

    def restore(self, told: Iterable[Mapping[str, Any]], listed: Sequence[str | Path]) -> None:
        """Take up what a stopped command had told, in JSON; `listed` are the recordings as they were named."""
        number = 0
        for document in told:
            if document["schema"] == EVENT:
                self._events.add([_event(document)])
                self._is_whole = False
            elif document["schema"] == RECORDING:
                ((source, name),) = inputs.opened([listed[number]], self._console.stdin)
                recording = Recording(source, name, number, seconds=document["duration_seconds"] or 0.0)
                recording.warnings = tuple(document["warnings"])
                if document["status"] == "error":
                    recording.error = _error(document["error"])
                self._is_whole = False
                self._end_of(recording)
                number += 1

    def through(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps as they are; when one that ends a recording has been dealt with, its page is made. Before the first
        one, pages of an earlier call are removed if they are to go.
        """
        if self._wanted.anew and self._wanted.folder.is_dir():
            remove_recordings(self._wanted.folder)
        for step in steps:
            self._events.add(step.events)
            self._events.see(step.scores)
            yield step
            if step.ended:
                self._end_of(step.recording)
        if not self._wanted.one:
            page = recordings_page(
                self._summaries,
                self._failures,
                self._classifier.card,
                self._settings,
                self._classifier.runtime.versions,
                command=sys.argv[1:],
            )
            self._page = self._wanted.folder / INDEX
            files.write_text(self._page, page)

    def end(self) -> None:
        """Say where the page is.

        Raises:
            Exit: with code 3, where a recording was gone when its page was made.
        """
        if self._page is not None:
            self._console.message(f"page: {self._page}")
        if self._gone:
            raise typer.Exit(3)

    def _end_of(self, recording: Recording) -> None:
        events, self._events = self._events, self._nothing_yet()
        is_whole, self._is_whole = self._is_whole, True
        if recording.error is not None:
            self._failures.append(Failure(recording.name, recording.error, self._classifier.card))
            return
        start = self._clock.start_of(recording.name, recording.number, recording.source)
        found = Found(
            recording.name,
            recording.seconds,
            events.kept(),
            dict(events.counts),
            self._settings,
            self._class_ids,
            events.highest if is_whole else None,
            recording.warnings,
        )
        page = None
        if self._wanted.one or self._wanted.each:
            folder = self._wanted.folder if self._wanted.one else self._wanted.folder / self._name_of(recording)
            try:
                if not self._console.is_animated:  # where a bar is drawn, it stays
                    self._console.message(f"{recording.name}: making its page")
                analysis = revisit(recording.source, found, self._classifier, start=start)
                index = "" if self._wanted.one else f"../{INDEX}"
                self._page = save_recording(analysis, folder, command=sys.argv[1:], index=index)
                page = f"{folder.name}/{PAGE}"
            except AudioError as error:
                self._console.error(error)
                self._gone = True
        self._summaries.append(summarized(found, start, page))

    def _name_of(self, recording: Recording) -> str:
        folder = names.folder_name(Path(title(recording.name)).stem, self._taken)
        self._taken.add(names.same_name(folder))
        return folder

    def _nothing_yet(self) -> FoundEvents:
        return FoundEvents(self._classifier.card.frame_seconds)


def _not_ours(folder: Path) -> list[str]:
    """Names in a folder that no page is written through: a link leads elsewhere, a file is somebody's."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return [entry.name for entry in entries if entry.is_symlink() or not entry.is_dir()]


def _event(document: Mapping[str, Any]) -> Event:
    return Event(
        document["start_seconds"],
        document["end_seconds"],
        document["peak_seconds"],
        document["label"],
        document["class_id"],
        document["score"],
    )


def _error(detail: Mapping[str, Any]) -> AudioError:
    return AudioError(detail["message"], code=detail["code"], hint=detail["hint"])
