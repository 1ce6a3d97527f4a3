"""The page beside the pages of several sounds: all of them at once, each a link away. It has no script."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from escnn.inference.prediction import Failure, Prediction
from escnn.model.card import ModelCard
from escnn.report.html import render_page
from escnn.report.sound.page import title

SHOWN_SCORES = 3


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A sound with a page of its own: what is kept of its analysis, as a thousand analyses do not fit in memory."""

    prediction: Prediction
    page: str  # path of its page from this one, with slashes and unquoted
    spectrogram_png: bytes  # of its main window, low frequencies at the bottom, no axes


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """A recording with a page of its own, among sounds."""

    name: str
    seconds: float
    counts: tuple[tuple[str, int], ...]  # label and events, the most frequent first
    warnings: tuple[str, ...]
    page: str  # as of a sound
    spectrogram_png: bytes  # of all of it


def index_page(
    entries: Sequence[IndexEntry | RecordingEntry],
    failures: Sequence[Failure],
    card: ModelCard,
    versions: Mapping[str, str],
    *,
    top_k: int = 5,
    command: Sequence[str] = (),
    created: datetime | None = None,
) -> str:
    """The page as HTML that can be encoded as UTF-8, with sounds and failures in the order given.

    Args:
        entries: the sounds.
        failures: files that could not be read.
        card: the model that named them.
        versions: of what made the numbers.
        top_k: classes to name of each, at most `SHOWN_SCORES`.
        command: as typed; an empty one is not shown.
        created: by default now.
    """
    return render_page(
        "index/page.html.j2",
        styles=["style.css", "index/index.css"],
        scripts=[],
        entries=entries,
        failures=failures,
        card=card,
        versions=versions,
        command=shlex.join(["escnn", *command]) if command else "",
        created=created or datetime.now(UTC).replace(microsecond=0),
        counts=Counter(
            entry.prediction.top(1)[0][0] for entry in entries if isinstance(entry, IndexEntry)
        ).most_common(),
        shown=min(top_k, SHOWN_SCORES),
        is_recording=lambda entry: isinstance(entry, RecordingEntry),
        href=relative_href,
        title=title,
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
