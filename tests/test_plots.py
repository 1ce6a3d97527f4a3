"""Pictures checked against what they must show: where a tone lies, where an impulse stands, which way is up."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from escnn import images, plots

RATE = 44_100
HOP_SECONDS = 1024 / RATE
# Centres of 128 bands, equally spaced in mel between 20 Hz and 20 kHz.
MEL_HZ = [700 * (10 ** (mel / 2595) - 1) for mel in np.linspace(31.75, 3816.9, 130)[1:-1]]


def drawn(figure: Figure) -> np.ndarray:
    """Lay out and draw a figure; its pixels, (rows, columns, 3)."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def where(pixels: np.ndarray, color: tuple[int, int, int], tolerance: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of one colour."""
    return np.nonzero((np.abs(pixels - color) <= tolerance).all(axis=-1))


def spectrogram_of(band: int | slice, frame: int | slice) -> np.ndarray:
    decibels = np.full((128, 216), -80.0, dtype=np.float32)
    decibels[band, frame] = 0
    return decibels


@pytest.fixture
def our_style() -> Iterator[None]:
    """For tests that look at a figure (through ``__wrapped__``) rather than at its pixels."""
    with matplotlib.style.context(["default", plots.STYLE]):
        yield


BRIGHTEST = (252, 253, 191)  # the last colour of magma


def test_one_sample_in_five_seconds_is_seen():
    samples = np.zeros(5 * RATE, dtype=np.float32)
    samples[2 * RATE + 1] = 1.0  # an odd index: keeping every n-th sample would lose it
    picture = np.asarray(plots.waveform(samples, RATE, "impulse")).astype(int)
    inside = picture[60:180, 120:1470]  # the upper half of the axes, between spine and edge
    rows, columns = where(inside, (95, 24, 127), tolerance=120)
    assert rows.min() < 15, "the impulse reaches the top"
    expected = (0.075 + 0.91 * 2 / 5) * picture.shape[1] - 120
    assert abs(columns - expected).max() <= 3, "and stands at two seconds, alone"


