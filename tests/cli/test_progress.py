"""How far a command is, where there is no terminal and where there is one."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from conftest import SMALL_TRAINING, escnn, tone

from escnn.cli import progress
from escnn.cli.console import Console
from escnn.inference.classifier import Progress
from escnn.runs.run import EpochMetrics, Run

Writer = Callable[..., Path]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(epochs: int, seconds: dict[int, float], stderr: io.StringIO) -> list[str]:
    """What is shown of a training whose epochs took so long."""
    show = progress.EpochLines(Console(stderr=stderr))
    run = Run(Path("run"), msgspec.structs.replace(SMALL_TRAINING, epochs=epochs), Path("data"))
    for number, taken in seconds.items():
        show(run, EpochMetrics(number, 1.5, 0.25, None, 0.5 if number == 3 else None, 1e-3, taken, 2 * taken, 120.0))
    return stderr.getvalue().splitlines()


def test_a_training_without_a_terminal_prints_the_first_epoch_and_the_last_and_one_now_and_then() -> None:
    assert lines_of(5, {1: 10, 2: 10, 3: 16, 5: 12}, io.StringIO()) == [
        "epoch 1/5  loss 1.500  train 25.0 %  120 clips/s  0:40 left",
        "epoch 5/5  loss 1.500  train 25.0 %  120 clips/s  0:00 left",
    ]


def test_the_time_left_is_the_mean_epoch_times_the_epochs_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", -1.0)
    lines = lines_of(5, {1: 10, 2: 10, 3: 16}, io.StringIO())
    assert [line.split("  ")[-1] for line in lines] == ["0:40 left", "0:30 left", "0:24 left"]
    assert "test 50.00 %" in lines[2]


def test_the_time_left_forgets_how_slow_the_first_epochs_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", -1.0)
    seconds = {number: 100.0 if number == 1 else 5.0 for number in range(1, 12)}
    assert lines_of(12, seconds, io.StringIO())[-1].endswith("  0:05 left")


def test_animation_follows_the_terminal_not_the_wish_for_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    drawn = {}
    for name, stderr in {"file": io.StringIO(), "terminal": Terminal()}.items():
        with progress.stages(Console(stderr=stderr)) as advance:
            for done in range(50):
                advance("reading", done, 50)
        drawn[name] = stderr.getvalue()
    assert drawn["file"] == ""
    assert "\x1b[" in drawn["terminal"]


def test_sounds_are_counted_with_how_much_was_read_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", -1.0)
    now = iter([0.0, *[10.0] * 3, *[60.0] * 3, *[90.0] * 3])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    stderr = io.StringIO()
    with progress.sounds(Console(stderr=stderr), 20, before=10) as advance:
        advance(Progress("a.wav", 0, 5.0, None))
        advance(Progress("b.wav", 3, 1800.0, 3600.0))
        advance(Progress("c.wav", 9, 3605.0, 3600.0))
    assert stderr.getvalue().splitlines() == [
        "10 of 20 sounds done, a.wav: 0:05 read",
        "13 of 20 sounds done, b.wav: 30:00 of 1:00:00 read, 1:51 left",
        "19 of 20 sounds done, c.wav: 1:00:00 of 1:00:00 read, 0:00 left",
    ]


def test_of_one_long_recording_it_says_how_much_is_read_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, model: Path, write_sound: Writer
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", -1.0)
    path = write_sound("night.wav", tone(300, 10.0, 8_000))
    *told, windows = escnn("predict", path).stderr.splitlines()
    assert "escnn detect" in windows
    assert all(re.fullmatch(rf"{re.escape(str(path))}: 0:\d\d of 0:10 read, 0:0\d left", line) for line in told)
    read = [int(line.split(": 0:")[1][:2]) for line in told]
    assert read == sorted(read)
    assert read[0] <= 2
    assert read[-1] >= 7
    shown = escnn("visualize", path, "--out", path.with_suffix(""), "--layers", "conv1").stderr.splitlines()
    assert shown[0].startswith(f"{path}: 0:02 of 0:10 read, ")
    assert shown[-2].startswith(f"{path}: 0:10 of 0:10 read, ")
