"""A round of `make chaos`: one download in a folder of its own, disturbed, and judged by what it leaves."""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from small_archive import TOP, a_metadata, a_zip, members

from escnn.cli import app

CLIPS = tuple(f"{fold}-{number}-A-{fold * 9}.wav" for fold in range(1, 6) for number in range(100, 116))
CONTENT = members(CLIPS, a_metadata(CLIPS))
ARCHIVE = a_zip(CONTENT)
NEW = {
    name.removeprefix(f"{TOP}/"): data
    for name, data in CONTENT.items()
    if "/.git" not in name and "/tests/" not in name
}
OLD = {**NEW, "LICENSE": b"the old one"}
LONGEST_SECONDS = 60  # of a child; beyond that it hangs

Prepare = Callable[[], object]


class UnexpectedError(Exception):
    """An outcome that must not be."""


def fork(arguments: list[str], log: Path, longest_seconds: int, prepare: Prepare) -> int:
    """Fork a process that runs a command, after `prepare`, and writes into `log`; it ends with 99 after a traceback.
    It starts at once: all is imported.
    """
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        signal.alarm(longest_seconds)
        output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["escnn", *arguments]
        prepare()
        app.main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


@dataclass
class Round:
    """One round: a folder of its own, and random numbers that depend on the seed, the kind and the number alone."""

    luck: random.Random
    root: Path
    said: list[str] = field(default_factory=list)  # stderr of every child, for the report of what should not be

    @property
    def folder(self) -> Path:
        return self.root / "data" / "ESC-50"

    @property
    def archive(self) -> Path:
        return self.root / "archive.zip"

    def start(self, *arguments: str | Path, prepare: Prepare = lambda: None) -> int:
        """Begin ``escnn download`` in a fork, after `prepare`."""
        log = self.root.parent / f"stderr-{len(self.said)}"
        self.said.append("")
        return fork(["download", "--data", str(self.folder), *map(str, arguments)], log, LONGEST_SECONDS, prepare)

    def end(self, child: int) -> int:
        """Wait for a child: its exit code, or minus the signal that ended it."""
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        logs = [self.root.parent / f"stderr-{number}" for number in range(len(self.said))]
        self.said = [log.read_text(errors="replace") if log.exists() else "" for log in logs]
        if code == -signal.SIGALRM:
            raise UnexpectedError(f"still runs after {LONGEST_SECONDS} s")
        if code == 99 or any("Traceback" in text or "bug in escnn" in text for text in self.said):
            raise UnexpectedError("a traceback")
        return code

    def run(self, *arguments: str | Path, prepare: Prepare = lambda: None) -> int:
        return self.end(self.start(*arguments, prepare=prepare))

    def put_old(self) -> None:
        for name, data in OLD.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(data)

    def state(self) -> str:
        """What is at the folder's name: "nothing", "old" or "new", byte for byte; anything else must not be."""
        if not self.folder.exists():
            kept = self.folder.with_name(f".{self.folder.name}.download") / "replaced"
            return "old, set aside" if kept.exists() and files_below(kept) == OLD else "nothing"
        there = files_below(self.folder)
        if there not in (OLD, NEW):
            wrong = sorted(name for name in {*there, *NEW} if there.get(name) != NEW.get(name))
            raise UnexpectedError(f"half a data set: {len(there)} files, wrong or missing {wrong[:3]}")
        return "new" if there == NEW else "old"

    def assert_nothing_beside(self) -> None:
        if strangers := sorted(path.name for path in self.folder.parent.iterdir() if path != self.folder):
            raise UnexpectedError(f"left beside the data set: {strangers}")


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}


def outcome(this: Round, before: str, code: int, *, right: dict[str, set[int]], again: tuple[str | Path, ...]) -> str:
    """Judge how a disturbed run ended, run it `again` undisturbed, and say both in a few words.

    `right` has the exit codes that go with a complete data set ("new") and with what was there before ("before").
    """
    after = this.state()
    put_off = before == "old" and after == "old, set aside" and code == -signal.SIGKILL
    if after not in (before, "new") and not put_off:
        raise UnexpectedError(f"{before} became {after} with exit code {code}")
    kind = "new" if after == "new" else "before"
    if code not in right[kind]:
        raise UnexpectedError(f"exit code {code}, the data set is {after}")
    second = this.run(*again)
    if second != 0 or this.state() not in ("new", "old" if before == "old" else "new"):
        raise UnexpectedError(f"after {after} (exit code {code}), run again: {this.state()}, exit code {second}")
    this.assert_nothing_beside()
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{'complete' if after == 'new' else 'as before' if after == before else after}, {how}"


def maybe_old(this: Round) -> str:
    """In half of the rounds an older data set is there, which the download is to replace."""
    if this.luck.random() < 0.5:
        return "nothing"
    this.put_old()
    return "old"


def assert_empty(folder: Path) -> None:
    if folder.exists() and (left := [path.name for path in folder.iterdir()]):
        raise UnexpectedError(f"left behind: {left}")
