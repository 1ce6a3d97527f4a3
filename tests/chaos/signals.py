"""A download that is sent a signal before one of its operations on files, any of them."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from chaos.rounds import ARCHIVE, Round, UnexpectedError, maybe_old, outcome
from chaos.servers import served


def killed_before_an_operation(this: Round) -> str:
    return ended_before_an_operation(this, signal.SIGKILL, -signal.SIGKILL)


def interrupted_before_an_operation(this: Round) -> str:
    return ended_before_an_operation(this, signal.SIGINT, 130)


def terminated_before_an_operation(this: Round) -> str:
    return ended_before_an_operation(this, signal.SIGTERM, 143)


def ended_before_an_operation(this: Round, number: signal.Signals, code_for_it: int) -> str:
    """A signal before one of the operations on files, any of them, whether fetching, extracting or putting in place."""
    before = maybe_old(this)
    force = ("--force",) if before == "old" else ()
    this.archive.write_bytes(ARCHIVE)
    with served([]) as url:
        source = ("--from", this.luck.choice((url, this.archive)))
        operations = rehearsal(this, *source, *force)
        # Nearly all of them write a clip. Half of the rounds aim at the few before and after.
        few = [place for place, kind in enumerate(operations) if kind == ord("-")]
        place = this.luck.choice((this.luck.choice(few), this.luck.randrange(len(operations))))
        code = this.run(*source, *force, prepare=lambda: signal_before(place, number))
        right = {"new": {0, code_for_it}, "before": {code_for_it}}
        again = this.luck.choice((force, ()))
        return outcome(this, before, code, right=right, again=(*source, *again))


def rehearsal(this: Round, *arguments: str | Path) -> bytes:
    """The operations on files of an undisturbed run of the same kind, in order: "c" for a clip, "-" for another."""
    kind = str(arguments[1]).partition(":")[0] == "http", "--force" in arguments
    if kind not in _rehearsed:
        with tempfile.TemporaryDirectory(prefix="escnn-chaos-") as scratch:
            aside, notes = Round(this.luck, Path(scratch) / "round"), Path(scratch) / "notes"
            if "--force" in arguments:
                aside.put_old()
            if aside.run(*arguments, prepare=lambda: note_operations(notes)) != 0:
                raise UnexpectedError("an undisturbed run failed")
            _rehearsed[kind] = notes.read_bytes()
    return _rehearsed[kind]


_rehearsed: dict[tuple[bool, bool], bytes] = {}


def note_operations(notes: Path) -> None:
    output = os.open(notes, os.O_CREAT | os.O_WRONLY, 0o600)
    sys.addaudithook(lambda event, arguments: event in OPERATIONS and os.write(output, kind_of(arguments)))


def signal_before(place: int, number: signal.Signals) -> None:
    """Have this process send itself a signal before its operation number `place`: Python announces each to a hook."""
    upcoming = iter(range(1_000_000))

    def heed(event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS and next(upcoming) == place:
            os.kill(os.getpid(), number)

    sys.addaudithook(heed)


OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.listdir", "shutil.rmtree"}


def kind_of(arguments: tuple[object, ...]) -> bytes:
    return b"c" if "/audio/" in str(arguments[:1]) else b"-"
