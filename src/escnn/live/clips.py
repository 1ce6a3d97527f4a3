"""What was heard of final events, as short files, out of a buffer of the last minutes."""

from __future__ import annotations

import io
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from escnn.audio.channels import Samples
from escnn.detection.output.clips import COLUMNS, TABLE, Clip
from escnn.files import appended_lines, write_bytes
from escnn.inference.formats import csv_line

KEPT_SECONDS = 180.0  # of sound: of an event that lasts longer, what came before is gone


class Heard:
    """The last minutes of a sound, with 16 bits."""

    def __init__(self, sample_rate: int, kept_seconds: float = KEPT_SECONDS) -> None:
        self.sample_rate = sample_rate
        self._most = round(kept_seconds * sample_rate)
        self._parts: deque[np.ndarray] = deque()
        self._first = self._end = 0  # samples that are held

    def add(self, samples: Samples) -> None:
        """Add samples, (time,), of -1 to 1."""
        if len(samples):
            self._parts.append(np.rint(np.clip(np.nan_to_num(samples), -1, 1) * 32_767).astype(np.int16))
            self._end += len(samples)
        while self._parts and self._end - self._first - len(self._parts[0]) >= self._most:
            self._first += len(self._parts.popleft())

    def between(self, start: float, end: float) -> tuple[np.ndarray, float]:
        """The samples from `start` to `end`, in seconds, as far as they are held, and where they begin."""
        first, last = (min(max(round(s * self.sample_rate), self._first), self._end) for s in (start, end))
        at, taken = self._first, []
        for part in self._parts:
            taken.append(part[max(0, first - at) : max(0, last - at)])
            at += len(part)
        return np.concatenate([np.zeros(0, np.int16), *taken]), first / self.sample_rate


class LiveClips:
    """A folder that gets a FLAC an event and a table of them; files that are there stay, and numbers go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        taken = [path.name.partition("_")[0] for path in folder.glob("[0-9]*_*.flac")]
        self._count = max((int(number) for number in taken if number.isdecimal()), default=0)
        if not (folder / TABLE).exists():
            self._append(csv_line(COLUMNS))

    def write(self, heard: Heard, document: dict[str, Any], *, offset: float = 0.0) -> Path | None:
        """The clip of a final event; None if nothing of it is held any more.

        Args:
            heard: the sound, whose start lies `offset` seconds after that of the document's times.
            document: of the event.

        Raises:
            OutputError: it cannot be written.
        """
        clip = Clip.of(self._count + 1, document)
        samples, begins = heard.between(clip.start - offset, clip.end - offset)
        if not len(samples):
            return None
        start = round(begins + offset, 3)
        clip = replace(clip, start=start, end=round(start + len(samples) / heard.sample_rate, 3))
        file = io.BytesIO()
        soundfile.write(file, samples, heard.sample_rate, "PCM_16", format="FLAC")
        path = self._folder / f"{clip.name}.flac"
        write_bytes(path, file.getbuffer())
        self._count += 1
        self._append(csv_line(clip.row()))
        return path

    def _append(self, line: str) -> None:
        with appended_lines(self._folder / TABLE) as append:
            append(f"{line}\r")
