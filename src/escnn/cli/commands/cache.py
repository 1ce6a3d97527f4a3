"""`escnn cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from escnn.cli.options import Quiet, Verbose, console_of


def cache(
    ctx: typer.Context,
    clear: Annotated[bool, typer.Option("--clear", help="Remove it all: it is made again when it is needed.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what is kept because it takes long to make, such as log-mels, and where. Data sets are not part of it."""
    from escnn import cache as kept
    from escnn.cli.tables import draw

    console, folder = console_of(ctx), kept.cache_folder()
    if clear:
        removed = kept.clear()
        console.message(f"{folder}: {removed.files} files removed, {_megabytes(removed.size)}")
        return
    rows = [[one.kind, kept.KINDS[one.kind], str(one.files), _megabytes(one.size)] for one in kept.contents()]
    console.result(draw(["folder", "holds", "files", "size"], rows, terminal=console.is_interactive))
    limit = f"{kept.LARGEST / 1e9:g} GB"
    console.message(f"in {folder}; beyond {limit} in all, what was not used for longest is removed")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
