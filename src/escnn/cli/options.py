"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from escnn.cli.console import Console
from escnn.names import expanded

PATH: dict[str, Any] = {"parser": expanded, "metavar": "<path>"}  # every option that names a file or a folder


class DeviceName(StrEnum):
    """Where to compute."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class RuntimeName(StrEnum):
    """What computes the network."""

    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


class Format(StrEnum):
    """How predictions are written."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TABLE = "table"


class EventFormat(StrEnum):
    """How events are written."""

    JSONL = "jsonl"
    CSV = "csv"
    AUDACITY = "audacity"
    RAVEN = "raven"
    PARQUET = "parquet"


def _quiet(ctx: typer.Context, value: bool) -> bool:
    console_of(ctx).quiet = value
    return value


def _verbose(ctx: typer.Context, value: bool) -> bool:
    console_of(ctx).verbose = value
    return value


def console_of(ctx: typer.Context) -> Console:
    """The console that a command was given."""
    console = ctx.find_object(Console)
    assert console is not None, "main() and the tests hand one in"  # noqa: S101 - a bug, not a user's mistake
    return console


Quiet = Annotated[bool, typer.Option("-q", "--quiet", callback=_quiet, help="Show results, warnings and errors only.")]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", callback=_verbose, help="Show where in the code an error came from.")
]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", show_default="$ESCNN_DATA, or ESC-50 as downloaded", help="Folder of the data set.", **PATH),
]
ModelPath = Annotated[
    Path | None,
    typer.Option(
        "--model", envvar="ESCNN_MODEL", show_default="the bundled one", help="Model file or run folder.", **PATH
    ),
]
Device = Annotated[DeviceName, typer.Option("--device", help="Where to compute.")]
TestTimeAugmentation = Annotated[
    int,
    typer.Option("--tta", min=1, max=5, help="Score every window this many times, varied in pitch and speed: slower."),
]
Views = Annotated[int | None, typer.Option("--views", min=1, max=5, hidden=True, help="The name of --tta in 0.1.0.")]
FilesFrom = Annotated[Path | None, typer.Option(help="Read file names from here, one a line; - for stdin.", **PATH)]
Fold = Annotated[int | None, typer.Option("--fold", min=0, help="Test fold, held out and reported; 0: none.")]
Runtime = Annotated[
    RuntimeName,
    typer.Option(
        "--runtime", help="What computes the network; auto is onnx, on the CPU, unless --device asks for a GPU."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, max=1024, help="Threads of the network.", show_default="as many as cores"),
]
Classes = Annotated[
    list[str] | None, typer.Option("--class", metavar="<label>", help="Report this class only; may be repeated.")
]
MinScore = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="Report events of which a frame reaches this score.", show_default="the model's"
    ),
]
Thresholds = Annotated[
    Path | None,
    typer.Option(help="Scores that events of single classes have to reach, in a file: see evaluate.", **PATH),
]
MinSeconds = Annotated[
    float | None, typer.Option(min=0.0, max=60.0, help="Leave out what is shorter.", show_default="the model's")
]
MergeSeconds = Annotated[
    float | None, typer.Option(min=0.0, max=60.0, help="Events less far apart are one.", show_default="the model's")
]
