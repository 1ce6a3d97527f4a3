"""Which file the page of a recording is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from escnn import files
from escnn.analysis.recording.recording import RecordingAnalysis
from escnn.report.recording.page import recording_page

PAGE = "report.html"


def save_recording(analysis: RecordingAnalysis, folder: Path, *, command: Sequence[str] = ()) -> Path:
    """Write the page into `folder`, which is made if it is not there; gives its path."""
    files.write_text(folder / PAGE, recording_page(analysis, command=command))
    return folder / PAGE
