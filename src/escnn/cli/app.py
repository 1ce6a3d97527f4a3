"""The command `escnn`: its commands in their panels, and its entry point."""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from escnn.cli.commands.cache import cache
from escnn.cli.commands.detect import detect
from escnn.cli.commands.download import download
from escnn.cli.commands.evaluate import evaluate
from escnn.cli.commands.export import export
from escnn.cli.commands.listen import listen
from escnn.cli.commands.predict import predict
from escnn.cli.commands.serve import serve
from escnn.cli.commands.train import train
from escnn.cli.commands.visualize import visualize
from escnn.cli.console import Console, keep_stdout_for_results
from escnn.cli.signals import ErrorHandlingGroup, install_signal_handlers, interrupted
from escnn.version import __version__

app = typer.Typer(
    cls=ErrorHandlingGroup,
    name="escnn",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a convolutional network to name environmental sounds, and see what it hears.",
    epilog="Example: escnn predict clip.wav",
)
app.command(epilog="Example: escnn download")(download)
app.command(epilog="Example: escnn train --epochs 100 --fold 5")(train)
app.command(epilog="Example: escnn evaluate --model runs/fold5-1")(evaluate)
app.command(epilog="Example: escnn predict clip.wav | jq .predictions[0].label")(predict)
app.command(epilog="Example: escnn detect night.wav --out night.csv --format csv")(detect)
app.command(epilog="Example: escnn listen --class dog --out heard.jsonl")(listen)
app.command(epilog="Example: escnn visualize clip.wav --out report/")(visualize)
app.command(epilog="Example: escnn serve --port 8000")(serve)
app.command(rich_help_panel="More", epilog="Example: escnn export --out model.onnx")(export)
app.command(rich_help_panel="More", epilog="Example: escnn cache --clear")(cache)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"escnn {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train a convolutional network to name environmental sounds, and see what it hears."""


def main() -> None:
    """Entry point of the command `escnn`."""
    try:
        install_signal_handlers()
        keep_stdout_for_results()
        app()
    except KeyboardInterrupt as stop:  # earlier than any command
        sys.exit(interrupted(Console(), stop))
    finally:
        gc.freeze()  # nothing is collected on the way out: that takes longer than to name a sound
