"""Every letter is drawn in some typeface, or as an escape; labels that differ are drawn differently, however long."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.font_manager import fontManager

from escnn.report.pictures import fonts
from escnn.report.pictures.confusion_matrix import confusion_matrix
from escnn.report.pictures.spectrogram import waveform

NOBODYS = "\U0010fffd"  # private: whatever a typeface has there


def glyph(width: int) -> object:
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((0, 700))
    pen.lineTo((width, 700))
    pen.lineTo((width, 0))
    pen.closePath()
    return pen.glyph()


@pytest.fixture
def typeface(tmp_path: Path) -> None:
    """A typeface of the system with two letters that no other has, a narrow and a wide bar."""
    names = {".notdef": 0, "narrow": 0x3400, "wide": 0x3401}
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(list(names))
    font.setupCharacterMap({code: name for name, code in names.items() if code})
    font.setupGlyf({name: glyph(width) for name, width in zip(names, (0, 100, 800), strict=True)})
    font.setupHorizontalMetrics(dict.fromkeys(names, (900, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Unicode of the Tests", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / "unicode.ttf")
    fontManager.addfont(tmp_path / "unicode.ttf")


def test_what_the_own_typeface_lacks_comes_from_one_of_the_system(typeface: None) -> None:
    assert fonts.drawable("dog \u3400\u3401") == "dog \u3400\u3401"
    samples = np.ones(100, dtype=np.float32)
    narrow, wide = (np.asarray(waveform(samples, 8_000, title * 20)) for title in ("\u3400", "\u3401"))
    assert (wide < 128).sum() > (narrow < 128).sum() + 5_000, "more ink"
    counts = np.eye(2, dtype=int)
    assert confusion_matrix(counts, ["a\u3400", "b"]) != confusion_matrix(counts, ["a\u3401", "b"])


def test_what_no_typeface_has_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fonts.drawable(f"dog {NOBODYS}\x07\n\udce9$x_1$") == "dog \\U0010fffd\\x07\\n\\udce9$x_1$"
    own = [entry for entry in fontManager.ttflist if entry.name == fonts.OWN]
    monkeypatch.setattr(fontManager, "ttflist", own)
    assert fonts.drawable("\u3402") == "\\u3402"
    assert fonts.drawable("Größe, σκύλος, собака") == "Größe, σκύλος, собака"


def test_nothing_of_the_users_language_is_asked_of_matplotlib_in_vain() -> None:
    labels = ["狗叫声", f"{NOBODYS}", "🐓 cock", "dog", "\u0643\u0644\u0628"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confusion_matrix(np.eye(len(labels), dtype=int), labels)


LABELS = st.lists(st.text(min_size=1, max_size=120), min_size=1, max_size=12, unique=True)


@settings(max_examples=200, deadline=None)
@given(LABELS)
@example(["x" * 60 + "A" + "y" * 60, "x" * 60 + "B" + "y" * 60, "x" * 60 + "AA" + "y" * 59])
@example(["w" * 500, "w" * 499, "w" * 498 + "v"])
@example(["a…a", "狗" * 40, "狗" * 41, "猫" * 40])
@example(["0" * 33, "0" * 34, "0" * 16 + "…" + "0" * 16])
def test_labels_that_differ_stay_different_and_short(labels: list[str]) -> None:
    short = fonts.shortened(labels)
    assert len(set(short)) == len(short) == len(labels)
    assert all(len(label) <= fonts.LONGEST_LABEL + 6 for label in short)
    for label, drawn in zip(labels, short, strict=True):
        if len(label) <= 30 and label.isascii() and label.isprintable():
            assert drawn == label


def test_a_long_label_keeps_its_beginning_and_its_end() -> None:
    (short,) = fonts.shortened(["dog barking in the garden at night, recorded from afar"])
    assert short.startswith("dog barking")
    assert short.endswith("from afar")
    assert "…" in short


def test_what_tells_long_labels_apart_is_shown() -> None:
    ends = "recorded in the garden at night with the ", " microphone of the neighbour across the street"
    short = fonts.shortened([ends[0] + word + ends[1] for word in ("left", "right")])
    assert ["left" in short[0], "right" in short[1]] == [True, True]


@pytest.mark.parametrize("labels", [["w" * 500, "w" * 499 + "v"], ["狗" * 60, "猫" * 60, "dog"]], ids=["w", "cjk"])
def test_long_labels_leave_room_for_the_matrix(labels: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = np.asarray(confusion_matrix(np.full((len(labels),) * 2, 3), labels).convert("L"))
    assert (picture < 250).mean() > 0.1, "cells in colour"
