"""Small pictures checked against what they must show: which way is up, what zero looks like, which channel is first."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from escnn.report.pictures import images


def test_decibel_limits() -> None:
    assert images.decibel_limits(np.array([[-110.0, -5.0]])) == (-85.0, -5.0)
    assert images.decibel_limits(np.array([[-30.0, -5.0]])) == (-30.0, -5.0)
    low, high = images.decibel_limits(np.full((4, 4), -110.0))
    assert low < high, "silence has a range too"


def test_a_few_points_do_not_leave_the_rest_of_a_saliency_map_in_the_dark() -> None:
    saliency = np.full((100, 100), 0.2)
    saliency[0, :10] = 1.0
    assert images.saliency_limits(saliency) == pytest.approx((0.0, 0.2))
    assert images.saliency_limits(np.zeros((4, 4))) == (0.0, 1.0), "no evidence has a range too"


def test_a_feature_map_has_its_first_row_at_the_bottom_and_matplotlibs_colours() -> None:
    values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], dtype=np.float32)
    image = images.feature_map(values, (0, 5), "viridis")
    assert image.size == (3, 2)
    expected = matplotlib.colormaps["viridis"](values / 5, bytes=True)[::-1, :, :3]
    assert np.asarray(image.convert("RGB")).tolist() == expected.tolist()


def test_zero_has_the_middle_colour_in_signed_maps() -> None:
    values = np.array([[-4.0, 0.0, 1.0]])
    assert images.value_limits(values) == (-4.0, 4.0)
    blue, white, red = np.asarray(
        images.feature_map(values, images.value_limits(values), images.colormap_for(values)).convert("RGB")
    )[0].astype(int)
    assert white.min() > 240
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert images.colormap_for(values.clip(0)) == "viridis"


def test_the_legend_holds_the_colours_of_the_map() -> None:
    legend = np.asarray(images.color_bar("viridis").convert("RGB"))
    ramp = np.asarray(images.feature_map(np.arange(256.0)[np.newaxis], (0, 256), "viridis").convert("RGB"))
    assert legend.shape == (1, 256, 3)
    assert (legend == ramp).all()


def test_png_bytes_are_the_image() -> None:
    image = images.feature_map(np.eye(5), (0, 1), "viridis")
    again = Image.open(io.BytesIO(images.png_bytes(image)))
    assert np.asarray(again.convert("RGB")).tolist() == np.asarray(image.convert("RGB")).tolist()


def test_strongest_channels_count_magnitude_not_sign() -> None:
    activations = np.stack([np.full((2, 3), value) for value in (0.5, -3.0, 1.0, 2.0)])
    assert images.strongest_channels(activations, 3) == [1, 3, 2]


def test_the_peak_of_a_map() -> None:
    values = np.zeros((4, 10))
    values[3, 0] = 1
    assert images.peak(values) == pytest.approx((0.05, 0.875))
    assert images.peak(np.ones((4, 10))) is None


def test_an_overlay_is_clear_where_there_is_nothing() -> None:
    values = np.array([[0.0, 0.5], [1.0, 2.0]], dtype=np.float32)
    image = Image.open(io.BytesIO(images.png_bytes(images.overlay(values, (0.0, 1.0))))).convert("RGBA")
    assert np.asarray(image)[::-1, :, 3].tolist() == [[0, 128], [255, 255]]
