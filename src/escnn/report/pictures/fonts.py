"""Letters that matplotlib's own typeface lacks come from one of the system's; those that none has are escaped."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN = "DejaVu Sans"  # comes with matplotlib
LIKELY = (
    "cjk",
    "unicode",
    "fallback",
    "noto sans",
    "yahei",
    "gothic",
    "hei",
    "hiragino",
)  # in names of large typefaces
MOST_OPENED = 300  # typefaces that are looked into
LONGEST_LABEL = 32  # letters of OWN


def drawable(text: str) -> str:
    """`text` with escapes in place of what can be drawn by no typeface that is there."""
    return "".join(map(_drawn, text))


def complete(figure: Figure) -> None:
    """Let every text of a figure take from another typeface what its own lacks."""
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    letters = {letter for text in texts for letter in text.get_text()}
    if others := sorted({family for letter in letters if (family := _family(letter)) not in (None, OWN)}):
        for text in texts:
            text.set_fontfamily([OWN, *others])


def shortened(labels: Sequence[str]) -> list[str]:
    """Labels as they are drawn, long ones without their middle: those that differ stay different."""
    first = [_without_middle(label) for label in labels]
    short = [*first]
    for index, label in enumerate(labels):
        alike = [other for other, drawn in zip(labels, first, strict=True) if drawn == first[index] and other != label]
        if alike:  # what tells them apart is in the middle
            start = min(_common(label, other) for other in alike)
            short[index] = f"{_fitting(label[:start], 10)}…{_fitting(label[start:], LONGEST_LABEL - 11)}"
    return [label if short.count(label) == 1 else f"{label} ({k})" for k, label in enumerate(short)]


def _without_middle(label: str) -> str:
    if sum(map(_width, label)) <= LONGEST_LABEL:
        return drawable(label)
    tail = _fitting(reversed(label), LONGEST_LABEL // 2)
    return f"{_fitting(label, LONGEST_LABEL - LONGEST_LABEL // 2)}…{tail}"


def _fitting(letters: Iterable[str], width: int) -> str:
    """As many of the letters as fit, drawn; of reversed ones, in the order of the text."""
    fitting: list[str] = []
    for letter in letters:
        width -= _width(letter)
        if width < 0:
            break
        fitting.append(_drawn(letter))
    return "".join(reversed(fitting) if isinstance(letters, reversed) else fitting)


def _common(one: str, other: str) -> int:
    """How many letters two texts begin with in common."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _width(letter: str) -> int:
    drawn = _drawn(letter)
    return 2 if unicodedata.east_asian_width(drawn[0]) in "WF" else len(drawn)


def _drawn(letter: str) -> str:
    if letter.isprintable() and _family(letter) is not None:
        return letter
    return letter.encode("unicode_escape", "backslashreplace").decode()


@functools.cache
def _family(letter: str) -> str | None:
    """The typeface to draw a letter in: matplotlib's own, else one of the system's; None if none has it."""
    return next((name for name, letters in _typefaces() if ord(letter) in letters), None)


def _typefaces() -> Iterable[tuple[str, frozenset[int]]]:
    """Names of typefaces with the letters that they have: matplotlib's own, then those likely to have many."""
    from matplotlib.font_manager import fontManager

    yield OWN, _letters(OWN)
    names = {entry.name: entry.fname for entry in fontManager.ttflist if entry.style == "normal"}
    likely = sorted(names, key=lambda name: (not any(part in name.lower() for part in LIKELY), name))
    for name in likely[:MOST_OPENED]:
        yield name, _letters(name)


@functools.cache
def _letters(family: str) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    with suppress(Exception):  # of FreeType, or a typeface of small pictures, which cannot be scaled
        font = get_font(findfont(FontProperties(family=family), fallback_to_default=False))
        if font.scalable:
            return frozenset(font.get_charmap())
    return frozenset()
