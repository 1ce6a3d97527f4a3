"""The terminal while sound is heard: a meter, a running spectrogram in blocks, the last events."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from escnn.audio.channels import Samples
from escnn.audio.log_mel import AudioConfig
from escnn.cli.console import Console, printable
from escnn.live.log_mel_stream import LogMels, LogMelStream

Array = NDArray[np.float32]
DRAWN_SECONDS = 0.3  # from one drawing to the next
COLUMN_SECONDS = 0.25  # of sound in a column of the spectrogram
ROWS = 12  # of text; each holds two of the spectrogram
MOST_COLUMNS = 100
EVENTS = 6
QUIET_DB = -60.0  # the left end of the meter
RANGE_DB = 50.0  # of the spectrogram, below the loudest of it
# Of viridis, dark to light.
COLOURS = [
    "#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26",
    "#fde725",
]  # fmt: skip
_STYLES: dict[tuple[int, int], Style] = {}


class Display:
    """What is drawn."""

    def __init__(self, name: str, labels: Sequence[str], audio: AudioConfig, log_mels: LogMels) -> None:
        self._name, self._labels, self._audio = name, labels, audio
        self._stream = LogMelStream(log_mels, audio)
        self._column = max(1, round(COLUMN_SECONDS * audio.sample_rate / audio.hop_length))  # frames
        self._frames: Array = np.zeros((audio.n_mels, 0), dtype=np.float32)
        self._columns: deque[Array] = deque(maxlen=MOST_COLUMNS)
        self._latest: Array = np.zeros(len(labels), dtype=np.float32)
        self._level = self._highest = QUIET_DB
        self._events: dict[int, dict[str, Any]] = {}
        self._note = ""
        self._drawn = 0.0
        self._update: Callable[[], None] = lambda: None

    @contextmanager
    def shown(self, console: Console) -> Iterator[None]:
        """On the terminal while the block runs."""
        with Live(self.picture(80), console=console.on_stderr(), auto_refresh=False, transient=True) as live:
            self._update = lambda: live.update(self.picture(live.console.width), refresh=True)
            try:
                yield
            finally:
                self._update = lambda: None

    def hear(self, samples: Samples, latest: Array) -> None:
        """Samples, (time,), and the scores, (classes,), of what sounds now."""
        self._latest = latest
        if not len(samples):
            return
        level = 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12)
        self._level = max(QUIET_DB, float(level), self._level - 3)
        self._frames = np.concatenate((self._frames, self._stream.feed(samples)), axis=1)
        while self._frames.shape[1] >= self._column:
            part, self._frames = self._frames[:, : self._column], self._frames[:, self._column :]
            bands = np.array_split(part.max(axis=1), 2 * ROWS)
            self._columns.append(np.array([band.max() for band in bands], dtype=np.float32))

    def tell(self, document: dict[str, Any]) -> None:
        """What became known of an event."""
        self._events.pop(document["id"], None)
        self._events[document["id"]] = document
        while len(self._events) > EVENTS:
            del self._events[next(iter(self._events))]

    def note(self, text: str) -> None:
        """Something that a person should know."""
        self._note = text

    def draw(self) -> None:
        """Draw, if it is time."""
        if time.monotonic() - self._drawn >= DRAWN_SECONDS:
            self._update()
            self._drawn = time.monotonic()

    def picture(self, width: int) -> Group:
        """Everything, for a terminal so wide."""
        parts: list[RenderableType] = [
            self._meter(width),
            *self._spectrogram(max(10, min(width - 1, MOST_COLUMNS))),
            self._now(),
            self._table(),
        ]
        if self._note:
            parts.append(Text.assemble(("warning: ", "yellow bold"), printable(self._note)))
        return Group(*parts)

    def _meter(self, width: int) -> Text:
        room = max(4, min(40, width - 30))
        full = round(room * (1 - self._level / QUIET_DB))
        bar = ("█" * full, "green" if self._level < -6 else "red"), ("─" * (room - full), "dim")
        return Text.assemble(*bar, f" {self._level:4.0f} dB  ", printable(self._name[:60]))

    def _spectrogram(self, width: int) -> list[Text]:
        columns = list(self._columns)[-width:]
        if not columns:
            return [Text("waiting for sound")]
        picture = np.stack(columns, axis=1)  # (bands, columns), the lowest first
        loudest = max(float(picture.max()), -60.0)
        steps = np.clip((picture - loudest + RANGE_DB) / RANGE_DB * len(COLOURS), 0, len(COLOURS) - 1).astype(int)
        rows = []
        for row in range(ROWS - 1, -1, -1):
            text = Text(no_wrap=True)
            cells = zip(steps[2 * row + 1].tolist(), steps[2 * row].tolist(), strict=True)
            for (high, low), alike in itertools.groupby(cells):
                text.append("▀" * len(list(alike)), _style(high, low))
            rows.append(text)
        return rows

    def _now(self) -> Text:
        best = np.argsort(-self._latest)[:3]
        said = ", ".join(f"{self._labels[number]} {self._latest[number]:.2f}" for number in best)
        return Text.assemble(("now: ", "dim"), printable(said))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for column in ("", "from", "to", "what", "score"):
            table.add_column(column, justify="right" if column in ("from", "to", "score") else "left")
        styles = {"provisional": "yellow", "withdrawn": "dim strike", "final": "bold"}
        for event in reversed(self._events.values()):
            end = event["end_seconds"]
            table.add_row(
                event["state"],
                _time(event["start_seconds"]),
                "" if end is None else _time(end),
                printable(event["label"]),
                f"{event['score']:.2f}",
                style=styles[event["state"]],
            )
        return table


def _style(high: int, low: int) -> Style:
    if (high, low) not in _STYLES:
        _STYLES[high, low] = Style(color=COLOURS[high], bgcolor=COLOURS[low])
    return _STYLES[high, low]


def _time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{rest:04.1f}"
