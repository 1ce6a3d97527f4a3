"""The only place that prints. Results go to stdout; messages, progress, warnings and errors to stderr."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from escnn.errors import EscnnError
from escnn.files import appended_lines, output_error, output_file

if TYPE_CHECKING:
    from escnn.prediction import Prediction
    from escnn.training import EpochMetrics

LINE_EVERY_SECONDS = 10.0  # how often progress prints a line where there is no terminal to draw a bar on
LEFT_FROM_EPOCHS = 10  # the time left follows the mean of so many: those that look at the held-out fold take longer

_quiet = False
_verbose = False


def set_quiet(quiet: bool) -> None:
    """Silence messages and progress; results, warnings and errors still come."""
    global _quiet
    _quiet = quiet


def set_verbose(verbose: bool) -> None:
    """Show a traceback with every error."""
    global _verbose
    _verbose = verbose


def message(text: str) -> None:
    """Something good to know, on stderr."""
    if not _quiet:
        _stderr().print(_printable(text))


def warning(text: str) -> None:
    """Something that a person should look at, on stderr."""
    _stderr().print(Text.assemble(("warning: ", "yellow bold"), _printable(text)))


def error(problem: EscnnError) -> None:
    """What went wrong, and the remedy, on stderr."""
    _stderr().print(Text.assemble(("error: ", "red bold"), _printable(problem.message)))
    if problem.hint:
        _stderr().print(Text.assemble(("  help: ", "cyan"), _printable(problem.hint)))


def traceback_if_verbose() -> None:
    """Where the error that is being handled came from, on stderr, if that was asked for."""
    if _verbose:
        _stderr().print(_printable(traceback.format_exc()))


def result(line: str) -> None:
    """One line of results, on stdout, at once.

    Raises:
        OutputError: stdout leads to a full disk, or cannot be written for another reason.
    """
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader has seen enough: no error
    except OSError as error:
        silence_stdout()  # what could not be written would be tried once more at exit
        raise output_error(Path("stdout"), error) from error


def heard(prediction: Prediction) -> None:
    """What a sound was named, and the warnings about it."""
    for text in prediction.warnings:
        warning(f"{prediction.name}: {text}")
    label, _, score = prediction.top(1)[0]
    message(f"{prediction.name}: {label.replace('_', ' ')} ({100 * score:.1f} %)")


def json_line(document: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own, ASCII."""
    result(json.dumps(document))


def json_document(document: Mapping[str, Any]) -> None:
    """One JSON object: indented and coloured on a terminal, on one line in a pipe."""
    if sys.stdout.isatty():
        Console().print_json(json.dumps(document), indent=2)
    else:
        json_line(document)


@contextmanager
def working(text: str) -> Iterator[None]:
    """A sign of life while something slow without steps goes on."""
    if _quiet or not _stderr().is_terminal:
        yield
        return
    with _stderr().status(_printable(text)):
        yield


