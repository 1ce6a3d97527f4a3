from __future__ import annotations

import numpy as np
import pytest

from escnn.analysis.recording.found import FoundEvents
from escnn.detection.detector import Event


def event(start: float, score: float, class_id: int = 0) -> Event:
    return Event(start, start + 1, start + 0.5, "dog", class_id, score)


def test_of_too_many_events_the_surest_are_kept_and_all_are_counted() -> None:
    found = FoundEvents(0.1, most=10)
    for number in range(1_000):
        found.add([event(float(number), (number * 37 % 1_000) / 1_000, number % 3)])
    kept = found.kept()
    assert sorted(event.score for event in kept) == pytest.approx([0.99 + k / 1_000 for k in range(10)])
    assert [event.start for event in kept] == sorted(event.start for event in kept)
    assert found.counts.total() == 1_000
    assert found.counts[0] == 334


def test_the_highest_score_is_found_wherever_the_pieces_end() -> None:
    scores = np.zeros((50, 3), dtype=np.float32)
    scores[33, 2], scores[12, 1] = 0.4, 0.3
    for cut in (0, 5, 33, 34, 50):
        found = FoundEvents(0.5)
        for piece in (scores[: cut // 2], scores[cut // 2 : cut], scores[cut:]):
            found.see(piece)
        assert found.highest is not None
        assert (found.highest.class_id, found.highest.seconds) == (2, 16.5)
        assert found.highest.score == pytest.approx(0.4)
