"""Run a case's command in this process, and say what about it must not be."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from typer.testing import CliRunner

from fuzz.commands import MINE, Case, draw
from fuzz.damage import mutate
from fuzz.stock import Stock

CODES = {0, 2, 3, 4, 5, 6, 7}
LEFTOVER = re.compile(r"\..*\.(part|lock)|\.lock")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # all but the end of a line
Tree = dict[str, str]


def run_case(number: int, rng: Random, stock: Stock, root: Path) -> tuple[str, str]:
    """Draw a case, run it in the new folder `root`: how it ended, and what is wrong with that ("" where nothing is)."""
    work, outside = root / "work", root / "outside"
    for folder in (work, outside, root / "home"):
        folder.mkdir(parents=True)
    for folder in (outside, work, root / "home"):
        (folder / MINE).write_text("mine")
    (outside / "mine.wav").write_bytes(stock.sounds["wav-pcm16"].whole[0])
    os.environ["HOME"] = str(root / "home")
    os.chdir(work)
    try:
        case = draw(number, rng, stock, work, outside)
        with _reader(case.out) as received:
            return _judged(case, root, received)
    finally:
        os.chdir(root.parent)


class _reader:  # noqa: N801 - a context manager, used as a function
    """Holds a pipe's other end, so that writing into it does not wait; gives what came out."""

    def __init__(self, path: Path | None) -> None:
        self.pipe = (
            os.open(path, os.O_RDONLY | os.O_NONBLOCK) if path is not None and _is(path, stat.S_ISFIFO) else None
        )

    def __enter__(self) -> _reader:
        return self

    def __call__(self) -> bytes | None:
        if self.pipe is None:
            return None
        with suppress(BlockingIOError):
            return b"".join(iter(lambda: os.read(self.pipe or 0, 1 << 16), b""))
        return b""

    def __exit__(self, *_: object) -> None:
        if self.pipe is not None:
            os.close(self.pipe)


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """What a path is, whatever it is called: `Path.is_dir` and its like do not take names that are too long."""
    try:
        return kind(path.stat().st_mode)
    except OSError:
        return False


def invoke(arguments: list[str], stdin: bytes) -> Any:
    """A command line, run in this process."""
    from escnn.cli.app import app

    sys.argv = ["escnn", *arguments]
    return CliRunner().invoke(app, arguments, input=stdin)


def _judged(case: Case, root: Path, received: _reader) -> tuple[str, str]:
    whole = _run_before(case) if case.before else None
    before = snapshot(root)
    result = invoke([case.command, *case.arguments], case.stdin)
    after = snapshot(root)
    said = f"{case.command} {result.exit_code}"
    wrong = [*_wrong_ending(case, result), *_wrong_changes(case, root, before, after)]
    if not wrong:
        try:
            _check_written(case.out, before)
            if case.command == "predict":
                _check_results(case, result, received())
            if whole is not None and case.sounds is not None and result.exit_code in (0, 3) and case.out is not None:
                assert case.out.read_bytes() == whole, "a resumed file is not what it would have been"
        except (AssertionError, ValueError, csv.Error) as error:
            wrong.append(f"{type(error).__name__}: {error}")
    if not wrong:
        return said, ""
    told = [*wrong, f"arguments: {[case.command, *case.arguments]!r}", f"stderr: {result.stderr!r:.2000}"]
    return f"unexpected {said}", "\n".join(told)


def _run_before(case: Case) -> bytes | None:
    """Run the command that begins a file, then cut the file off anywhere, as a kill does; or damage it: then None."""
    assert case.before and case.out and case.damage
    invoke(case.before, case.stdin)
    if not _is(case.out, stat.S_ISREG):
        return None
    content = case.out.read_bytes()
    if case.damage.random() < 0.7:
        case.out.write_bytes(content[: case.damage.randint(0, len(content))])
        return content
    case.out.write_bytes(mutate(content, case.damage))
    return None


