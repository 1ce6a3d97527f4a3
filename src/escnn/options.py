"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from escnn import console


def _quiet(value: bool) -> bool:
    console.set_quiet(value)
    return value


def _verbose(value: bool) -> bool:
    console.set_verbose(value)
    return value


Quiet = Annotated[bool, typer.Option("-q", "--quiet", callback=_quiet, help="Say nothing but results and trouble.")]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", callback=_verbose, help="Show where in the code an error came from.")
]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", show_default="$ESCNN_DATA, or ESC-50 as downloaded", help="Folder of the data set."),
]
ModelPath = Annotated[
    Path | None,
    typer.Option("--model", envvar="ESCNN_MODEL", show_default="the one in the box", help="Model file or run folder."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Views = Annotated[
    int,
    typer.Option("--views", min=1, max=5, help="Hear every window this many ways (pitch, speed) and average: slower."),
]
Fold = Annotated[int | None, typer.Option("--fold", min=0, max=5, help="Fold to hold out and report; 0: none.")]
