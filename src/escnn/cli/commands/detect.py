"""`escnn detect`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from escnn.cli.options import (
    PATH,
    Classes,
    Device,
    DeviceName,
    EventFormat,
    FilesFrom,
    MergeSeconds,
    MinScore,
    MinSeconds,
    ModelPath,
    Quiet,
    Runtime,
    RuntimeName,
    Threads,
    Thresholds,
    Verbose,
    console_of,
)


def detect(
    ctx: typer.Context,
    recordings: Annotated[
        list[str] | None, typer.Argument(help="Files, folders, or - for a recording on stdin.")
    ] = None,
    files_from: FilesFrom = None,
    classes: Classes = None,
    min_score: MinScore = None,
    thresholds: Thresholds = None,
    min_seconds: MinSeconds = None,
    merge_seconds: MergeSeconds = None,
    output_format: Annotated[EventFormat, typer.Option("--format", help="How to write them.")] = EventFormat.JSONL,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write here instead of stdout.", **PATH)] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Folder for a page to look at and listen to: of one recording, or of all.", **PATH),
    ] = None,
    each: Annotated[bool, typer.Option("--pages", help="With --page, a page of every recording, too.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace --out, and what is in --clips and --page, if they are there.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --out where the same command was stopped.")
    ] = False,
    clips: Annotated[
        Path | None, typer.Option(help="Cut the events out, as FLAC, into this folder, with a table of them.", **PATH)
    ] = None,
    spectrograms: Annotated[
        bool, typer.Option("--spectrograms", help="Draw the spectrogram of every clip beside it.")
    ] = False,
    start_time: Annotated[
        str | None,
        typer.Option(
            help="When the recording begins, such as 2024-07-02T06:44:04.", show_default="from its name or header"
        ),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Of the times in names, such as Europe/Rome.", show_default="local, unsaid")
    ] = None,
    time_pattern: Annotated[
        str | None,
        typer.Option(help="How names begin, such as %Y%m%d_%H%M%S.", show_default="as common recorders write them"),
    ] = None,
    model: ModelPath = None,
    runtime: Runtime = RuntimeName.AUTO,
    threads: Threads = None,
    device: Device = DeviceName.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find what sounds when in recordings of any length."""
    from escnn.audio import inputs
    from escnn.cli import progress
    from escnn.cli.output import events
    from escnn.cli.output.clips import check_clips, open_clips
    from escnn.cli.output.results import output_of, refuse_to_replace_a_sound
    from escnn.detection.clock import ClockSettings
    from escnn.detection.thresholds import read_thresholds

    console = console_of(ctx)
    names = inputs.collect_inputs(recordings or [], None if files_from is None else str(files_from), console.stdin)
    out = output_of(out)
    given = read_thresholds(thresholds)
    clock = ClockSettings.of(start_time, time_pattern, time_zone)
    left_out: Counter[str] = Counter()
    listed = inputs.list_sounds(names, left_out)
    clock.check(len(listed))
    events.check_output(out, output_format, listed, force=force, resume=resume)
    refuse_to_replace_a_sound(out, listed)
    going_on = resume and events.is_begun(out, output_format)
    check_clips(clips, names, listed, pictures=spectrograms, force=force, resume=going_on)
    wanted = None
    if page is not None or each:
        from escnn.cli.output import pages

        wanted = pages.wanted(page, names, out, clips, each=each, force=force, resume=resume)
    with console.working("opening the model"):
        from escnn.detection.detector import Detector, event_settings
        from escnn.inference.classifier import Classifier

        classifier = Classifier.load(model, device=device, runtime=runtime, threads=threads)
    asked = {"onset_score": min_score, "min_seconds": min_seconds, "merge_seconds": merge_seconds}
    settings = event_settings(classifier.card, {name: value for name, value in asked.items() if value is not None})
    class_ids = classifier.class_ids(classes or [])
    by_class = given.by_class(classifier, console.warning)
    fingerprint = events.fingerprint(classifier, settings, class_ids, (start_time, time_pattern, time_zone), by_class)
    detector = Detector(classifier, settings, class_ids, thresholds=by_class)
    as_found = events.is_stream(out) and output_format is EventFormat.CSV
    times = as_found and any(clock.start_of(str(name), number, name) for number, name in enumerate(listed))
    with (
        events.alone_in(clips),
        events.alone_in(page),
        events.sink(
            console,
            classifier.card,
            output_format=output_format,
            out=out,
            settings=fingerprint,
            resume=None if inputs.STDIN in listed else resume,
            times=times,
            clips=lambda lines: open_clips(clips, lines, classifier, pictures=spectrograms),
        ) as sink,
        progress.sounds(console, len(listed), len(sink.before.names)) as advance,
    ):
        if sink.before.names or sink.before.place:
            console.message(f"{out}: going on after {events.counted(len(sink.before.names), 'recording')}")
        sounds = events.remaining(inputs.opened(listed, console.stdin), sink.before, out or Path("-"))
        steps = detector.run(sounds, sink.before.place, advance)
        looks = None
        if wanted is not None:
            looks = pages.Pages(console, wanted, classifier, detector, clock, class_ids)
            looks.restore(sink.told_before(), listed)
            steps = looks.through(steps)
        for step in steps:
            sink.take(step, clock)
    if looks is not None:
        looks.end()
    sink.end(left_out)
