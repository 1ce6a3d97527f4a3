"""The page of a recording: one HTML file of at most 15 MB that needs nothing but itself."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from escnn.analysis.recording.recording import RecordingAnalysis
from escnn.audio.log_mel import mel_frequencies
from escnn.report.html import render_page
from escnn.report.pictures import images
from escnn.report.pictures.axes import frequency_ticks, time_ticks
from escnn.report.recording.activity import Activity, activity, moment
from escnn.report.recording.data import cell, excerpt_islands, island, lanes, rows
from escnn.report.recording.pictures import tiles
from escnn.report.recording.words import counted, duration, position, verdict
from escnn.report.sound.page import title

MOST_BYTES = 15_000_000
ROOM_FOR_THE_REST = 400_000  # style, script, text; the rest is counted
NAMED_CLASSES = 8  # beside the verdict
STYLES = ("style.css", "recording/recording.css")
SCRIPTS = (
    "recording/state.js",
    "recording/timeline.js",
    "recording/moment.js",
    "recording/table.js",
    "recording/downloads.js",
)


def recording_page(
    analysis: RecordingAnalysis, *, command: Sequence[str] = (), created: datetime | None = None, index: str = ""
) -> str:
    """The page as HTML that can be encoded as UTF-8, of at most `MOST_BYTES`.

    Equal analyses give equal text: only the time tells two pages apart.

    Args:
        analysis: of the recording.
        command: as typed; an empty one is not shown.
        created: by default now.
        index: address of the page of all recordings, if there is one.
    """
    name, found = title(analysis.name), lanes(analysis)
    table, listed = rows(analysis, clock=analysis.start is not None)
    data = island(analysis, name, found)
    pictures, limits = tiles(analysis.long_term, analysis.seconds)
    rest = len(data) + len(table.encode()) + sum(len(tile.png) * 4 // 3 for tile in pictures)
    excerpts = excerpt_islands(analysis, MOST_BYTES - ROOM_FOR_THE_REST - rest)
    heard = sum(number in excerpts for number in analysis.excerpt_of)
    total = sum(analysis.found.counts.values())
    return render_page(
        "recording/page.html.j2",
        styles=STYLES,
        scripts=SCRIPTS,
        analysis=analysis,
        card=analysis.card,
        name=name,
        verdict=verdict(analysis, heard),
        lanes=found,
        named=NAMED_CLASSES,
        folded=[lane for lane in found if lane["background"]] if any(not lane["background"] for lane in found) else [],
        total=total,
        listed=listed,
        rows=table,
        data=data,
        excerpts=dict(sorted(excerpts.items())),
        cell=cell(analysis.card),
        tiles=pictures,
        limits=limits,
        frequency_ticks=frequency_ticks(mel_frequencies(analysis.long_term.audio)),
        time_ticks=time_ticks(0.0, analysis.seconds),
        activity=_activity(analysis),
        start=None if analysis.start is None else moment(analysis.start, 0.0),
        index=index,
        command=shlex.join(["escnn", *command]) if command else "",
        created=created or datetime.now(UTC).replace(microsecond=0),
        color_strip=images.png_bytes(images.color_bar(images.SPECTROGRAM_COLORS)),
        evidence_strip=images.png_bytes(images.color_bar(images.SALIENCY_COLORS)),
        duration=duration,
        position=position,
        counted=counted,
    )


def _activity(analysis: RecordingAnalysis) -> Activity | None:
    """None where the clock is not known, or there is nothing to compare."""
    if analysis.start is None or not analysis.events:
        return None
    found = activity(analysis.events, analysis.seconds, analysis.start)
    return found if len(found.stretches) > 1 else None
