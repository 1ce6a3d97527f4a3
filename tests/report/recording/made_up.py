"""Recordings made up for the tests of their page: no network computed anything."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from report.sound.made_up import CARD

from escnn.analysis.recording.excerpts import Excerpt, plan_excerpts
from escnn.analysis.recording.found import Highest
from escnn.analysis.recording.long_term import LongTermListener, LongTermSpectrogram
from escnn.analysis.recording.recording import Found, RecordingAnalysis
from escnn.audio.decoding import SoundInfo
from escnn.audio.encoding import encode
from escnn.audio.log_mel import AudioConfig
from escnn.detection.detector import Event
from escnn.model.architecture import ModelConfig
from escnn.model.card import ModelCard
from escnn.report.recording.page import recording_page

LABELS = (
    "crow", "dog", "car_horn", "rooster", "church_bells", "wind", "frog", "hen", "cat", "sheep", "siren", "train",
    "engine", "laughing", "coughing", "rain", "airplane", "cow", "pig", "clapping", "footsteps", "chirping_birds",
)  # fmt: skip
MANY = replace(CARD, labels=LABELS, audio=AudioConfig(), model=ModelConfig())
HOUR = 70 * 60.0
START = datetime(2024, 7, 2, 4, 44, 4)
CREATED = datetime(2026, 11, 22, 17, 40, tzinfo=UTC)


def made_up_events(
    count: int, seconds: float = HOUR, card: ModelCard = MANY, classes: int | None = None, seed: int = 0
) -> list[Event]:
    """Events at random; their class, length and score follow from the seed. The first class is the most frequent."""
    rng = np.random.default_rng(seed)
    classes = len(card.labels) if classes is None else classes
    shares = 1.0 / np.arange(1, classes + 1)
    ids = rng.choice(classes, count, p=shares / shares.sum())
    ids[:classes] = np.arange(classes)[:count]
    starts = np.sort(rng.uniform(0, seconds - 6, count))
    events = []
    for class_id, start in zip(ids.tolist(), starts.tolist(), strict=True):
        length = float(rng.uniform(0.3, 5.5))
        peak = start + length * float(rng.uniform(0.2, 0.8))
        score = float(rng.uniform(0.6, 1.0))
        label = card.labels[class_id]
        events.append(Event(round(start, 3), round(start + length, 3), round(peak, 3), label, class_id, score))
    return sorted(events, key=lambda event: (event.start, event.class_id))


def recording_of(
    events: Sequence[Event],
    seconds: float = HOUR,
    *,
    card: ModelCard = MANY,
    start: datetime | None = START,
    most_bytes: int = 13_500_000,
    name: str = "folder/night.wav",
    **found: Any,
) -> RecordingAnalysis:
    """A recording with these events. Each excerpt is a tone; the evidence for each class is strongest in its lowest row
    and last column. The third event is the loudest.
    """
    rng = np.random.default_rng(0)
    events = tuple(events)
    plan = plan_excerpts(events, seconds, most_bytes)
    rate = card.audio.sample_rate
    excerpts = []
    heard_in: dict[int, set[int]] = {}
    for event, excerpt in zip(events, plan.of_event, strict=True):
        if excerpt is not None:
            heard_in.setdefault(excerpt, set()).add(event.class_id)
    for number, span in enumerate(plan.spans):
        length = round(10 * (span.end - span.start)) * rate // 10
        cells = (4, -(-length // 16_384))  # as many columns as the network has, each 0.37 s
        evidence = {}
        for class_id in sorted(heard_in[number]):
            evidence[class_id] = rng.random(cells, dtype=np.float32) / 2
            evidence[class_id][0, -1] = 1.0
        log_mel = rng.uniform(-90, -30, (64, max(8, length * 50 // rate))).astype(np.float32)
        excerpts.append(Excerpt(span, _tone(length, rate), 12.0, log_mel, evidence))
    long_term = _noise(card.audio)
    long_term = replace(long_term, column_seconds=seconds / long_term.decibels.shape[1])
    levels = [-40.0 - number % 20 for number in range(len(events))]
    if len(levels) > 2:
        levels[2] = -5.0
    return RecordingAnalysis(
        found=Found(
            name,
            seconds,
            events,
            found.pop("counts", dict(Counter(event.class_id for event in events))),
            card.events if "settings" not in found else found.pop("settings"),
            found.pop("class_ids", ()),
            found.pop("highest", None if events else Highest(0, 724.0, 0.4171)),
            found.pop("warnings", ()),
        ),
        seconds=seconds,
        start=start,
        levels=tuple(levels),
        excerpts=tuple(excerpts),
        excerpt_of=plan.of_event,
        long_term=long_term,
        surest=None,
        info=SoundInfo(44_100, 1, "WAV", "PCM_16"),
        sha256="ab" * 32,
        card=card,
        versions={"escnn": "0.2.0", "onnxruntime": "1.32.0"},
    )


@functools.cache
def _noise(audio: AudioConfig) -> LongTermSpectrogram:
    rng = np.random.default_rng(0)
    listener = LongTermListener(audio)
    for _ in range(40):
        listener.add((0.1 * rng.standard_normal(audio.n_fft * 64)).astype(np.float32))
    return listener.end()[0]


@functools.cache
def _tone(length: int, rate: int) -> bytes:
    return encode(0.3 * np.sin(np.arange(length) * 0.06).astype(np.float32), rate, "MP3")


def render(analysis: RecordingAnalysis) -> str:
    """The page, as made by a command."""
    return recording_page(analysis, command=["detect", "night.wav", "--page", "out"], created=CREATED)
