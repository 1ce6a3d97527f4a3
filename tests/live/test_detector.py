"""Events while they sound: final ones are those of `detect`, provisional ones come before, or are taken back."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from conftest import SMALL_AUDIO, SMALL_HEAD, random_model

from escnn.audio.log_mel import AudioConfig, LogMel
from escnn.detection.detections import detect
from escnn.inference.classifier import Classifier
from escnn.inference.onnx_runtime import OnnxRuntime
from escnn.live.detector import LiveDetector, LiveEvent
from escnn.live.formats import live_document, schema
from escnn.model.frames import EventSettings, Geometry

RATE = SMALL_AUDIO.sample_rate
SETTINGS = EventSettings(
    onset_score=0.962, offset_share=0.999, merge_seconds=0.1
)  # what random weights reach now and then
AUDIO = AudioConfig(sample_rate=1_000, clip_seconds=2.0, n_fft=64, hop_length=50, n_mels=8, f_min=0.0, f_max=500.0)


def stand_in(margin: int = 64) -> Any:
    """A network whose class 0 sounds where the loudest cell is louder than -60 dB, and class 1 where that is so and it
    was shown nothing louder than -20 dB within the margin after it: what it does not know yet, it takes for silence.
    """
    card = SimpleNamespace(
        audio=AUDIO, frame_geometry=Geometry(4, 8, margin), frame_seconds=0.2, labels=("loud", "hasty"), events=SETTINGS
    )

    def frame_scores(log_mels: np.ndarray) -> np.ndarray:
        level = log_mels.max(axis=1)  # (batch, frames)
        level = np.pad(level, ((0, 0), (2, 6)), constant_values=-110)[:, : 4 * -(-level.shape[1] // 4)]
        level = level.reshape(len(level), 1, -1, 4).max(axis=3)
        loud = (level > -60).astype(np.float32)
        ahead = np.stack([np.roll(level, -k, axis=2) for k in range(margin // 4)]).max(axis=0)
        return np.concatenate((loud, loud * (ahead < -20)), axis=1)

    return SimpleNamespace(
        card=card, runtime=SimpleNamespace(card=card, log_mels=LogMel(AUDIO), frame_scores=frame_scores)
    )


def heard(detector: LiveDetector, sound: np.ndarray, pieces: int) -> list[LiveEvent]:
    found = [event for piece in np.array_split(sound, pieces) for event in detector.feed(piece)]
    return found + detector.end()


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(OnnxRuntime(random_model(frames=SMALL_HEAD), threads=1))


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    rng = np.random.default_rng(5)
    level = np.repeat(rng.uniform(0.001, 0.3, 40), RATE)
    return (level * rng.standard_normal(len(level))).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("pieces", [1, 7, 400])
def test_final_events_are_those_of_detect(classifier: Classifier, sound: np.ndarray, pieces: int) -> None:
    changes = {"onset_score": 0.962, "offset_share": 0.999, "merge_seconds": 0.1}
    expected = detect((sound, RATE), classifier, **changes)
    events = [
        found.event for found in heard(LiveDetector(classifier, SETTINGS), sound, pieces) if found.state == "final"
    ]
    assert len(events) > 20
    assert sorted(events, key=lambda event: (event.start, event.class_id)) == list(expected.events)


def test_what_is_told_depends_on_no_pieces_length(classifier: Classifier, sound: np.ndarray) -> None:
    detectors = [LiveDetector(classifier, SETTINGS, provisional_score=0.962) for _ in range(3)]
    told = [heard(one, sound, pieces) for one, pieces in zip(detectors, (1, 13, 977), strict=True)]
    assert told[0] == told[1] == told[2]
    assert {found.state for found in told[0]} == {"provisional", "withdrawn", "final"}


def test_every_provisional_event_comes_true_or_is_withdrawn_and_ids_are_not_used_twice(
    classifier: Classifier, sound: np.ndarray
) -> None:
    found = heard(LiveDetector(classifier, SETTINGS, first_id=7, provisional_score=0.962), sound, 50)
    by_id: dict[int, list[str]] = {}
    for event in found:
        by_id.setdefault(event.id, []).append(event.state)
    assert min(by_id) == 7
    assert {tuple(states) for states in by_id.values()} == {
        ("provisional", "final"), ("provisional", "withdrawn"), ("final",),
    }  # fmt: skip
    assert [event.told_seconds for event in found] == sorted(event.told_seconds for event in found)


def test_an_event_is_told_as_it_begins() -> None:
    sound = np.zeros(40_000, np.float32)
    sound[20_000:25_000] = 0.05 * np.sin(np.arange(5_000))
    found = heard(LiveDetector(stand_in(), EventSettings(median_frames=1)), sound, 100)
    loud = [event for event in found if event.event.label == "loud"]
    assert [event.state for event in loud] == ["provisional", "final"]
    assert 20.0 <= loud[0].told_seconds <= 20.9
    assert loud[0].event.start == pytest.approx(20.0, abs=0.3)
    assert (loud[1].event.start, loud[1].event.end) == (pytest.approx(20.0, abs=0.3), pytest.approx(25.0, abs=0.3))
    assert loud[1].told_seconds < 33


def test_what_does_not_come_true_is_withdrawn() -> None:
    sound = np.zeros(40_000, np.float32)
    sound[20_000:22_000] = 0.01 * np.sin(np.arange(2_000))
    sound[21_000:22_000] = 0.9 * np.sin(np.arange(1_000))  # before which nothing was of the hasty class
    for length in (40_000, 21_500):  # taken back as soon as that is clear, or at the end
        found = heard(LiveDetector(stand_in(), EventSettings(median_frames=1)), sound[:length], 100)
        hasty = [event for event in found if event.event.label == "hasty"]
        assert [event.state for event in hasty] == ["provisional", "withdrawn"]
        assert hasty[1].told_seconds < 30
        assert [event.state for event in found if event.event.label == "loud"] == ["provisional", "final"]


def test_only_what_is_asked_for_is_told(classifier: Classifier, sound: np.ndarray) -> None:
    found = heard(LiveDetector(classifier, SETTINGS, [2]), sound, 9)
    assert {event.event.label for event in found} == {"high"}
    assert {event.state for event in heard(LiveDetector(classifier, SETTINGS, provisional=False), sound, 9)} == {
        "final"
    }
    raised = heard(LiveDetector(classifier, SETTINGS, thresholds={2: 1.0}), sound, 9)
    assert "high" not in {event.event.label for event in raised if event.state == "final"}


def test_nothing_heard_is_nothing_told(classifier: Classifier) -> None:
    assert LiveDetector(classifier, SETTINGS).end() == []


def test_a_line_keeps_the_schema_that_is_in_the_docs(classifier: Classifier, sound: np.ndarray) -> None:
    kept = json.loads((Path(__file__).parents[2] / "docs" / "live.schema.json").read_text("utf-8"))
    assert kept == schema()
    for found in heard(LiveDetector(classifier, SETTINGS, provisional_score=0.962), sound, 9):
        document = live_document("-", found, offset=100.0)
        jsonschema.validate(document, kept)
        assert document["start_seconds"] >= 100
        assert (document["end_seconds"] is None) == (found.state != "final")


@pytest.mark.slow
def test_a_day_takes_no_more_memory_than_an_hour() -> None:
    """24 hours fed fast, with clicks at known times."""
    detector = LiveDetector(stand_in(), EventSettings(median_frames=1))
    hour = 3600 * AUDIO.sample_rate
    clicks = [hour * number + 1_234 * number + 500 for number in range(24)]
    found: list[LiveEvent] = []
    before = 0
    for first in range(0, 24 * hour, 10_001):
        block = np.zeros(min(10_001, 24 * hour - first), np.float32)
        block[[click - first for click in clicks if 0 <= click - first < len(block)]] = 1.0
        found += detector.feed(block)
        if first < hour:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found += detector.end()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000  # KiB
    final = [event.event for event in found if event.state == "final" and event.event.label == "loud"]
    assert len(final) == len(clicks)
    for click, event in zip(clicks, final, strict=True):
        assert abs((event.start + event.end) / 2 - click / AUDIO.sample_rate) <= 0.2
