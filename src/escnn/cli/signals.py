"""How a command ends: a line on stderr and an exit code, whatever went wrong; Ctrl-C, SIGTERM and SIGHUP."""

from __future__ import annotations

import errno
import os
import signal
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from escnn.cli.console import Console
from escnn.errors import EscnnError, OutputError, Terminated, UsageError, reason


class ErrorHandlingGroup(TyperGroup):
    """The commands. Every way that one can end is a line on stderr and an exit code."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Understand the command line; a signal that comes as early as this ends like any other."""
        extra.setdefault("obj", Console())
        _mend_environment()
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
                _check_working_folder()
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
            translated = foreign_error(error)
            console.error(translated)
            code = translated.exit_code
        raise typer.Exit(code)


def install_signal_handlers() -> None:
    """Let SIGTERM, and SIGHUP when a terminal is closed, end a command as Ctrl-C does, with nothing half-written."""
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` ignores it
        signal.signal(signal.SIGHUP, _terminate)


def interrupted(console: Console, stop: KeyboardInterrupt) -> int:
    """Say so; gives the exit code."""
    console.warning("interrupted")
    return stop.exit_code if isinstance(stop, Terminated) else 130


def foreign_error(error: Exception) -> EscnnError:
    """What no other door has translated, said in one line. Only what the machine is not to blame for is a bug."""
    text = f"{type(error).__name__}: {error}"
    if "compiled with different CUDA versions" in text or "libc10_cuda" in text:
        return EscnnError(
            "torch and torchaudio that are installed do not go together",
            hint="`pip install 'torch>=2.10,<2.15' 'torchaudio>=2.10'` installs a pair that does",
        )
    if isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY):
        return EscnnError(
            f"not enough memory ({reason(error)})", hint="close other programs; train with a smaller --batch-size"
        )
    if isinstance(error, ModuleNotFoundError) and error.name in _LEFT_OUT:
        return UsageError(
            f"this command needs {error.name}, which a light install leaves out",
            hint="`pip install .` in a clone of escnn, without --no-deps, installs the rest",
        )
    if isinstance(error, ImportError) and not (error.name or "").startswith("escnn"):
        return EscnnError(
            f"a library cannot be loaded ({reason(error)})", hint="install escnn again, into an environment of its own"
        )
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        kind = OutputError if errno.errorcode.get(error.errno or 0) in _FULL else EscnnError
        return kind(f"{where}{reason(error)}", hint="the system refuses it; -v shows where in the code that was")
    return EscnnError(text, hint="this is a bug in escnn; run it again with -v to see where it is")


_LEFT_OUT = ("torch", "torchaudio", "pandas", "matplotlib", "PIL", "jinja2", "requests")  # of requirements-light.txt
_FULL = ("ENOSPC", "EDQUOT", "EROFS")
_OUT_OF_MEMORY = ("OutOfMemoryError", "can't allocate memory", "bad allocation", "bad_alloc")  # torch, ONNX Runtime


def _mend_environment() -> None:
    """Set right what would hide what is said."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):  # a terminal 0 wide shows nothing
        if not (os.environ.get(name, "").isdecimal() and int(os.environ[name])):
            os.environ.pop(name, None)


def _check_working_folder() -> None:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:  # libraries end the process over it, and in words of their own
        raise UsageError("the working folder does not exist any more", hint="cd to another one first") from error


def _terminate(number: int, _frame: object) -> None:
    raise Terminated(number)
