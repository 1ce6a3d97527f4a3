"""Pictures checked against what they must show: where a tone lies, where an impulse stands, which way is up."""

from __future__ import annotations

import io
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
from PIL import Image

from escnn import plots

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


def test_decibel_limits():
    assert plots.decibel_limits(np.array([[-110.0, -5.0]])) == (-85.0, -5.0)
    assert plots.decibel_limits(np.array([[-30.0, -5.0]])) == (-30.0, -5.0)
    low, high = plots.decibel_limits(np.full((4, 4), -110.0))
    assert low < high, "silence has a range too"


def test_a_feature_map_has_its_first_row_at_the_bottom_and_matplotlibs_colours():
    values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], dtype=np.float32)
    image = plots.feature_map(values, (0, 5), "viridis")
    assert image.size == (3, 2)
    expected = matplotlib.colormaps["viridis"](values / 5, bytes=True)[::-1, :, :3]
    assert np.asarray(image.convert("RGB")).tolist() == expected.tolist()


def test_zero_has_the_middle_colour_in_signed_maps():
    values = np.array([[-4.0, 0.0, 1.0]])
    assert plots.value_limits(values) == (-4.0, 4.0)
    blue, white, red = np.asarray(
        plots.feature_map(values, plots.value_limits(values), plots.colormap_for(values)).convert("RGB")
    )[0].astype(int)
    assert white.min() > 240
    assert blue[2] > blue[0] and red[0] > red[2]
    assert plots.colormap_for(values.clip(0)) == "viridis"


def test_the_legend_holds_the_colours_of_the_map():
    legend = np.asarray(plots.color_bar("viridis").convert("RGB"))
    ramp = np.asarray(plots.feature_map(np.arange(256.0)[np.newaxis], (0, 256), "viridis").convert("RGB"))
    assert legend.shape == (1, 256, 3)
    assert (legend == ramp).all()


def test_png_bytes_are_the_image():
    image = plots.feature_map(np.eye(5), (0, 1), "viridis")
    again = Image.open(io.BytesIO(plots.png_bytes(image)))
    assert np.asarray(again.convert("RGB")).tolist() == np.asarray(image.convert("RGB")).tolist()


def test_strongest_channels_count_magnitude_not_sign():
    activations = np.stack([np.full((2, 3), value) for value in (0.5, -3.0, 1.0, 2.0)])
    assert plots.strongest_channels(activations, 3) == [1, 3, 2]


def test_the_peak_of_a_map():
    values = np.zeros((4, 10))
    values[3, 0] = 1
    assert plots.peak(values) == pytest.approx((0.05, 0.875))
    assert plots.peak(np.ones((4, 10))) is None


def test_a_layer_shows_its_mean_and_its_strongest_channels_in_order(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "_paste", lambda sheet, picture, box: drawn.append((np.asarray(picture), box)))
    activations = np.random.default_rng(0).random((6, 4, 8)).astype(np.float32)
    activations[4] += 10
    activations[1] += 5
    plots.layer("layer1", activations, 5.0, top_channels=2)
    mean, legend, first, second, shared = drawn
    limits = (0, float(activations.mean(axis=0).max()))
    assert (mean[0] == np.asarray(plots.feature_map(activations.mean(axis=0), limits, "viridis"))).all()
    limits = (0, float(activations[4].max()))
    for (picture, _), channel in ((first, 4), (second, 1)):
        assert (picture == np.asarray(plots.feature_map(activations[channel], limits, "viridis"))).all()
    assert legend[0].shape == shared[0].shape == (256, 1)
    assert (legend[0][:, 0] == np.arange(255, -1, -1)).all(), "high values on top"


@pytest.mark.parametrize("count", [0, 1, 5, 64])
def test_a_layer_shows_as_many_channels_as_are_asked_for_side_by_side(monkeypatch, count):
    boxes = []
    paste = plots._paste
    monkeypatch.setattr(plots, "_paste", lambda sheet, picture, box: (boxes.append(box), paste(sheet, picture, box)))
    image = plots.layer("layer3", np.ones((64, 8, 14), dtype=np.float32), 5.0, top_channels=count)
    channels = [box for box in boxes if box[2] - box[0] == 250]
    assert len(channels) == len(set(channels)) == count
    assert image.width / image.height < 4, "not a ribbon"
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= image.width
        assert 0 <= top < bottom <= image.height
    for one, other in itertools.combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1], "no overlap"


def test_an_overlay_is_clear_where_there_is_nothing():
    values = np.array([[0.0, 0.5], [1.0, 2.0]], dtype=np.float32)
    image = Image.open(io.BytesIO(plots.png_bytes(plots.overlay(values, (0.0, 1.0))))).convert("RGBA")
    assert np.asarray(image)[::-1, :, 3].tolist() == [[0, 128], [255, 255]]


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


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_dead_layer_is_drawn(value):
    assert plots.layer("layer4", np.full((1, 4, 7), value, dtype=np.float32), 5.0).width > 500


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
        return plots.png_bytes(plots.waveform(samples, RATE, "noise"))

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
