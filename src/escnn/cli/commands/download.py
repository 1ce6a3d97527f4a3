"""`escnn download`."""

from __future__ import annotations

from typing import Annotated

import typer

from escnn.cli.options import DataFolder, Quiet, Verbose, console_of
from escnn.names import expanded, quoted


def download(
    ctx: typer.Context,
    data: DataFolder = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Path or URL of the archive.",
            show_default="the official one",
            parser=_archive,
            metavar="<path or url>",
        ),
    ] = None,
    allow_missing: Annotated[bool, typer.Option(help="Accept an archive that lacks clips.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only verify what is there.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch again and replace the ESC-50 that is there.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fetch ESC-50 (0.6 GB), verify it and put it where the other commands look for it."""
    from escnn.cache import default_data_folder
    from escnn.cli.progress import stages
    from escnn.data import download as downloading
    from escnn.data import esc50

    console, folder = console_of(ctx), data or default_data_folder()
    if check:
        found = esc50.check(folder)
        console.result(f"{folder}: {found.describe()}")
        if not (found.complete or allow_missing):
            raise typer.Exit(5)
        return
    with stages(console, "bytes") as advance:
        found = downloading.download(
            folder,
            source=source,
            allow_missing=allow_missing,
            force=force,
            on_progress=lambda progress: advance(f"{progress.stage}ing", progress.done, progress.total),
            on_message=console.message,
        )
    console.result(f"{folder}: {found.describe()}")
    console.message("next: escnn train" + (f" --data {quoted(folder)}" if data else ""))


def _archive(text: str) -> str:
    return text if "://" in text else str(expanded(text))
