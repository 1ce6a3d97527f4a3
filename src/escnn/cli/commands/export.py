"""`escnn export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from escnn.cli.options import PATH, ModelPath, Quiet, Verbose, console_of
from escnn.names import quoted


def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="The ONNX file.", **PATH)] = Path("model.onnx"),
    feature_maps: Annotated[
        bool, typer.Option("--feature-maps", help="Let the graph give embedding and feature maps as well.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the files that are there.")] = False,
    model: ModelPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Export a model as ONNX, with a page of Python that needs no escnn, and a demo sound to check it by."""
    from escnn.inference.export import export as write_export

    console = console_of(ctx)
    written = write_export(model, out, feature_maps=feature_maps, force=force)
    console.result(str(written.model))
    console.message(f"try it: python {' '.join(map(quoted, (written.script, written.model, written.sound)))}")
    console.message(f"it should print what is in {written.output}")
