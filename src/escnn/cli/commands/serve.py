"""`escnn serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from escnn.cli.options import ModelPath, Quiet, Threads, Verbose, console_of
from escnn.errors import UsageError


def serve(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback it needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 8_000,
    token: Annotated[
        str | None, typer.Option(envvar="ESCNN_TOKEN", help="What requests must bring, as Authorization: Bearer TOKEN.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Whose pages may ask from a browser, such as https://example.org; again for more."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Server processes.")] = 1,
    max_megabytes: Annotated[float, typer.Option(min=0.001, max=1_024, help="Largest sound file.")] = 32.0,
    max_seconds: Annotated[float, typer.Option(min=1, max=3_600, help="Longest sound.")] = 300.0,
    timeout_seconds: Annotated[
        float, typer.Option(min=1, max=600, help="For a sound to arrive, and for each step of its answer.")
    ] = 60.0,
    queue: Annotated[int, typer.Option(min=1, max=10_000, help="Requests in hand; more are told to try again.")] = 64,
    streams: Annotated[int, typer.Option(min=0, max=1_000, help="Live streams at once, in each process.")] = 10,
    stream_idle_seconds: Annotated[
        float, typer.Option(min=1, max=3_600, help="After which a stream that sends nothing is ended.")
    ] = 30.0,
    requests_per_minute: Annotated[
        int, typer.Option(min=0, help="Of one address, in each worker; 0: as many as it likes.")
    ] = 0,
    model: ModelPath = None,
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Serve an endpoint and a page on this machine: send a sound, get its name and what the network heard."""
    console = console_of(ctx)
    try:
        from escnn.server.run import serve as run
        from escnn.server.settings import ServerSettings
    except ImportError as error:
        raise UsageError(f"`escnn serve` needs {error.name}", hint="pip install 'escnn-audio[serve]'") from error

    settings = ServerSettings(
        host=host,
        port=port,
        model=None if model is None else str(Path(model).absolute()),
        token=token,
        cors_origins=tuple(cors_origin or ()),
        workers=workers,
        threads=threads,
        max_megabytes=max_megabytes,
        max_seconds=max_seconds,
        timeout_seconds=timeout_seconds,
        queue=queue,
        streams=streams,
        stream_idle_seconds=stream_idle_seconds,
        requests_per_minute=requests_per_minute,
    )
    run(settings, lambda address: console.message(f"serving on {address}; Ctrl-C stops it"), verbose=verbose)
