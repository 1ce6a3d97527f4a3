"""How far a command is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from escnn.cli.console import Console, printable

if TYPE_CHECKING:
    from escnn.inference.classifier import Progress
    from escnn.runs.run import EpochMetrics, Run

LINE_EVERY_SECONDS = 10.0  # how often progress prints a line where there is no terminal to draw a bar on
LEFT_FROM_EPOCHS = 10  # the time left follows the mean of so many: those that look at the test fold take longer

_UNITS = {"training": "steps", "training frames": "steps"}  # what a stage counts where that is not what the others do

Advance = Callable[[str, int, int | None], None]  # (stage, done, total)


@contextmanager
def stages(console: Console, unit: str = "clips") -> Iterator[Advance]:
    """Progress through stages, a bar each. Gives ``advance(stage, done, total)``; `unit` is what is counted."""
    with ExitStack() as stack:
        shown: dict[str, Callable[[int, int | None], None]] = {}

        def advance(stage: str, done: int, total: int | None) -> None:
            if stage not in shown:
                stack.close()  # the bar of the stage before
                shown.clear()
                shown[stage] = stack.enter_context(_progress(console, stage, _UNITS.get(stage, unit)))
            shown[stage](done, total)

        yield advance


@contextmanager
def _progress(console: Console, description: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    if not console.is_animated:
        yield _line_now_and_then(console, description, unit)
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    amount: list[ProgressColumn] = (
        [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn()]
    )
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *amount, TimeRemainingColumn())
    with Progress(*columns, console=console.on_stderr(), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def sounds(console: Console, total: int, before: int = 0) -> Iterator[Callable[[Progress], None]]:
    """How many of `total` sounds are done, how much of the one at hand, the time left; `before` were done earlier."""
    began = last = time.perf_counter()

    def describe(progress: Progress, word: str) -> str:
        done = before + progress.sounds
        share = min(1.0, progress.seconds / progress.of_seconds) if progress.of_seconds else 0.0
        read = clock(progress.seconds)
        if progress.of_seconds:
            read = f"{clock(share * progress.of_seconds)} of {clock(progress.of_seconds)}"
        parts = [f"{done:,} of {total:,} sounds done"] if total > 1 else []
        parts += [f"{progress.name}: {read}{word}"]
        if known := progress.sounds + share:
            left = (time.perf_counter() - began) / known * (total - done - share)
            parts += [f"{clock(left)} left"]
        return ", ".join(parts)

    if console.is_animated:
        with console.on_stderr().status("") as status:
            yield lambda progress: status.update(printable(describe(progress, "")))
        return

    def advance(progress: Progress) -> None:
        nonlocal last
        if time.perf_counter() - last > LINE_EVERY_SECONDS:
            last = time.perf_counter()
            console.message(describe(progress, " read"))

    yield advance


def _line_now_and_then(console: Console, description: str, unit: str) -> Callable[[int, int | None], None]:
    last = time.perf_counter()

    def advance(done: int, total: int | None) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last > LINE_EVERY_SECONDS:
            last = now
            amount = f"{done:,} of {total:,}" if total else f"{done:,}"
            console.message(f"{description}: {amount} {unit}")

    return advance


class EpochLines:
    """A line an epoch: where no terminal is, only of the first, the last, and one now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seconds: list[float] = []
        self._last = time.perf_counter()

    def __call__(self, run: Run, metrics: EpochMetrics) -> None:
        """An epoch of a run has ended."""
        if metrics.epoch == 1:
            self._seconds.clear()
        self._seconds.append(metrics.seconds)
        now, epochs = time.perf_counter(), run.config.epochs
        edge = metrics.epoch == epochs or len(self._seconds) == 1
        if self._console.is_animated or edge or now - self._last > LINE_EVERY_SECONDS:
            self._last = now
            self._console.message(self._describe(metrics, epochs))

    def _describe(self, metrics: EpochMetrics, epochs: int) -> str:
        parts = [
            f"epoch {metrics.epoch:>{len(str(epochs))}}/{epochs}",
            f"loss {metrics.loss:.3f}",
            f"train {100 * metrics.train_accuracy:.1f} %",
        ]
        if metrics.validation_accuracy is not None:
            parts.append(f"validation {100 * metrics.validation_accuracy:.2f} %")
        if metrics.held_out_accuracy is not None:
            parts.append(f"test {100 * metrics.held_out_accuracy:.2f} %")
        recent = self._seconds[-LEFT_FROM_EPOCHS:]
        left = sum(recent) / len(recent) * (epochs - metrics.epoch)
        return "  ".join([*parts, f"{metrics.clips_per_second:.0f} clips/s", f"{clock(left)} left"])


def clock(seconds: float) -> str:
    """A time as clocks show it: 0:05, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
