"""`escnn evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escnn.cli.console import Console
from escnn.cli.options import (
    PATH,
    DataFolder,
    Device,
    DeviceName,
    ModelPath,
    Quiet,
    TestTimeAugmentation,
    Verbose,
    Views,
    console_of,
)
from escnn.errors import UsageError

if TYPE_CHECKING:
    from escnn.evaluation.evaluation import Evaluation


def evaluate(
    ctx: typer.Context,
    recordings: Annotated[
        list[str] | None,
        typer.Argument(help="With --annotations: files or folders.", show_default="those that the table names"),
    ] = None,
    model: ModelPath = None,
    fold: Annotated[
        int | None, typer.Option(min=1, help="Fold to evaluate on.", show_default="one it was not trained on")
    ] = None,
    cross_validate: Annotated[
        Path | None, typer.Option(help="Evaluate every run of this cross-validation on its own fold.", **PATH)
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Measure events against this table of Raven or Audacity, or CSV of file, start, end, label.", **PATH
        ),
    ] = None,
    label_map: Annotated[
        Path | None, typer.Option("--map", help="CSV of what the table's labels mean: their label,our class.", **PATH)
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="With --annotations: find the threshold a class needs for this precision."),
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option(help="With --annotations: measure with these scores a class, as detect.", **PATH)
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(help="With --annotations: cut out what was missed and what is false, into this folder.", **PATH),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for JSON, CSV and the confusion matrix.", **PATH)
    ] = None,
    page: Annotated[
        bool, typer.Option("--report", help="Write a page to explore as well, into --out or ./evaluation.")
    ] = False,
    embed_audio: Annotated[
        bool, typer.Option("--embed-audio", help="Put every clip into that page: about 80 kB each.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the figures as JSON to stdout.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into --out even if something is there; old figures go.")
    ] = False,
    tta: TestTimeAugmentation = 1,
    views: Views = None,
    data: DataFolder = None,
    device: Device = DeviceName.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure a model: on clips, or on recordings that people have annotated."""
    console = console_of(ctx)
    of_clips: dict[str, object] = {
        "--fold": fold, "--cross-validate": cross_validate, "--embed-audio": embed_audio, "--data": data,
        "--tta": tta != 1 or views,
    }  # fmt: skip
    of_events: dict[str, object] = {
        "a recording": recordings, "--map": label_map, "--precision": precision, "--thresholds": thresholds,
        "--clips": clips,
    }  # fmt: skip
    _refuse(of_events if annotations is None else of_clips, annotated=annotations is not None)
    out = Path("evaluation") if page and out is None else out
    if annotations is not None:
        with console.working("opening the model"):
            from escnn.cli.annotated import Request, evaluate_annotated
        asked = Request(
            annotations,
            recordings or [],
            model,
            label_map,
            thresholds,
            precision,
            clips,
            out,
            page,
            as_json,
            force,
            device,
        )
        evaluate_annotated(console, asked)
        return
    if embed_audio and not page:
        raise UsageError("--embed-audio puts sounds into a page", hint="add --report")
    if cross_validate is not None and fold is not None:
        raise UsageError("--cross-validate measures every run on its own fold", hint="leave out --fold")
    with console.working("starting torch"):
        from escnn.cli.progress import stages
        from escnn.evaluation import protocol
        from escnn.evaluation.evaluation import first_warnings
        from escnn.files import check_output_folder, output_folder
        from escnn.report.evaluation.folder import remove_evaluation, save_page

    if out is not None:
        check_output_folder(out, force=force)
    with stages(console) as advance:
        how: dict[str, Any] = {"tta": views or tta, "device": device, "on_progress": advance}
        if cross_validate is not None:
            measured = protocol.evaluate_runs(cross_validate, data, **how)
        else:
            measured = protocol.evaluate(model, data, fold=fold, **how)
    for text in (*first_warnings(measured.sound_warnings, str(out or "--out")), *measured.caveats):
        console.warning(text)
    try:
        if out is not None:
            remove_evaluation(output_folder(out, force=force))
            measured.save(out)
            if page:
                save_page(measured, out, embed_audio=embed_audio, command=sys.argv[1:])
            console.message(f"written to {out}")
    finally:  # a disk that is full does not take the figures with it
        if as_json:
            console.json_document(measured.to_json())
        else:
            _show(console, measured)


def _refuse(options: Mapping[str, object], *, annotated: bool) -> None:
    """Raise `UsageError` if one of the options is given: they are for the other kind of evaluation."""
    for name, given in options.items():
        if given:
            hint = "leave it out, or leave out --annotations" if annotated else "add --annotations TABLE"
            raise UsageError(f"{name} is for {'clips' if annotated else 'events in recordings'}", hint=hint)


def _show(console: Console, measured: Evaluation) -> None:
    """The figures for people, on stdout."""
    from escnn.cli.tables import cross_validation_lines, evaluation_lines

    document, terminal = measured.to_json(), console.is_interactive
    if len(measured.folds) > 1:
        lines = cross_validation_lines(document, classes=len(measured.labels), terminal=terminal)
    else:
        lines = evaluation_lines(document, terminal=terminal)
    for line in lines:
        console.result(line)
