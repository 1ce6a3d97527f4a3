"""Small pictures checked against what they must show: which way is up, what zero looks like, which channel is first."""

from __future__ import annotations

import io
import itertools

import matplotlib
import numpy as np
import pytest
from PIL import Image

from escnn import images


def test_decibel_limits():
    assert images.decibel_limits(np.array([[-110.0, -5.0]])) == (-85.0, -5.0)
    assert images.decibel_limits(np.array([[-30.0, -5.0]])) == (-30.0, -5.0)
    low, high = images.decibel_limits(np.full((4, 4), -110.0))
    assert low < high, "silence has a range too"


def test_a_feature_map_has_its_first_row_at_the_bottom_and_matplotlibs_colours():
    values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], dtype=np.float32)
    image = images.feature_map(values, (0, 5), "viridis")
    assert image.size == (3, 2)
    expected = matplotlib.colormaps["viridis"](values / 5, bytes=True)[::-1, :, :3]
    assert np.asarray(image.convert("RGB")).tolist() == expected.tolist()


def test_zero_has_the_middle_colour_in_signed_maps():
    values = np.array([[-4.0, 0.0, 1.0]])
    assert images.value_limits(values) == (-4.0, 4.0)
    blue, white, red = np.asarray(
        images.feature_map(values, images.value_limits(values), images.colormap_for(values)).convert("RGB")
    )[0].astype(int)
    assert white.min() > 240
    assert blue[2] > blue[0] and red[0] > red[2]
    assert images.colormap_for(values.clip(0)) == "viridis"


def test_the_legend_holds_the_colours_of_the_map():
    legend = np.asarray(images.color_bar("viridis").convert("RGB"))
    ramp = np.asarray(images.feature_map(np.arange(256.0)[np.newaxis], (0, 256), "viridis").convert("RGB"))
    assert legend.shape == (1, 256, 3)
    assert (legend == ramp).all()


def test_png_bytes_are_the_image():
    image = images.feature_map(np.eye(5), (0, 1), "viridis")
    again = Image.open(io.BytesIO(images.png_bytes(image)))
    assert np.asarray(again.convert("RGB")).tolist() == np.asarray(image.convert("RGB")).tolist()


def test_strongest_channels_count_magnitude_not_sign():
    activations = np.stack([np.full((2, 3), value) for value in (0.5, -3.0, 1.0, 2.0)])
    assert images.strongest_channels(activations, 3) == [1, 3, 2]


def test_the_peak_of_a_map():
    values = np.zeros((4, 10))
    values[3, 0] = 1
    assert images.peak(values) == pytest.approx((0.05, 0.875))
    assert images.peak(np.ones((4, 10))) is None


def test_a_layer_shows_its_mean_and_its_strongest_channels_in_order(monkeypatch):
    drawn = []
    monkeypatch.setattr(images, "_paste", lambda sheet, picture, box: drawn.append((np.asarray(picture), box)))
    activations = np.random.default_rng(0).random((6, 4, 8)).astype(np.float32)
    activations[4] += 10
    activations[1] += 5
    images.layer("layer1", activations, 5.0, top_channels=2)
    mean, legend, first, second, shared = drawn
    limits = (0, float(activations.mean(axis=0).max()))
    assert (mean[0] == np.asarray(images.feature_map(activations.mean(axis=0), limits, "viridis"))).all()
    limits = (0, float(activations[4].max()))
    for (picture, _), channel in ((first, 4), (second, 1)):
        assert (picture == np.asarray(images.feature_map(activations[channel], limits, "viridis"))).all()
    assert legend[0].shape == shared[0].shape == (256, 1)
    assert (legend[0][:, 0] == np.arange(255, -1, -1)).all(), "high values on top"


@pytest.mark.parametrize("count", [0, 1, 5, 64])
def test_a_layer_shows_as_many_channels_as_are_asked_for_side_by_side(monkeypatch, count):
    boxes = []
    paste = images._paste
    monkeypatch.setattr(images, "_paste", lambda sheet, picture, box: (boxes.append(box), paste(sheet, picture, box)))
    image = images.layer("layer3", np.ones((64, 8, 14), dtype=np.float32), 5.0, top_channels=count)
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
    image = Image.open(io.BytesIO(images.png_bytes(images.overlay(values, (0.0, 1.0))))).convert("RGBA")
    assert np.asarray(image)[::-1, :, 3].tolist() == [[0, 128], [255, 255]]


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_dead_layer_is_drawn(value):
    assert images.layer("layer4", np.full((1, 4, 7), value, dtype=np.float32), 5.0).width > 500
