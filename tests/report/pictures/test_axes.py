"""Ticks lie where they say, outlines hold every extreme, and figures look the same whatever a user has set."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest

from escnn.audio.encoding import envelope
from escnn.audio.log_mel import AudioConfig, mel_frequencies
from escnn.report.pictures.axes import epoch_ticks, frequency_ticks, time_ticks, zero_based_ticks
from escnn.report.pictures.images import png_bytes
from escnn.report.pictures.spectrogram import waveform

RATE = 44_100


def test_the_envelope_holds_every_extreme() -> None:
    samples = np.random.default_rng(0).normal(size=10_007).astype(np.float32)
    low, high = envelope(samples, 300)
    edges = [k * 10_007 // 300 for k in range(301)]
    assert low.tolist() == [min(samples[a:b]) for a, b in itertools.pairwise(edges)]
    assert high.tolist() == [max(samples[a:b]) for a, b in itertools.pairwise(edges)]


def test_the_envelope_of_fewer_samples_than_columns() -> None:
    low, high = envelope(np.array([1.0, -2.0]), 4)
    assert low.tolist() == high.tolist() == [1, 1, -2, -2]


def test_frequency_labels_keep_their_distance_and_their_order() -> None:
    ticks = frequency_ticks(mel_frequencies(AudioConfig()))
    assert [label for label, _ in ticks] == ["200", "500", "1k", "2k", "5k", "10k"]
    heights = np.array([height for _, height in ticks])
    assert (np.diff(heights) > 0.05).all()
    assert heights[0] > 0
    assert heights[-1] < 1


def seconds_of(label: str) -> float:
    minutes, _, rest = label.rpartition(":")
    return 60 * float(minutes or 0) + float(rest)


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        (0, 5),
        (10, 5),
        (12.3, 5),
        (0, 0.25),
        (3, 57),
        (0, 0.012),
        (3, 60),
        (55, 20),
        (119.9, 0.3),
        (0, 3600),
        (0, 86_400),
    ],
)
def test_time_ticks_are_round_few_and_lie_where_they_say(start: float, seconds: float) -> None:
    ticks = time_ticks(start, seconds)
    assert len(ticks) >= 2
    assert len(ticks) <= 8 or seconds > 7 * 3600
    for label, place in ticks:
        assert seconds_of(label) == pytest.approx(start + place * seconds, rel=1e-5)
        assert -1e-6 <= place <= 1 + 1e-6


def test_times_above_a_minute_are_minutes_and_seconds() -> None:
    assert [label for label, _ in time_ticks(0, 5)] == ["0", "1", "2", "3", "4", "5"]
    assert [label for label, _ in time_ticks(50, 10)] == ["50", "52", "54", "56", "58", "60"]
    assert [label for label, _ in time_ticks(50, 30)] == ["0:50", "0:55", "1:00", "1:05", "1:10", "1:15", "1:20"]
    assert [label for label, _ in time_ticks(119.9, 0.3)] == [
        "1:59.9",
        "1:59.95",
        "2:00",
        "2:00.05",
        "2:00.1",
        "2:00.15",
        "2:00.2",
    ]
    assert [label for label, _ in time_ticks(0, 3600)] == [f"{10 * k}:00" for k in range(7)]


@pytest.mark.parametrize("highest", [0.013, 0.2, 0.99, 1.0, 1.01, 3.9, 4.61, 7.0, 10.0, 49.9, 123.0])
def test_an_axis_from_zero_holds_its_highest_value_with_few_round_ticks(highest: float) -> None:
    top, ticks = zero_based_ticks(highest)
    assert highest <= top <= 2 * highest
    assert 3 <= len(ticks) <= 7
    for label, place in ticks:
        assert float(label) == pytest.approx(place * top)
        assert len(label) <= 5


def test_the_first_epoch_the_last_and_round_ones_are_labelled() -> None:
    assert epoch_ticks(1, 5) == [(str(k), (k - 1) / 4) for k in range(1, 6)]
    assert [label for label, _ in epoch_ticks(1, 60)] == ["1", "10", "20", "30", "40", "50", "60"]
    assert epoch_ticks(3, 3) == [("3", 0.5)]


def test_the_same_arrays_give_the_same_bytes_whatever_matplotlibrc_says() -> None:
    samples = np.random.default_rng(1).normal(size=RATE).astype(np.float32)

    def picture() -> bytes:
        return png_bytes(waveform(samples, RATE, "noise"))

    first = picture()
    with matplotlib.rc_context(
        {"font.size": 20, "axes.facecolor": "red", "figure.dpi": 33, "lines.antialiased": False}
    ):
        assert picture() == first
        assert matplotlib.rcParams["font.size"] == 20, "and the caller's settings stay"


@pytest.mark.parametrize(
    "title", ["$\\frac{$ $x_1$", "rooster 🐓 コケコッコー", "not utf-8: \udce9.wav", "long " * 100]
)
def test_any_file_name_is_a_title(title: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert waveform(np.ones(100, dtype=np.float32), RATE, title).size == (1500, 390)


def test_neither_torch_nor_pyplot_is_loaded_by_pictures_and_pages() -> None:
    modules = [
        *(f"pictures.{name}" for name in ("layer_sheet", "spectrogram", "confusion_matrix", "training_curves")),
        *(f"{page}.page" for page in ("sound", "evaluation", "index")),
    ]
    code = "; ".join(f"import escnn.report.{name}" for name in modules)
    code += "; import sys; print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
