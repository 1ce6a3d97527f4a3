"""The sheet of a layer, searched for the pictures that it must hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from escnn.report.pictures.images import color_bar, feature_map, strongest_channels
from escnn.report.pictures.layer_sheet import layer_sheet

MEAN, CHANNEL = (540, 308), (250, 150)  # pixels


def packed(image: Image.Image) -> np.ndarray:
    """One number a pixel, (rows, columns)."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    return (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]


def places(sheet: np.ndarray, values: np.ndarray, limits: tuple[float, float], size: tuple[int, int]) -> list:
    """Where on a sheet `values` are drawn, (left, top), each value an even rectangle; the frame may cover an edge."""
    picture = feature_map(values, limits, "viridis").convert("RGB").resize(size, Image.Resampling.NEAREST)
    wanted = packed(picture)[1:, 1:]
    height, width = wanted.shape
    rows, columns = np.nonzero(sheet[: 1 - height, : 1 - width] == wanted[0, 0])
    for y, x in itertools.product(range(0, height, 12), range(0, width, 12)):
        same = sheet[rows + y, columns + x] == wanted[y, x]
        rows, columns = rows[same], columns[same]
    return [
        (int(x) - 1, int(y) - 1)
        for y, x in zip(rows, columns, strict=True)
        if (sheet[y : y + height, x : x + width] == wanted).all()
    ]


def test_it_shows_the_mean_and_the_strongest_channels_in_order() -> None:
    activations = np.random.default_rng(0).random((6, 4, 8)).astype(np.float32)
    activations[4] += 10
    activations[1] += 5
    sheet = packed(layer_sheet("layer1", activations, 5.0, top_channels=2))
    mean = activations.mean(axis=0)
    ((mean_left, _),) = places(sheet, mean, (0, float(mean.max())), MEAN)
    shared = (0, float(activations[4].max()))
    (first,), (second,) = (places(sheet, activations[channel], shared, CHANNEL) for channel in (4, 1))
    assert mean_left + MEAN[0] < first[0] < second[0]
    assert first[1] == second[1], "side by side"
    assert not places(sheet, activations[0], shared, CHANNEL), "the others are left out"


@pytest.mark.parametrize("count", [0, 1, 5, 64])
def test_it_shows_as_many_channels_as_are_asked_for_side_by_side(count: int) -> None:
    activations = np.random.default_rng(1).random((64, 8, 14)).astype(np.float32)
    image = layer_sheet("layer3", activations, 5.0, top_channels=count)
    assert image.width / image.height < 4, "not a ribbon"
    strongest = strongest_channels(activations, count)
    shared = (0.0, float(activations[strongest].max())) if strongest else (0.0, 1.0)
    sheet = packed(image)
    found = [places(sheet, activations[channel], shared, CHANNEL) for channel in strongest]
    assert [len(there) for there in found] == [1] * count
    for (one,), (other,) in itertools.combinations(found, 2):
        assert abs(one[0] - other[0]) >= CHANNEL[0] or abs(one[1] - other[1]) >= CHANNEL[1], "no overlap"


def test_its_legend_has_the_high_values_on_top() -> None:
    sheet = packed(layer_sheet("layer1", np.random.default_rng(2).random((3, 4, 8)), 5.0, top_channels=0))
    shade = {int(color): k for k, color in enumerate(packed(color_bar("viridis"))[0])}
    columns = [[shade[pixel] for pixel in column if pixel in shade] for column in sheet[:, 660:].T.tolist()]
    legends = [shades for shades in columns if len(shades) > 256]
    assert legends
    assert all(shades == sorted(shades, reverse=True) for shades in legends)
    assert all(shades[0] > 250 and shades[-1] < 5 for shades in legends)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_dead_layer_is_drawn(value: float) -> None:
    assert layer_sheet("layer4", np.full((1, 4, 7), value, dtype=np.float32), 5.0).width > 500
