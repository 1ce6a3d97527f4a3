"""A command an event: words and no shell, JSON on stdin, four at once, and none that hangs."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from escnn.errors import UsageError
from escnn.live.commands import CommandRunner, split_command

EVENT = {"label": "$(touch hit); `touch hit` & | > hit", "score": 0.5, "path": "--help; touch hit"}
KEEP = [sys.executable, "-c", "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"]


def waited(so: object, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not so():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_command_gets_the_event_and_no_shell_sees_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "out; touch hit $HOME *.txt"
    runner = CommandRunner([*KEEP, name])
    assert runner.run(EVENT)
    runner.close()
    assert json.loads((tmp_path / name).read_text()) == EVENT
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (runner.started, runner.dropped, runner.failed, runner.ended) == (1, 0, 0, 0)


def test_more_than_so_many_at_once_are_left_out_and_counted(tmp_path: Path) -> None:
    runner = CommandRunner([sys.executable, "-c", "import time; time.sleep(1)"], at_once=2)
    assert [runner.run(EVENT) for _ in range(5)] == [True, True, False, False, False]
    assert (runner.started, runner.dropped) == (2, 3)
    waited(lambda: runner.run(EVENT))
    runner.close()


def test_one_that_hangs_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(60)"
    )
    runner = CommandRunner([sys.executable, "-c", code, str(pids)], longest_seconds=2.0)
    runner.run(EVENT)
    waited(lambda: runner.ended == 1)
    for pid in pids.read_text().split():
        waited(lambda pid=pid: not runs(int(pid)))
    runner.close()


def test_at_the_end_nothing_is_left(tmp_path: Path) -> None:
    runner = CommandRunner(["sleep", "60"])
    runner.run(EVENT)
    time.sleep(0.2)
    began = time.monotonic()
    runner.close(0.5)
    assert time.monotonic() - began < 5
    waited(lambda: (runner.ended, runner.failed) == (1, 0))


def test_the_first_of_several_has_all_the_time_that_is_left(tmp_path: Path) -> None:
    code = f"import json, sys, time; time.sleep(json.load(sys.stdin)['s']); open({str(tmp_path)!r} + '/done', 'w')"
    runner = CommandRunner([sys.executable, "-c", code])
    for seconds in (2.5, 0, 0, 0):
        runner.run({"s": seconds})
    runner.close(8.0)
    assert (runner.started, runner.ended, runner.failed) == (4, 0, 0)


def test_one_that_fails_or_reads_nothing_is_counted_and_ends_nothing() -> None:
    runner = CommandRunner([sys.executable, "-c", "import sys; sys.stdin.close(); sys.exit(3)"])
    runner.run({"path": "x" * 1_000_000})
    runner.close()
    assert runner.failed == 1
    gone = CommandRunner(["/nowhere/at all"])
    gone.run(EVENT)
    gone.close()
    assert gone.failed == 1


@pytest.mark.parametrize("text", ["", "   ", "no-such-program-anywhere x", "sh -c 'open"])
def test_what_cannot_be_run_is_refused_before_anything_is_heard(text: str) -> None:
    with pytest.raises(UsageError, match="--exec"):
        split_command(text)


def test_words_are_those_of_a_shell() -> None:
    assert split_command("sh -c 'a b' \"c d\" $HOME") == ["sh", "-c", "a b", "c d", "$HOME"]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
    finally:
        os.sched_yield()
