"""How far a command is, where there is no terminal and where there is one."""

import io
from pathlib import Path

import msgspec
import pytest
from conftest import SMALL_TRAINING

from escnn.cli import progress
from escnn.cli.console import Console
from escnn.runs.run import EpochMetrics, Run


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
