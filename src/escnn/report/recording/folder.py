"""Which files a recording leaves: its page, and of its surest event a folder as of a short sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from escnn import files
from escnn.analysis.analysis import analyze
from escnn.analysis.recording.recording import RecordingAnalysis
from escnn.inference.classifier import Classifier
from escnn.report.html import display_label
from escnn.report.recording.page import recording_page
from escnn.report.recording.words import position
from escnn.report.sound.page import title

PAGE = "report.html"
SUREST = "surest-event"


def save_recording(analysis: RecordingAnalysis, folder: Path, *, command: Sequence[str] = (), index: str = "") -> Path:
    """Write the page into `folder`, which is made if it is not there; gives its path. It links to the `index`."""
    files.write_text(folder / PAGE, recording_page(analysis, command=command, index=index))
    return folder / PAGE


def save_surest_event(
    analysis: RecordingAnalysis,
    folder: Path,
    classifier: Classifier,
    *,
    classes: Sequence[str] = (),
    top_k: int = 5,
    **options: Any,
) -> Path | None:
    """Write the pictures, the prediction and the page of the surest event's window into `folder`/surest-event, as of a
    short sound; gives the path of that page, None where nothing was found.

    Args:
        analysis: of the recording.
        folder: of the recording's page.
        classifier: that found the event.
        classes: labels to show the evidence for, beside the event's and the best.
        top_k: classes to name.
        options: of `Analysis.save`.
    """
    if analysis.surest is None:
        return None
    window, audio = analysis.surest, analysis.card.audio
    label, end = window.event.label, window.start + len(window.samples) / audio.sample_rate
    times = " to ".join(position(seconds, analysis.seconds) for seconds in (window.start, end))
    sound = analyze(
        (window.samples, audio.sample_rate),
        classifier,
        name=f"{title(analysis.name)}, {display_label(label)}, {times}".replace("/", "_"),
        classes=[label, *classes],
        top_k=top_k,
    )
    return sound.save(folder / SUREST, top_k=top_k, **options)
