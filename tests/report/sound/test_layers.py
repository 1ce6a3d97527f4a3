from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from report.sound.made_up import CARD, ONE, analysis_of

from escnn.errors import UsageError
from escnn.model.architecture import parameter_count
from escnn.report.pictures import images
from escnn.report.sound.layers import choose_layers, draw_layers


def test_layers_are_drawn_in_the_networks_order() -> None:
    assert choose_layers(CARD, None) == list(CARD.layers)
    assert choose_layers(CARD, ["layer2", "conv1"]) == ["conv1", "layer2"]
    with pytest.raises(UsageError, match="no layer 'layer7'") as refused:
        choose_layers(CARD, ["layer7"])
    assert str(refused.value.hint).startswith("did you mean layer")
    with pytest.raises(UsageError) as refused:
        choose_layers(CARD, ["?"])
    assert refused.value.hint == f"there are {', '.join(CARD.layers)}"


def test_a_picture_has_a_pixel_for_every_value_and_the_strongest_channels_share_a_scale() -> None:
    analysis = analysis_of(ONE)
    (layer,) = draw_layers(analysis, ["layer1"], channels=6)
    maps = analysis.feature_maps["layer1"]
    strongest = images.strongest_channels(maps, 6)
    assert [picture.caption for picture in layer.channels] == [f"channel {number}" for number in strongest]
    assert layer.shape == maps.shape
    assert {(picture.low, picture.high) for picture in layer.channels} == {(0.0, 2.5)}
    for picture, values in zip((layer.mean, *layer.channels), (maps.mean(axis=0), *maps[strongest]), strict=True):
        with Image.open(io.BytesIO(picture.png)) as drawn:
            assert np.array_equal(drawn, images.feature_map(values, (picture.low, picture.high), picture.colors))


def test_a_block_shows_fewer_channels_and_only_a_stage_counts_its_parameters() -> None:
    inner, stage = draw_layers(analysis_of(ONE), ["layer1.block0.conv", "layer1"], channels=8)
    assert (len(inner.channels), len(stage.channels)) == (4, 8)
    assert (inner.stage, stage.stage) == ("layer1", "layer1")
    assert (inner.parameters, stage.parameters) == (None, parameter_count(CARD.model, 3, "layer1"))
    assert stage.summary == "stage 1, 1 residual block"


def test_colours_suit_the_sign_of_a_layer_unless_others_are_asked_for() -> None:
    analysis = analysis_of(ONE)
    analysis.feature_maps["layer1.block0.conv"][1] *= -1
    signed, positive = draw_layers(analysis, ["layer1.block0.conv", "layer1"])
    assert (signed.mean.colors, positive.mean.colors) == (images.SIGNED_COLORS, images.POSITIVE_COLORS)
    assert {layer.mean.colors for layer in draw_layers(analysis, CARD.layers, colormap="magma")} == {"magma"}
    with pytest.raises(UsageError, match="matplotlib has no 'virids'") as refused:
        draw_layers(analysis, ["conv1"], colormap="virids")
    assert refused.value.hint == "did you mean viridis?"
