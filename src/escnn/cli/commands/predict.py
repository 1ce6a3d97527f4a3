"""`escnn predict`."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins

from escnn.cli.options import (
    PATH,
    Device,
    DeviceName,
    FilesFrom,
    Format,
    ModelPath,
    Quiet,
    Runtime,
    RuntimeName,
    TestTimeAugmentation,
    Threads,
    Verbose,
    Views,
    console_of,
)
from escnn.errors import UsageError


def predict(
    ctx: typer.Context,
    audio: Annotated[list[str] | None, typer.Argument(help="Files, folders, or - for a sound on stdin.")] = None,
    files_from: FilesFrom = None,
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 5,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Name no class below this score.")] = 0.0,
    output_format: Annotated[
        Format | None,
        typer.Option("--format", help="How to write them.", show_default="json for one sound, else jsonl"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write here instead of stdout; a link is followed.", **PATH)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file --out if it is there.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Write to --out line by line; stopped, the same command goes on.")
    ] = False,
    windows: Annotated[
        bool, typer.Option("--windows", help="Give the scores of every window, with its start and end, as well.")
    ] = False,
    hop_seconds: Annotated[
        float | None,
        typer.Option(help="Begin a window every so many seconds.", show_default="the length of a window: end to end"),
    ] = None,
    tta: TestTimeAugmentation = 1,
    views: Views = None,
    model: ModelPath = None,
    runtime: Runtime = RuntimeName.AUTO,
    threads: Threads = None,
    device: Device = DeviceName.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Name the sound in each clip, as JSON, CSV or a table."""
    from escnn import files
    from escnn.audio import inputs
    from escnn.cli import progress
    from escnn.cli.output.results import SoundWarnings, output_of, refuse_to_replace_a_sound, results
    from escnn.inference import resume as resuming

    console = console_of(ctx)
    names = inputs.collect_inputs(audio or [], None if files_from is None else str(files_from), console.stdin)
    chosen = _output_format(output_format, one=inputs.is_one_sound(names) and not resume)
    if resume and (out is None or force or chosen is not Format.JSONL):
        raise UsageError(
            "--resume goes on with a file of JSON Lines", hint="add --out FILE; no --force, no other --format"
        )
    out = output_of(out)
    if out is not None:
        files.check_output_file(out, force=force or resume)
    with console.working("opening the model"):
        from escnn.inference.classifier import Classifier
        from escnn.inference.formats import ScoringSettings
        from escnn.inference.prediction import Failure

        classifier = Classifier.load(
            model, device=device, tta=views or tta, runtime=runtime, threads=threads, hop_seconds=hop_seconds
        )
    settings = ScoringSettings(
        weights_sha256=classifier.card.weights_sha256,
        tta=classifier.tta,
        top_k=top_k,
        min_score=min_score,
        windows=windows,
        runtime="torch" if "torch" in classifier.runtime.versions else "onnx",
        hop_seconds=classifier.hop_seconds,
    )
    more = {"settings": to_builtins(settings)} if resume else {}
    left_out: Counter[str] = Counter()
    tell = SoundWarnings(console, shown=windows)
    listed = inputs.list_sounds(names, left_out)
    refuse_to_replace_a_sound(out, listed)
    with (
        resuming.going_on(out, classifier.card, settings)
        if resume and out
        else nullcontext(resuming.ResumeState()) as before,
        results(console, chosen, out, top_k=top_k, append=resume, force=force, windows=windows) as show,
        progress.sounds(console, len(listed), len(before.names)) as advance,
    ):
        if before.names:
            console.message(f"{out}: going on after {len(before.names)} sounds")
        failures, done = before.failures, len(before.names)
        sounds = resuming.remaining(inputs.opened(listed, console.stdin), before.names, out or Path("-"))
        for result in classifier.predict_files(sounds, advance):
            done += 1
            if isinstance(result, Failure):
                failures += 1
                console.error(result.error)
            else:
                tell(result.name, result.warnings, len(result.window_starts))
            show(result.to_json(top_k=top_k, min_score=min_score, windows=windows) | more)
    tell.end()
    console.left_out(left_out)
    if before.failures:
        console.warning(f"{out}: {before.failures} of the sounds named before could not be read")
    if failures:
        if done > 1:
            console.message(f"{failures} of {done} sounds could not be read")
        raise typer.Exit(3)


def _output_format(asked: Format | None, *, one: bool) -> Format:
    if asked is None:
        return Format.JSON if one else Format.JSONL
    return Format.JSONL if asked is Format.JSON and not one else asked  # one object after another