def snapshot(root: Path) -> Tree:
    """Every path below `root`, and what it is: the hash of its content, or where it leads."""
    found = {}
    for place, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(place, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found[str(path)] = f"link to {path.readlink()}"
            elif stat.S_ISREG(mode):
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[str(path)] = str(stat.S_IFMT(mode))
    return found


def _wrong_ending(case: Case, result: Any) -> list[str]:
    wrong = []
    if result.exit_code not in CODES:
        wrong.append(f"exit code {result.exit_code}, {result.exception!r:.300}")
    if "bug in escnn" in result.stderr or "Traceback" in result.stderr:
        wrong.append("a bug")
    for where, text in (("stderr", result.stderr), ("stdout", result.stdout)):
        as_they_are = where == "stdout" and (case.form == "csv" or case.command == "visualize")  # names
        if not as_they_are and (found := CONTROL.search(text)):
            wrong.append(f"{found[0]!r} on {where}")
    lines = result.stderr.splitlines()
    told_before = "--resume" in case.arguments and "could not be read" in result.stderr
    if result.exit_code not in (0, 2) and not (told_before or any(line.startswith("error: ") for line in lines)):
        wrong.append("an exit code and no error: line")
    if len(result.stderr) > 3_000 + 2_000 * len(case.sounds or "x" * 50):
        wrong.append(f"{len(result.stderr)} characters on stderr")
    return wrong


def _wrong_changes(case: Case, root: Path, before: Tree, after: Tree) -> list[str]:
    """What changed outside of `--out`, what was lost there, and what was left half-written."""
    allowed = set() if case.out is None else {os.path.realpath(case.out), os.path.abspath(case.out)}  # noqa: PTH100
    on_the_way = {str(parent) for path in allowed for parent in Path(path).parents}
    forced = bool({"--force", "--resume"} & set(case.arguments)) or case.command == "train"
    wrong = []
    for path in sorted({*before, *after}):
        was, now, name = before.get(path), after.get(path), Path(path).name
        told = f"{path.removeprefix(str(root))!r}, {was} to {now}"
        if was == now:
            continue
        if was is None and LEFTOVER.fullmatch(name):
            wrong.append(f"left behind: {told}")
        if not any(path == out or path.startswith(f"{out}{os.sep}") for out in allowed):
            if not (was is None and path in on_the_way and now == str(stat.S_IFDIR)):
                wrong.append(f"changed outside of --out: {told}")
        elif was is not None:
            swept = case.command == "train" and LEFTOVER.fullmatch(name)
            replaced = forced and now is not None and (name != MINE or path in allowed)
            if not (replaced or swept):
                wrong.append(f"lost: {told}")
    return wrong


def _check_written(out: Path | None, before: Tree) -> None:
    """Whatever a command wrote into a folder can be read by what such files are for."""
    if out is None or not _is(out, stat.S_ISDIR):
        return
    from PIL import Image

    for path in out.absolute().rglob("*"):
        if not path.is_file() or str(path) in before:
            continue
        if path.suffix == ".json":
            json.loads(path.read_text("utf-8"), parse_constant=_no_number)
        elif path.suffix == ".csv":
            rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True))
            assert len({*map(len, rows)}) == 1, f"{path.name}: rows of unequal length"
        elif path.suffix == ".png":
            Image.open(path).verify()
        elif path.suffix == ".html":
            page = path.read_text("utf-8")
            assert "Content-Security-Policy" in page[:2_000], f"{path.name}: no policy"
            assert page.rstrip().endswith("</html>"), f"{path.name}: cut off"
            assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", page), f"{path.name}: control characters"


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _check_results(case: Case, result: Any, received: bytes | None) -> None:
    """Every sound has one result, in order: all of them, or those before the error that ended the command."""
    complete = result.exit_code in (0, 3)
    if received is not None:
        written = received
    elif case.out is None:
        written = result.stdout_bytes
    elif complete and _is(case.out, stat.S_ISREG):
        written = case.out.read_bytes()
    else:
        return
    failed = 0
    if case.form == "json":
        documents = [json.loads(line, parse_constant=_no_number) for line in written.split(b"\n") if line]
        names = [document["path"] for document in documents]
        failed = sum(document["status"] == "error" for document in documents)
    elif case.form == "csv":
        rows = list(csv.reader(io.StringIO(written.decode("utf-8"), newline=""), strict=True))
        assert {*map(len, rows)} <= {8}, "a row that is not of 8 cells"
        names = [row[0] for row in rows[1:] if row[3] in ("", "1")]
        failed = sum(row[1] == "error" for row in rows[1:])
    else:
        names = []
        if complete and case.sounds is not None:
            lines = written.decode("utf-8").splitlines()
            assert len(lines) == len(case.sounds) + 1, f"a table of {len(lines)} lines for {len(case.sounds)} sounds"
    if case.sounds is None or case.form == "table":
        return
    wanted = case.sounds
    if case.form == "csv":
        wanted = [name.encode("utf-8", "backslashreplace").decode() for name in wanted]
    assert names == wanted[: None if complete else len(names)], f"results {names!r:.600} for {wanted!r:.600}"
    if complete:
        assert (result.exit_code == 3) == (failed > 0), f"{failed} failures and exit code {result.exit_code}"