@contextmanager
def progress(description: str, unit: str = "clips") -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, otherwise a line now and then. Gives ``advance(done, total)``."""
    console = _stderr()
    if _quiet:
        yield lambda done, total: None
    elif console.is_terminal:
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
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(description, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield _line_now_and_then(description, unit)


@contextmanager
def stages(names: Mapping[str, tuple[str, str]]) -> Iterator[Callable[[str, int, int | None], None]]:
    """Progress through stages, a bar each; `names`: stage to (description, unit).

    Gives ``advance(stage, done, total)``.
    """
    with ExitStack() as stack:
        shown: dict[str, Callable[[int, int | None], None]] = {}

        def advance(stage: str, done: int, total: int | None) -> None:
            if stage not in shown:
                stack.close()  # the bar of the stage before
                shown[stage] = stack.enter_context(progress(*names[stage]))
            shown[stage](done, total)

        yield advance


@contextmanager
def results(
    output_format: str, out: Path | None, top_k: int, *, append: bool = False, force: bool = False
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Show predictions as json, jsonl, csv or table, on stdout or whole in the file `out`, which `force` replaces; or
    `append` them to it, each as soon as it is known. Gives ``show(document)``.
    """
    with ExitStack() as stack:
        if out is None:
            write: Callable[[str], None] = result
        elif append:
            write = stack.enter_context(appended_lines(out))
        else:
            file = stack.enter_context(output_file(out, force=force))
            write = lambda line: print(line, file=file)  # noqa: E731
        if output_format == "table":
            rows: list[list[str]] = []
            yield lambda document: rows.append(_table_row(document, min(top_k, 3)))
            header = ["sound", "seconds", *(name for _ in range(min(top_k, 3)) for name in ("label", "score"))]
            write(_drawn(header, rows, sys.stdout.isatty() and out is None))
        elif output_format == "csv":
            write(_csv_line(("path", "status", "duration_seconds", "rank", "label", "class_id", "score", "error")))
            yield lambda document: write("\n".join(_csv_lines(document)))
        elif output_format == "json" and out is None:
            yield json_document
        else:
            yield lambda document: write(json.dumps(document))


def evaluation(document: Mapping[str, Any]) -> None:
    """An evaluation for people, on stdout."""
    result(
        f"fold {document['fold']}: {100 * document['accuracy']:.2f} % of {document['clips']} clips named right, "
        f"{100 * document['top5_accuracy']:.2f} % within the first five, macro F1 {document['macro_f1']:.3f}"
    )
    classes = [
        [row["label"], *(f"{row[key]:.2f}" for key in ("precision", "recall", "f1")), str(row["clips"])]
        for row in sorted(document["per_class"], key=lambda row: (row["f1"], row["label"]))
        if row["clips"]
    ]
    result(_drawn(["class, worst first", "precision", "recall", "f1", "clips"], classes, sys.stdout.isatty()))
    confused = [[row["true"], row["predicted"], str(row["clips"])] for row in document["most_confused"]]
    if confused:
        result(_drawn(["most confused", "taken for", "clips"], confused, sys.stdout.isatty()))


def cross_validation(document: Mapping[str, Any]) -> None:
    """The figures of a cross-validation for people, on stdout."""
    rows = [
        [
            f"fold {row['fold']}",
            str(row["clips"]),
            f"{100 * row['accuracy']:.2f} %",
            f"{100 * row['top5_accuracy']:.2f} %",
        ]
        for row in document["folds"]
    ]
    result(_drawn(["held out", "clips", "accuracy", "top-5"], rows, sys.stdout.isatty()))
    result(
        f"mean accuracy {100 * document['mean_accuracy']:.2f} %, standard deviation over folds "
        f"{100 * document['std_accuracy']:.2f} %; mean top-5 {100 * document['mean_top5_accuracy']:.2f} %"
    )


@contextmanager
def training(epochs: int) -> Iterator[tuple[Callable[[int, int, int, float], None], Callable[[EpochMetrics], None]]]:
    """The display of a training. Gives ``on_batch(epoch, done, steps, loss)`` and ``on_epoch(metrics)``."""
    console = _stderr()
    started = time.perf_counter()
    seen: list[EpochMetrics] = []

    def describe_next(metrics: EpochMetrics) -> str:
        seen.append(metrics)
        parts = [
            f"epoch {metrics.epoch:>{len(str(epochs))}}/{epochs}",
            f"loss {metrics.loss:.3f}",
            f"train {100 * metrics.train_accuracy:.1f} %",
        ]
        if metrics.validation_accuracy is not None:
            parts.append(f"validation {100 * metrics.validation_accuracy:.2f} %")
        if metrics.held_out_accuracy is not None:
            parts.append(f"held out {100 * metrics.held_out_accuracy:.2f} %")
        recent = [row.seconds for row in seen[-LEFT_FROM_EPOCHS:]]
        left = sum(recent) / len(recent) * (epochs - metrics.epoch)
        return "  ".join([*parts, f"{metrics.clips_per_second:.0f} clips/s", f"{_duration(left)} left"])

    if _quiet:
        yield (lambda *_: None), (lambda _: None)
    elif console.is_terminal:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=None)

            def on_batch(epoch: int, done: int, steps: int, loss: float) -> None:
                text = f"epoch {epoch}/{epochs}  loss {loss:.3f}"
                bar.update(task, description=text, completed=(epoch - 1) * steps + done, total=epochs * steps)

            yield on_batch, lambda metrics: bar.console.print(describe_next(metrics))
    else:
        last = started

        def on_epoch(metrics: EpochMetrics) -> None:
            nonlocal last
            text = describe_next(metrics)
            if metrics.epoch == epochs or len(seen) == 1 or time.perf_counter() - last > LINE_EVERY_SECONDS:
                last = time.perf_counter()
                message(text)

        yield (lambda *_: None), on_epoch


