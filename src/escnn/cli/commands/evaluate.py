"""`escnn evaluate`."""

from __future__ import annotations

import sys
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
    model: ModelPath = None,
    fold: Annotated[
        int | None, typer.Option(min=1, help="Fold to evaluate on.", show_default="one it was not trained on")
    ] = None,
    cross_validate: Annotated[
        Path | None, typer.Option(help="Evaluate every run of this cross-validation on its own fold.", **PATH)
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
    """Measure a model: accuracy, top-5, precision and recall per class, confusions."""
    console = console_of(ctx)
    if embed_audio and not page:
        raise UsageError("--embed-audio puts sounds into a page", hint="add --report")
    if cross_validate is not None and fold is not None:
        raise UsageError("--cross-validate measures every run on its own fold", hint="leave out --fold")
    out = Path("evaluation") if page and out is None else out
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
