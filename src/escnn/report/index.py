"""The page beside the pages of several clips: all of them at a glance, each a link away. It has no script.

`render_index` fills `index.html.j2` with an `IndexPage` of plain values; pictures come as PNG bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from escnn.report import ClassScore
from escnn.report.html import render_page

SHOWN_SCORES = 3


@dataclass(frozen=True, slots=True)
class IndexClip:
    """A clip with a page of its own. `scores` are its best answers, best first, at least one."""

    name: str
    page: str  # path of its page from this one, with slashes and unquoted
    scores: Sequence[ClassScore]
    spectrogram_png: bytes  # low frequencies at the bottom, no axes
    seconds: float
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class IndexFailure:
    """A file that could not be read."""

    name: str
    reason: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class IndexPage:
    """Everything on the page, in the order given."""

    clips: Sequence[IndexClip]
    failures: Sequence[IndexFailure]
    model_name: str
    model_sha256: str
    versions: Sequence[tuple[str, str]]
    command: str
    created: datetime


def render_index(page: IndexPage) -> str:
    """The page as HTML that can be encoded as UTF-8. Equal pages give equal text: only `created` tells runs apart."""
    return render_page(
        "index.html.j2",
        styles=["style.css", "index.css"],
        scripts=[],
        page=page,
        counts=label_counts(page.clips),
        shown=SHOWN_SCORES,
        href=relative_href,
    )


def relative_href(path: str) -> str:
    """A path below this page as a link: whatever it holds, it is neither a scheme, a query nor another host.

    A name that is not UTF-8 arrives with lone surrogates in it; they stand for its bytes.
    """
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = path.encode("utf-8", "surrogatepass")
    return f"./{quote(encoded, safe='/')}"


def label_counts(clips: Sequence[IndexClip]) -> list[tuple[str, int]]:
    """How many clips each best label has, most first, then in the order they came."""
    return Counter(clip.scores[0].label for clip in clips).most_common()
