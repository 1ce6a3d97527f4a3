"""What the page's script knows of the events, as JSON; the same as rows of a table, where no script runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from html import escape
from typing import Any

from escnn.analysis.recording.excerpts import by_priority
from escnn.analysis.recording.recording import RecordingAnalysis
from escnn.audio.log_mel import mel_frequencies
from escnn.errors import CONTROL_CHARACTERS
from escnn.model.architecture import receptive_fields
from escnn.model.card import ModelCard
from escnn.report.html import display_label, percent
from escnn.report.pictures import images
from escnn.report.pictures.axes import frequency_ticks
from escnn.report.recording.activity import moment, offsets
from escnn.report.recording.pictures import excerpt_document, palette
from escnn.report.recording.words import by_count, is_background, position

TONES = 5  # colours of lanes: neighbours differ, and each lane has its name
LISTED_ROWS = 20_000  # of the table without a script


def lanes(analysis: RecordingAnalysis) -> list[dict[str, Any]]:
    """The classes that were found: the most frequent first, backgrounds last."""
    labels, counts = analysis.card.labels, analysis.found.counts
    order = sorted(by_count(counts), key=lambda class_id: is_background(labels[class_id]))
    return [
        {
            "class": class_id,
            "label": labels[class_id],
            "name": display_label(labels[class_id]),
            "count": counts[class_id],
            "background": is_background(labels[class_id]),
            "tone": number % TONES,
        }
        for number, class_id in enumerate(order)
    ]


def island(analysis: RecordingAnalysis, title: str, found_lanes: Sequence[dict[str, Any]]) -> str:
    """The data of the page as JSON that may stand in a <script>."""
    audio, events = analysis.card.audio, analysis.events
    lane_of = {lane["class"]: number for number, lane in enumerate(found_lanes)}
    return json_island(
        {
            "name": title,
            "path": analysis.name.encode("utf-8", "backslashreplace").decode("utf-8"),
            "seconds": round(analysis.seconds, 3),
            "start": None
            if analysis.start is None
            else round(moment(analysis.start, 0.0).replace(tzinfo=UTC).timestamp() * 1000),
            "offsets": offsets(analysis.start, analysis.seconds),
            "least": analysis.least_score,
            "heard": [audio.f_min, audio.f_max],
            "lanes": found_lanes,
            "events": {
                "start": [round(event.start * 1000) for event in events],
                "end": [round(event.end * 1000) for event in events],
                "peak": [round(event.peak * 1000) for event in events],
                "lane": [lane_of[event.class_id] for event in events],
                "score": [round(event.score * 10_000) for event in events],
                "level": [round(level) for level in analysis.levels],
                "excerpt": [-1 if number is None else number for number in analysis.excerpt_of],
            },
            "excerpts": [[excerpt.span.start, excerpt.span.end] for excerpt in analysis.excerpts],
            "ticks": frequency_ticks(mel_frequencies(audio)),
            "cell": cell(analysis.card),
            "palettes": {
                "spectrogram": palette(images.SPECTROGRAM_COLORS),
                "evidence": palette(images.SALIENCY_COLORS),
            },
        }
    )


def cell(card: ModelCard) -> tuple[float, float]:
    """Of the evidence: how many seconds and what share of the bands a cell stands for."""
    stride = receptive_fields(card.model)[card.layers[-1]].stride
    return stride * card.audio.hop_length / card.audio.sample_rate, stride / card.audio.n_mels


def excerpt_islands(analysis: RecordingAnalysis, most_characters: int) -> dict[int, str]:
    """The excerpts by their number, as JSON: as many as fit, those of the surest events of every class first."""
    chosen: dict[int, str] = {}
    for number in by_priority(analysis.events):
        excerpt = analysis.excerpt_of[number]
        if excerpt is None or excerpt in chosen:
            continue
        document = json_island(excerpt_document(analysis.excerpts[excerpt]))
        most_characters -= len(document) + 100  # and what stands around it
        if most_characters < 0:
            break
        chosen[excerpt] = document
    return chosen


def rows(analysis: RecordingAnalysis, clock: bool) -> tuple[str, int]:
    """The events as HTML, the rows of a table, of more than `LISTED_ROWS` the surest; and how many rows there are."""
    events = analysis.events
    kept = list(range(len(events)))
    if len(events) > LISTED_ROWS:
        kept = sorted(sorted(kept, key=lambda k: -events[k].score)[:LISTED_ROWS])
    names = {event.class_id: escape(display_label(event.label).translate(CONTROL_CHARACTERS)) for event in events}
    lines = []
    for number in kept:
        event = events[number]
        time = (
            f"<td>{moment(analysis.start, event.start):%H:%M:%S}</td>" if clock and analysis.start is not None else ""
        )
        lines.append(
            f'<tr><th scope="row">{position(event.start, analysis.seconds, 1)}</th>{time}'
            f"<td>{event.end - event.start:.1f} s</td><td><bdi>{names[event.class_id]}</bdi></td>"
            f"<td>{percent(event.score)}</td></tr>"
        )
    return "\n".join(lines), len(lines)


def json_island(document: Any) -> str:
    """JSON that ends no <script> and begins no comment in it."""
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