def _table_row(document: Mapping[str, Any], columns: int) -> list[str]:
    if document["status"] == "error":
        return [document["path"], "", document["error"]["message"], *[""] * (2 * columns - 1)]
    cells = [cell for item in document["predictions"][:columns] for cell in (item["label"], f"{item['score']:.3f}")]
    return [document["path"], f"{document['duration_seconds']:.2f}", *cells, *[""] * (2 * columns - len(cells))]


def _csv_lines(document: Mapping[str, Any]) -> Iterator[str]:
    path, status, seconds = document["path"], document["status"], document["duration_seconds"]
    if not document["predictions"]:
        message = document["error"]["message"] if status == "error" else ""
        yield _csv_line((path, status, seconds, "", "", "", "", message))
    for rank, item in enumerate(document["predictions"], start=1):
        yield _csv_line((path, status, seconds, rank, item["label"], item["class_id"], item["score"], ""))


def _csv_line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], terminal: bool) -> str:
    """A table for people as text; columns of numbers stand at the right."""
    drawn = Table(box=None, pad_edge=False, header_style="bold" if terminal else "")
    for index, column in enumerate(columns):
        numeric = all(row[index][:1] in "0123456789-." for row in rows)
        drawn.add_column(Text(column), justify="right" if numeric else "left", no_wrap=not terminal)
    for row in rows:
        drawn.add_row(*(_printable(cell) for cell in row))
    width = None if terminal else 10_000  # a pipe has no width to fold to
    text = io.StringIO()
    Console(file=text, force_terminal=terminal, width=width, legacy_windows=False).print(drawn)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def keep_stdout_for_results() -> None:
    """Send to stderr what C libraries print on stdout, as libsndfile does about damaged ALAC packets.

    It would stand among the JSON. What Python writes goes where it went.
    """
    if sys.stdout is None or sys.stderr is None:  # closed by the caller: nothing to keep apart
        return
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "wb")
    sys.stdout = io.TextIOWrapper(
        ours, sys.stdout.encoding, sys.stdout.errors, line_buffering=getattr(sys.stdout, "line_buffering", False)
    )
    os.dup2(2, 1)


def silence_stdout() -> None:
    """Stdout failed or its reader went away (`| head -1`): what is still buffered goes nowhere, not wrong at exit."""
    with suppress(OSError):  # a stdout without a descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stderr() -> Console:
    # Made anew each time: tests and callers may have replaced sys.stderr. Markup would eat [brackets] in file names.
    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _printable(text: str) -> Text:
    """Text that any terminal takes: control characters and bytes that are not UTF-8 are shown as escapes."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return Text("".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in safe))


def _line_now_and_then(description: str, unit: str) -> Callable[[int, int | None], None]:
    last = time.perf_counter()

    def advance(done: int, total: int | None) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last > LINE_EVERY_SECONDS:
            last = now
            amount = f"{done:,} of {total:,}" if total else f"{done:,}"
            message(f"{description}: {amount} {unit}")

    return advance


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
