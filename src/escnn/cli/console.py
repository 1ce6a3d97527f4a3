"""The outside that a command sees: stdin, stdout, stderr, terminal. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import rich.console
from rich.text import Text

from escnn.errors import CONTROL_CHARACTERS, EscnnError, OutputError
from escnn.files import output_error


class Console:
    """What a command reads from and writes to; by default the process's own streams. Nobody else prints."""

    def __init__(
        self, stdin: BinaryIO | None = None, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.stdin: BinaryIO = stdin or getattr(sys.stdin, "buffer", None) or io.BytesIO()
        self.stdout: TextIO | None = stdout or sys.stdout
        self.stderr: TextIO = stderr or sys.stderr or io.StringIO()
        self.quiet = False  # messages and progress are left out; results, warnings and errors still come
        self.verbose = False  # errors come with a traceback

    @property
    def is_animated(self) -> bool:
        """Whether progress is drawn: on a terminal, and not merely because colour was asked for."""
        return not self.quiet and self.stderr.isatty() and self.on_stderr().is_terminal

    @property
    def is_interactive(self) -> bool:
        """Whether stdout is a terminal."""
        return self.stdout is not None and self.stdout.isatty()

    def on_stderr(self) -> rich.console.Console:
        """Rich's console on stderr. Markup would eat [brackets] in file names."""
        file: Any = _Forgiving(self.stderr)
        return rich.console.Console(file=file, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def message(self, text: str) -> None:
        """Something good to know, on stderr."""
        if not self.quiet:
            self._say(printable(text))

    def left_out(self, counted: Mapping[str, int]) -> None:
        """What was passed over in the folders that were named."""
        if said := ", ".join(f"{count} {what}" for what, count in counted.items() if count):
            self.message(f"left out: {said}")

    def warning(self, text: str) -> None:
        """Something that a person should look at, on stderr."""
        line = text.translate(CONTROL_CHARACTERS)  # a name may hold the end of a line, and what looks like another
        self._say(Text.assemble(("warning: ", "yellow bold"), printable(line)))

    def error(self, problem: EscnnError) -> None:
        """What went wrong, and the remedy, on stderr."""
        self._say(Text.assemble(("error: ", "red bold"), printable(problem.message)))
        if problem.hint:
            self._say(Text.assemble(("  help: ", "cyan"), printable(problem.hint)))
        if self.verbose:
            self._say(printable(traceback.format_exc()))

    def result(self, line: str, *, encoding: str | None = None) -> None:
        """One line of results, on stdout, at once; what its encoding lacks is escaped.

        Raises:
            OutputError: stdout is closed, leads to a full disk, or cannot be written for another reason.
        """
        if self.stdout is None:
            raise OutputError("stdout is closed", hint="write into a file with --out")
        try:
            self.stdout.flush()
            self.stdout.buffer.write(f"{line}\n".encode(encoding or self.stdout.encoding, "backslashreplace"))
            self.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has seen enough: no error
        except OSError as error:
            self.silence_stdout()  # what could not be written would be tried once more at exit
            raise output_error(Path("stdout"), error) from error

    def json_document(self, document: Mapping[str, Any]) -> None:
        """One JSON object, ASCII: indented and coloured on a terminal, on one line in a pipe."""
        if self.is_interactive:
            drawn = io.StringIO()
            terminal = rich.console.Console(file=drawn, force_terminal=True, soft_wrap=True)
            terminal.print_json(json.dumps(document), indent=2, ensure_ascii=True)
            self.result(drawn.getvalue().rstrip("\n"))
        else:
            self.result(json.dumps(document))

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """A sign of life while something slow without steps goes on."""
        if not self.is_animated:
            yield
            return
        with self.on_stderr().status(printable(text)):
            yield

    def silence_stdout(self) -> None:
        """Stdout failed or its reader went away (`| head -1`): what is buffered goes nowhere, not wrong at exit."""
        with suppress(OSError, AttributeError):  # a stdout without a descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())  # type: ignore[union-attr]

    def _say(self, text: Text) -> None:
        self.on_stderr().print(text)


class _Forgiving:
    """A stderr that may be full, or nobody's any more, as when a terminal was closed: that ends no work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write `text` if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Send what was written if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def printable(text: str) -> Text:
    """Text that any terminal takes: control characters and bytes that are not UTF-8 are shown as escapes."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return Text("".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in safe))


def keep_stdout_for_results() -> None:
    """Send to stderr what C libraries print on stdout, as libsndfile does about damaged ALAC packets.

    It would stand among the JSON. What Python writes goes where it went.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed by the caller: the next file that is opened would be printed into
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        return
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "wb")
    sys.stdout = io.TextIOWrapper(
        ours, sys.stdout.encoding, sys.stdout.errors, line_buffering=getattr(sys.stdout, "line_buffering", False)
    )
    os.dup2(2, 1)
