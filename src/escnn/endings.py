"""How a command can end: a line on stderr and an exit code, whatever went wrong."""

from __future__ import annotations

import signal
from typing import Any

import typer
from typer.core import TyperGroup

from escnn import console
from escnn.errors import EscnnError, Terminated


class Commands(TyperGroup):
    """Every way a command can end, as a line on stderr and an exit code."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Understand the command line; a signal that comes as early as this ends like any other."""
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt as stop:
            raise typer.Exit(interrupted(stop)) from stop

    def invoke(self, ctx: Any) -> Any:
        """Run a command; errors that a person can mend never show a traceback."""
        try:
            return super().invoke(ctx)
        except EscnnError as problem:
            console.error(problem)
            console.traceback_if_verbose()
            code = problem.exit_code
        except KeyboardInterrupt as stop:
            code = interrupted(stop)
        except BrokenPipeError:
            console.silence_stdout()
            code = 0
        except Exception as error:
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
                raise  # typer's own: usage errors, and the way out
            console.error(_torch_pair_error(error) or _bug(error))
            console.traceback_if_verbose()
            code = 1
        raise typer.Exit(code)


def heed_sigterm() -> None:
    """Let SIGTERM end a command as Ctrl-C does, with nothing half-written."""
    signal.signal(signal.SIGTERM, _terminated)


def interrupted(stop: KeyboardInterrupt) -> int:
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


def _terminated(_signal: int, _frame: object) -> None:
    raise Terminated
