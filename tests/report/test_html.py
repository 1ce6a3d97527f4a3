from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from report.evaluation.made_up import small
from report.outline import HOSTILE, Outline

from escnn.analysis.analysis import analyze
from escnn.inference.classifier import Classifier
from escnn.report.html import data_uri, display_label, in_frame, moment, percent, value_text


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0.0 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.5, "50.0 %"),
        (0.9984, "99.8 %"),
        (0.9996, "> 99.9 %"),
        (1.0, "100.0 %"),
        (np.float32(0.99961), "> 99.9 %"),
    ],
)
def test_percentages_never_round_doubt_away(score: float, text: str) -> None:
    assert percent(score).replace("\u00a0", " ") == text


def test_numbers_labels_and_times_as_people_read_them() -> None:
    assert display_label("vacuum_cleaner") == "vacuum cleaner"
    assert value_text(-0.012345) == "\u22120.0123"
    assert [moment(seconds) for seconds in (5, 59.94, 59.96, 65)] == ["5.0 s", "59.9 s", "1:00.0", "1:05.0"]


def test_a_data_address_gives_its_content_back() -> None:
    kind, _, content = data_uri(b"\x00\xff<", "image/png").partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == b"\x00\xff<"


def test_styles_and_scripts_are_joined_in_their_order() -> None:
    outline = Outline(small().to_html())
    (style,), (_, script) = outline.contents("style"), outline.contents("script")
    assert style.index("--paper:") < style.index(".matrix")
    assert script.index("Confusion matrix".lower()) < script.index("location.protocol")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_in_a_frame_is_the_page_and_cannot_leave_it(text: str) -> None:
    html = f'<p title="a">{text}</p>'
    outline = Outline(in_frame(html))
    ((tag, attributes),) = outline.elements
    assert tag == "iframe"
    assert attributes["srcdoc"] == html
    assert attributes["sandbox"] == "allow-scripts"
    assert re.fullmatch(r"[4-9]\d\d", str(attributes["height"])), "pixels that fit a screen"
    assert outline.text == ""


def test_a_notebook_shows_an_evaluation_in_a_frame() -> None:
    shown = Outline(small()._repr_html_()).all("iframe")
    assert "ESC-50, fold 5" in str(shown[0]["srcdoc"])


def test_no_page_holds_a_control_character_of_a_name(small_model: Path) -> None:
    classifier = Classifier.load(small_model)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 4_000).astype(np.float32)
    analysis = analyze((noise, 8_000), classifier, name="a\x07b\x9b.wav")
    page = analysis.to_html(layers=["conv1"], command=["visualize", "a\x07b\x9b.wav"])
    assert not set(page) & {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
    assert "a\\x07b\\x9b.wav" in page
