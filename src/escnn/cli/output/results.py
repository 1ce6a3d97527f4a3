"""Where predictions go, each as soon as it is known: JSON, JSON Lines, CSV or a table; to stdout or into a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from escnn.cli.console import Console, printable
from escnn.cli.options import Format
from escnn.cli.tables import prediction_table
from escnn.errors import UsageError
from escnn.files import appended_lines, output_file
from escnn.inference import formats

STDOUT_NAMES = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def output_of(out: Path | None) -> Path | None:
    """The file that ``--out`` names; None for stdout, by whatever name: descriptor 1 itself leads to stderr, away from
    what C libraries print there.
    """
    return None if str(out) in STDOUT_NAMES else out


def refuse_to_replace_a_sound(out: Path | None, listed: Iterable[str | Path]) -> None:
    """Raise `UsageError` if the file to write is one of those to read, by whatever name."""
    if out is None:
        return
    is_there = out.exists()
    for sound in listed:
        is_sound = out.absolute() == Path(sound).absolute()
        with suppress(OSError, ValueError):
            is_sound = is_sound or (is_there and out.samefile(sound))
        if is_sound:
            raise UsageError(f"--out {out}: is one of the sounds", hint="write into another file")


@contextmanager
def results(
    console: Console,
    output_format: Format,
    out: Path | None,
    *,
    top_k: int,
    append: bool = False,
    force: bool = False,
    windows: bool = False,
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Show predictions on stdout or whole in the file `out`, which `force` replaces; or `append` them to it, each as
    soon as it is known. Gives ``show(document)``.
    """
    with ExitStack() as stack:
        if out is None:
            write: Callable[[str], None] = console.result
        elif append:
            write = stack.enter_context(appended_lines(out))
        else:
            file = stack.enter_context(output_file(out, force=force))
            write = lambda line: print(line, file=file)  # noqa: E731
        terminal = out is None and console.is_interactive
        if output_format is Format.TABLE:
            documents: list[Mapping[str, Any]] = []
            yield documents.append
            write(prediction_table(documents, top_k, terminal=terminal))
        elif output_format is Format.CSV:
            if out is None:  # always UTF-8, as files are; but names steer no terminal
                write = lambda line: console.result(printable(line).plain if terminal else line, encoding="utf-8")  # noqa: E731
            write(formats.csv_header(windows=windows))
            yield lambda document: write("\n".join(formats.csv_lines(document, windows=windows)))
        elif output_format is Format.JSON and out is None:
            yield console.json_document
        else:
            yield lambda document: write(json.dumps(document))


class SoundWarnings:
    """The warnings about sounds; that of missing treble for the first alone: a night of them would hide the others.

    The first sound that is longer than a window gets a word on what its scores are, unless the windows are `shown`.
    """

    def __init__(self, console: Console, *, shown: bool = False) -> None:
        self._console = console
        self._without_treble = 0
        self._told_of_windows = shown

    def __call__(self, name: str, warnings: Iterable[str], windows: int = 1) -> None:
        """Print those about a sound, whose scores are means over so many `windows`."""
        from escnn.audio.windows import NOTHING_ABOVE

        for text in warnings:
            if not (text.startswith(NOTHING_ABOVE) and self._without_treble):
                self._console.warning(f"{name}: {text}")
            self._without_treble += text.startswith(NOTHING_ABOVE)
        if windows > 1 and not self._told_of_windows:
            self._told_of_windows = True
            self._console.message(
                f"{name}: its scores are means over {windows} windows; `escnn detect` finds what sounds when"
            )

    def end(self) -> None:
        """Say how many sounds lack treble, where there are several."""
        if self._without_treble > 1:
            self._console.warning(
                f"{self._without_treble} sounds lack treble that the model hears: their results say how much"
            )
