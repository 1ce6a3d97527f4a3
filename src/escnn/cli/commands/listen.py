"""`escnn listen`."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from escnn.cli.options import (
    PATH,
    Classes,
    MergeSeconds,
    MinScore,
    MinSeconds,
    ModelPath,
    Quiet,
    RuntimeName,
    Thresholds,
    Verbose,
    console_of,
)


class Encoding(StrEnum):
    """How raw samples are written."""

    U8 = "u8"
    S16LE = "s16le"
    S24LE = "s24le"
    S32LE = "s32le"
    F32LE = "f32le"
    F64LE = "f64le"


class RunOn(StrEnum):
    """Which lines start a command."""

    FINAL = "final"
    PROVISIONAL = "provisional"
    ALL = "all"


def listen(
    ctx: typer.Context,
    source: Annotated[
        str | None, typer.Argument(help="- for WAV or raw PCM on stdin.", show_default="a microphone")
    ] = None,
    microphone: Annotated[
        str | None, typer.Option(help="A part of its name, or its number.", show_default="the default one")
    ] = None,
    list_microphones: Annotated[
        bool, typer.Option("--list-microphones", help="Name those that are there, and exit.")
    ] = False,
    rate: Annotated[
        int | None, typer.Option(min=1_000, max=384_000, help="Hz, of raw PCM on stdin.", show_default="WAV")
    ] = None,
    channels: Annotated[int, typer.Option(min=1, max=32, help="Of raw PCM on stdin.")] = 1,
    encoding: Annotated[Encoding, typer.Option(help="Of raw PCM on stdin.")] = Encoding.S16LE,
    classes: Classes = None,
    min_score: MinScore = None,
    thresholds: Thresholds = None,
    min_seconds: MinSeconds = None,
    merge_seconds: MergeSeconds = None,
    provisional: Annotated[
        bool,
        typer.Option("--provisional/--final-only", help="Tell of events as they begin, or once they are over only."),
    ] = True,
    provisional_score: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="That events reach which are told as they begin: a lower one tells sooner, and is wrong more often.",
            show_default="so high that most come true",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Add lines to this file instead of stdout.", **PATH)
    ] = None,
    clips: Annotated[Path | None, typer.Option(help="Keep what was heard of final events here.", **PATH)] = None,
    command: Annotated[
        str | None,
        typer.Option(
            "--exec", metavar="<command>", help="Run this for every event, which it gets as JSON on its stdin."
        ),
    ] = None,
    run_on: Annotated[RunOn, typer.Option("--exec-on", help="Which lines --exec is run for.")] = RunOn.FINAL,
    model: ModelPath = None,
    runtime: Annotated[RuntimeName, typer.Option(help="What computes the network; auto is onnx.")] = RuntimeName.AUTO,
    threads: Annotated[int, typer.Option(min=1, max=1_024, help="Threads of the network.")] = 1,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Tell what sounds while it sounds: of a microphone, or of what a recorder writes to stdin."""
    from escnn.cli.live import output
    from escnn.cli.live.session import Session, stopping
    from escnn.cli.output.results import output_of
    from escnn.detection.thresholds import read_thresholds
    from escnn.errors import OutputError
    from escnn.live.commands import LONGEST_SECONDS, CommandRunner, split_command
    from escnn.live.pcm import PcmFormat

    console = console_of(ctx)
    if list_microphones:
        output.list_microphones(console)
        return
    output.check_source(source, microphone, rate, is_raw=channels != 1 or encoding is not Encoding.S16LE)
    out = output_of(out)
    output.check_outputs(out, clips)
    given = read_thresholds(thresholds)
    pcm = None if rate is None else PcmFormat(rate, channels, encoding.value)
    words = None if command is None else split_command(command)
    with ExitStack() as stack:
        with console.working("opening the model"):
            from escnn.detection.detector import event_settings
            from escnn.inference.classifier import Classifier

            classifier = Classifier.load(model, runtime=runtime, threads=threads)
        asked = {"onset_score": min_score, "min_seconds": min_seconds, "merge_seconds": merge_seconds}
        settings = event_settings(classifier.card, {name: value for name, value in asked.items() if value is not None})
        class_ids, by_class = classifier.class_ids(classes or []), given.by_class(classifier, console.warning)
        write = stack.enter_context(output.lines(console, out))
        session = Session(
            console, classifier, settings, class_ids, by_class, write,
            provisional=provisional, provisional_score=provisional_score,
            clips=stack.enter_context(output.clip_folder(clips)),
            run_on=("final", "provisional", "withdrawn") if run_on is RunOn.ALL else (run_on.value,),
        )  # fmt: skip
        opened = output.open_source(console, source, microphone, pcm, classifier.card.audio.sample_rate)
        stack.callback(opened.close)
        if words is not None:
            session.runner = CommandRunner(words)
            stack.callback(session.runner.close)
        session.display = output.display(console, stack, opened.name, classifier)
        if session.display is None:
            console.message(f"hearing {opened.name}; Ctrl-C ends it")
        with stopping() as stop:
            session.run(opened, stop)
        if session.runner is not None and stop.reason is None:
            session.runner.close(LONGEST_SECONDS)  # the last ones have as long as the others had
    output.sum_up(console, session)
    if stop.reason is not None:
        raise stop.reason
    if session.lost_clips:
        raise typer.Exit(OutputError.exit_code)
