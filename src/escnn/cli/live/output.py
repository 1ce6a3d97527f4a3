"""What `escnn listen` checks before it hears, and where its lines go."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from escnn import files
from escnn.cli.console import Console
from escnn.cli.live.display import Display
from escnn.cli.live.session import Session
from escnn.cli.output import events
from escnn.detection.output.clips import TABLE, is_ours
from escnn.errors import OutputError, UsageError
from escnn.inference.classifier import Classifier
from escnn.live.clips import LiveClips
from escnn.live.pcm import PcmFormat
from escnn.live.sources import LiveSource, MicrophoneSource, PipeSource, microphones

Write = Callable[[dict[str, Any]], None]
_OURS = (b'{"schema": "escnn.live/', b'{"schema": "escnn.recording/')


def list_microphones(console: Console) -> None:
    """The microphones, a line each, on stdout."""
    found = microphones()
    if not found:
        console.warning("there is no microphone; `arecord -l` lists what the system sees")
    for number, name, channels, rate in found:
        console.result(f"{number}\t{name}\t{channels} channel{'s' * (channels != 1)}, {rate} Hz")


def check_source(source: str | None, microphone: str | None, rate: int | None, *, is_raw: bool) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: a file, or options of stdin with a microphone.
    """
    if source not in (None, "-"):
        raise UsageError(f"{source:.80}: not a microphone", hint="for files there is `escnn detect`; - is stdin")
    if source == "-" and microphone is not None:
        raise UsageError("--microphone and - are two sources", hint="give one of them")
    if source is None and (rate is not None or is_raw):
        raise UsageError("--rate, --channels and --encoding describe raw PCM on stdin", hint="add -")
    if source == "-" and rate is None and is_raw:
        raise UsageError("--channels and --encoding describe raw PCM, which needs --rate", hint="such as --rate 44100")


def open_source(
    console: Console, source: str | None, microphone: str | None, pcm: PcmFormat | None, sample_rate: int
) -> LiveSource:
    """Stdin, or a microphone that is asked for `sample_rate`."""
    if source == "-":
        return PipeSource(console.stdin, pcm)
    return MicrophoneSource(microphone, sample_rate)


def check_outputs(out: Path | None, clips: Path | None) -> None:
    """Refuse, before anything is opened or heard, places that cannot be written; nothing is made.

    Raises:
        UsageError: both would be written into one file.
        OutputError: `out` is a folder, `clips` is none, or they cannot be written, or hold something else.
    """
    if out is not None and clips is not None and out.resolve() in (clips.resolve(), clips.resolve() / TABLE):
        raise UsageError(f"--out {out}: is where --clips writes", hint="choose another name for one of them")
    if out is not None:
        files.check_output_file(out, force=True)
    if clips is not None:
        files.check_output_folder(clips, force=True, option="--clips")
        table = clips / TABLE
        if table.exists() and not is_ours(clips):
            raise OutputError(f"{table}: holds something else", hint="choose another folder with --clips")


@contextmanager
def lines(console: Console, out: Path | None) -> Iterator[Write]:
    """Where lines go: added to the file, pipe or device `out`; without one to stdout, unless it is a terminal with a
    display.

    Raises:
        OutputError: `out` holds something else, or another process writes it.
    """
    if out is None:
        shown = console.is_interactive and console.is_animated
        yield (lambda _: None) if shown else (lambda document: console.result(json.dumps(document)))
        return
    with nullcontext() if events.is_stream(out) else files.claimed(out):
        if out.is_file():
            _check_ours(out)
        with files.appended_lines(out) as append:
            yield lambda document: append(json.dumps(document))


def _check_ours(out: Path) -> None:
    """Refuse a file of something else; cut a last line that was torn."""
    with files.writing(out):
        content = out.open("rb")
    with content, files.writing(out):
        first = content.read(64)
        if first and not any(first[: len(mark)] == mark[: len(first)] for mark in _OURS):
            raise OutputError(f"{out}: holds something else", hint="lines are added to what `escnn listen` wrote")
        size = content.seek(0, os.SEEK_END)
        content.seek(max(0, size - (1 << 16)))
        tail = content.read()
        if tail and not tail.endswith(b"\n"):
            os.truncate(out, size - len(tail) + tail.rfind(b"\n") + 1)


@contextmanager
def clip_folder(folder: Path | None) -> Iterator[LiveClips | None]:
    """The folder for clips, made if it is not there; what lies in it stays. None for none.

    Raises:
        OutputError: it is no folder, cannot be written, or another process writes into it.
    """
    with events.alone_in(folder):
        yield None if folder is None else LiveClips(files.output_folder(folder, force=True))


def display(console: Console, stack: ExitStack, name: str, classifier: Classifier) -> Display | None:
    """What is drawn where stdout and stderr are a terminal, until the stack is left."""
    if not (console.is_interactive and console.is_animated):
        return None
    shown = Display(name, classifier.card.labels, classifier.card.audio, classifier.runtime.log_mels)
    stack.enter_context(shown.shown(console))
    return shown


def sum_up(console: Console, session: Session) -> None:
    """What was heard, and what was not, on stderr."""
    for text in session.notes:
        console.warning(text)
    console.message(f"{session.events:,} event{'' if session.events == 1 else 's'}")
    if session.lost_seconds:
        console.warning(f"{session.lost_seconds:.1f} s of sound were lost: this machine was too slow, or too busy")
    runner = session.runner
    if runner is None:
        return
    if runner.dropped:
        console.warning(
            f"--exec: left out for {runner.dropped} of {runner.dropped + runner.started} events, too many ran"
        )
    if runner.ended:
        console.warning(f"--exec: {runner.ended} took too long and were ended")
    if runner.failed:
        console.warning(f"--exec: {runner.failed} of {runner.started} failed")
