"""How a command ends: a line on stderr and an exit code, whatever went wrong; Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from escnn.cli.console import Console
from escnn.errors import EscnnError, Terminated


class ErrorHandlingGroup(TyperGroup):
    """The commands. Every way that one can end is a line on stderr and an exit code."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Understand the command line; a signal that comes as early as this ends like any other."""
        extra.setdefault("obj", Console())
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt as stop:
            raise typer.Exit(interrupted(extra["obj"], stop)) from stop

    def invoke(self, ctx: Any) -> Any:
        """Run a command; errors that a person can mend never show a traceback."""
        console: Console = ctx.obj
        try:
            with warnings.catch_warnings():
                warnings.showwarning = lambda message, *_, **__: console.warning(str(message))
                return super().invoke(ctx)
        except EscnnError as problem:
            console.error(problem)
            code = problem.exit_code
        except KeyboardInterrupt as stop:
            code = interrupted(console, stop)
        except BrokenPipeError:
            console.silence_stdout()
            code = 0
        except Exception as error:
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
                raise  # typer's own: usage errors, and the way out
            console.error(_torch_pair_error(error) or _bug(error))
            code = 1
        raise typer.Exit(code)


def install_sigterm_handler() -> None:
    """Let SIGTERM end a command as Ctrl-C does, with nothing half-written."""
    signal.signal(signal.SIGTERM, _terminate)


def interrupted(console: Console, stop: KeyboardInterrupt) -> int:
    """Say so; gives the exit code."""
    console.warning("interrupted")
    return 143 if isinstance(stop, Terminated) else 130


def _torch_pair_error(error: Exception) -> EscnnError | None:
    """torch and torchaudio that do not go together, said in one line."""
    text = str(error)
    if "compiled with different CUDA versions" not in text and "libc10_cuda" not in text:
        return None
    return EscnnError(
        "torch and torchaudio that are installed do not go together",
        hint="`pip install 'torch>=2.10,<2.15' 'torchaudio>=2.10'` installs a pair that does",
    )


def _bug(error: Exception) -> EscnnError:
    """What nobody foresaw, said in one line."""
    return EscnnError(
        f"{type(error).__name__}: {error}", hint="this is a bug in escnn; run it again with -v to see where it is"
    )


def _terminate(_signal: int, _frame: object) -> None:
    raise Terminated