def test_the_envelope_holds_every_extreme():
    samples = np.random.default_rng(0).normal(size=10_007).astype(np.float32)
    low, high = plots.envelope(samples, 300)
    edges = [k * 10_007 // 300 for k in range(301)]
    assert low.tolist() == [min(samples[a:b]) for a, b in itertools.pairwise(edges)]
    assert high.tolist() == [max(samples[a:b]) for a, b in itertools.pairwise(edges)]


def test_the_envelope_of_fewer_samples_than_columns():
    low, high = plots.envelope(np.array([1.0, -2.0]), 4)
    assert low.tolist() == high.tolist() == [1, 1, -2, -2]


def test_a_tone_lies_at_the_height_of_its_frequency():
    heights = {}
    for band in (0, int(np.argmin(np.abs(np.array(MEL_HZ) - 1000))), 127):
        picture = np.asarray(plots.spectrogram(spectrogram_of(band, slice(None)), MEL_HZ, HOP_SECONDS, "tone"))
        rows, columns = where(picture[:, :1300].astype(int), BRIGHTEST)
        assert len(np.unique(columns)) > 1000, "the tone runs through the whole picture"
        heights[band] = rows.mean()
    (_, bottom), (tone, middle), (_, top) = heights.items()
    assert bottom > middle > top, "low frequencies at the bottom"
    assert (bottom - middle) / (bottom - top) == pytest.approx(tone / 127, abs=0.01)
    label, height = plots.frequency_ticks(MEL_HZ)[2]
    assert label == "1k"
    assert abs(height * 128 - (tone + 0.5)) < 0.5, "the label stands within half a band of the tone"


@pytest.mark.usefixtures("our_style")
def test_a_click_stands_at_its_time():
    figure = plots.spectrogram.__wrapped__(spectrogram_of(slice(None), 100), MEL_HZ, HOP_SECONDS, "click")
    pixels = drawn(figure)
    _, columns = where(pixels[:, :1300], BRIGHTEST)
    left, right = (figure.axes[0].transData.transform((t * HOP_SECONDS, 0))[0] for t in (99.5, 100.5))
    assert columns.min() == pytest.approx(left, abs=1.5)
    assert columns.max() == pytest.approx(right, abs=1.5)


def test_frequency_labels_keep_their_distance_and_their_order():
    ticks = plots.frequency_ticks(MEL_HZ)
    assert [label for label, _ in ticks] == ["200", "500", "1k", "2k", "5k", "10k"]
    heights = np.array([height for _, height in ticks])
    assert (np.diff(heights) > 0.05).all()
    assert heights[0] > 0 and heights[-1] < 1


def test_evidence_is_bright_where_it_is_and_leaves_the_rest_grey():
    decibels = np.full((32, 40), -60.0, dtype=np.float32)
    decibels[:16] = -20.0
    marked = np.zeros((32, 40), dtype=np.float32)
    marked[8:12, 10:20] = 1.0
    figure = plots.evidence.__wrapped__(decibels, marked, np.linspace(100, 4000, 32).tolist(), 0.01, "a")
    ground, over = figure.get_axes()[0].images
    assert ground.get_cmap().name == "gray"
    assert (over.get_alpha() == marked).all()
    assert np.allclose(over.get_array(), marked)


@pytest.mark.usefixtures("our_style")
def test_confusion_names_are_readable_and_counts_stand_in_their_cells():
    labels = [f"a_rather_long_name_{k:02}" for k in range(50)]
    matrix = np.eye(50, dtype=int) * 6
    matrix[3, 7] = 2  # class 3 taken for class 7
    figure = plots.confusion.__wrapped__(matrix, labels)
    drawn(figure)
    axes = figure.axes[0]
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        boxes = [tick.get_window_extent() for tick in ticks]
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
        assert all(tick.get_fontsize() * plots.DPI / 72 >= 12 for tick in ticks), "pixels"
        assert ticks[7].get_text() == "a rather long name 07"
    counts = {text.get_position(): text.get_text() for text in axes.texts}
    assert counts[7, 3] == "2", "column 7, row 3"
    assert len(counts) == 51
    assert axes.get_title("left") == "99.3 % right (300 of 302 clips)"
    assert axes.images[0].get_array()[3, [3, 7]].tolist() == [6 / 8, 2 / 8], "shares of the row"


def test_confusion_of_many_classes_shrinks_its_names():
    figure = plots.confusion.__wrapped__(np.zeros((250, 250), dtype=int), ["x"] * 250)
    cell_points = 72 * figure.get_figheight() / 250
    assert figure.axes[0].get_yticklabels()[0].get_fontsize() < cell_points


@pytest.mark.parametrize("classes", [2, 3])
def test_confusion_of_few_classes_and_no_clips(classes):
    assert plots.confusion(np.zeros((classes, classes), dtype=int), ["x"] * classes).width > 600


@pytest.mark.usefixtures("our_style")
def test_curves_leave_out_what_was_not_measured():
    rows = [
        {"epoch": k, "loss": 4 - k, "accuracy": 0.5 if k == 2 else None, "other_accuracy": None, "learning_rate": 1e-3}
        for k in (1, 2, 3)
    ]
    figure = plots.curves.__wrapped__(rows)
    losses, accuracies, rate = figure.axes
    assert losses.lines[0].get_ydata().tolist() == [3, 2, 1]
    assert [line.get_label() for line in accuracies.lines] == ["accuracy"]
    assert accuracies.lines[0].get_xydata().tolist() == [[2, 50]], "per cent"
    assert rate.lines[0].get_ydata().tolist() == [1e-3] * 3


@pytest.mark.usefixtures("our_style")
def test_curves_of_one_epoch_show_a_dot():
    figure = plots.curves.__wrapped__([{"epoch": 1, "loss": 3.9, "accuracy": None, "learning_rate": 1e-3}])
    losses, _, rate = figure.axes
    assert losses.lines[0].get_marker() == rate.lines[0].get_marker() == "o"
    left, right = losses.get_xlim()
    assert left < 1 < right


def test_the_same_arrays_give_the_same_bytes_whatever_matplotlibrc_says():
    samples = np.random.default_rng(1).normal(size=RATE).astype(np.float32)

    def picture() -> bytes:
        return images.png_bytes(plots.waveform(samples, RATE, "noise"))

    first = picture()
    with matplotlib.rc_context(
        {"font.size": 20, "axes.facecolor": "red", "figure.dpi": 33, "lines.antialiased": False}
    ):
        assert picture() == first
        assert matplotlib.rcParams["font.size"] == 20, "and the caller's settings stay"


@pytest.mark.parametrize(
    "title", ["$\\frac{$ $x_1$", "rooster 🐓 コケコッコー", "not utf-8: \udce9.wav", "long " * 100]
)
def test_any_file_name_is_a_title(title):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plots.waveform(np.ones(100, dtype=np.float32), RATE, title).size == (1500, 390)


def test_neither_torch_nor_pyplot_is_loaded():
    code = "import sys, escnn.plots, escnn.report; print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
