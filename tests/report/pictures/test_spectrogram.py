"""Figures of a sound checked against what they must show: where a tone lies, where an impulse stands, what is up."""

from __future__ import annotations

from typing import Any

import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from escnn.report.pictures.axes import STYLE, frequency_ticks
from escnn.report.pictures.spectrogram import saliency, spectrogram, waveform

RATE = 44_100
HOP_SECONDS = 1024 / RATE
# Centres of 128 bands, equally spaced in mel between 20 Hz and 20 kHz.
MEL_HZ = [700 * (10 ** (mel / 2595) - 1) for mel in np.linspace(31.75, 3816.9, 130)[1:-1]]
BRIGHTEST = (252, 253, 191)  # the last colour of magma


def where(pixels: np.ndarray, color: tuple[int, int, int], tolerance: int = 3) -> tuple[np.ndarray, ...]:
    """Rows and columns of the pixels of one colour."""
    return np.nonzero((np.abs(pixels - color) <= tolerance).all(axis=-1))


def decibels_with(band: int | slice, frame: int | slice) -> np.ndarray:
    decibels = np.full((128, 216), -80.0, dtype=np.float32)
    decibels[band, frame] = 0
    return decibels


def test_one_sample_in_five_seconds_is_seen() -> None:
    samples = np.zeros(5 * RATE, dtype=np.float32)
    samples[2 * RATE + 1] = 1.0  # an odd index: keeping every n-th sample would lose it
    picture = np.asarray(waveform(samples, RATE, "impulse")).astype(int)
    inside = picture[60:180, 120:1470]  # the upper half of the axes, between spine and edge
    rows, columns = where(inside, (95, 24, 127), tolerance=120)
    assert rows.min() < 15, "the impulse reaches the top"
    expected = (0.075 + 0.91 * 2 / 5) * picture.shape[1] - 120
    assert abs(columns - expected).max() <= 3, "and stands at two seconds, alone"


def test_a_tone_lies_at_the_height_of_its_frequency() -> None:
    heights = {}
    for band in (0, int(np.argmin(np.abs(np.array(MEL_HZ) - 1000))), 127):
        picture = np.asarray(spectrogram(decibels_with(band, slice(None)), MEL_HZ, HOP_SECONDS, "tone"))
        rows, columns = where(picture[:, :1300].astype(int), BRIGHTEST)
        assert len(np.unique(columns)) > 1000, "the tone runs through the whole picture"
        heights[band] = rows.mean()
    (_, bottom), (tone, middle), (_, top) = heights.items()
    assert bottom > middle > top, "low frequencies at the bottom"
    assert (bottom - middle) / (bottom - top) == pytest.approx(tone / 127, abs=0.01)
    label, height = frequency_ticks(MEL_HZ)[2]
    assert label == "1k"
    assert abs(height * 128 - (tone + 0.5)) < 0.5, "the label stands within half a band of the tone"


def test_a_click_stands_at_its_time() -> None:
    with matplotlib.style.context(["default", STYLE]):
        figure = spectrogram.__wrapped__(decibels_with(slice(None), 100), MEL_HZ, HOP_SECONDS, "click")
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    _, columns = where(pixels[:, :1300], BRIGHTEST)
    left, right = (figure.axes[0].transData.transform((t * HOP_SECONDS, 0))[0] for t in (99.5, 100.5))
    assert columns.min() == pytest.approx(left, abs=1.5)
    assert columns.max() == pytest.approx(right, abs=1.5)


def test_evidence_is_bright_where_it_is_and_leaves_the_rest_grey() -> None:
    decibels = np.full((32, 40), -60.0, dtype=np.float32)
    decibels[:16] = -20.0
    values = np.zeros((32, 40), dtype=np.float32)
    values[8:12, 10:20] = 1.0
    figure = saliency.__wrapped__(decibels, values, np.linspace(100, 4000, 32).tolist(), 0.01, "evidence for dog")
    ground, over = figure.get_axes()[0].images
    assert ground.get_cmap().name == "gray"
    assert (over.get_alpha() == values).all()
    assert np.allclose(over.get_array(), values)
