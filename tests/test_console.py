import pytest

from escnn import console
from escnn.training import EpochMetrics


def epoch(number: int, seconds: float, held_out: float | None = None) -> EpochMetrics:
    """An epoch that took so long."""
    return EpochMetrics(number, 1.5, 0.25, None, held_out, 1e-3, seconds, 2 * seconds, 120.0)


def test_a_training_without_a_terminal_prints_a_line_now_and_then_and_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.training(5) as (_, on_epoch):
        on_epoch(epoch(1, 10))
        on_epoch(epoch(2, 10))
        on_epoch(epoch(3, 16, held_out=0.5))
        on_epoch(epoch(5, 12))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "epoch 1/5  loss 1.500  train 25.0 %  120 clips/s  0:40 left"
    assert lines[1:] == ["epoch 5/5  loss 1.500  train 25.0 %  120 clips/s  0:00 left"]


def test_the_time_left_is_the_mean_epoch_times_the_epochs_to_come(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LINE_EVERY_SECONDS", -1.0)
    with console.training(5) as (_, on_epoch):
        for number, seconds in ((1, 10), (2, 10), (3, 16)):
            on_epoch(epoch(number, seconds, held_out=0.5 if number == 3 else None))
    assert [line.split("  ")[-1] for line in capsys.readouterr().err.splitlines()] == [
        "0:40 left",
        "0:30 left",
        "0:24 left",
    ]


def test_the_time_left_forgets_how_slow_the_first_epochs_were(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LINE_EVERY_SECONDS", -1.0)
    with console.training(12) as (_, on_epoch):
        for number in range(1, 12):
            on_epoch(epoch(number, 100 if number == 1 else 5))
    assert capsys.readouterr().err.splitlines()[-1].endswith("  0:05 left")
