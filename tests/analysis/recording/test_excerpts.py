from __future__ import annotations

import numpy as np
import pytest

from escnn.analysis.recording.excerpts import (
    BYTES_OF_AN_EXCERPT,
    BYTES_PER_SECOND,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Cutter,
    Span,
    by_priority,
    plan_excerpts,
    span_of,
)
from escnn.detection.detector import Event


def event(start: float, end: float, score: float = 0.9, class_id: int = 0, peak: float | None = None) -> Event:
    return Event(start, end, (start + end) / 2 if peak is None else peak, "dog", class_id, score)


def test_of_every_class_the_surest_comes_first() -> None:
    events = [
        event(0, 1, 0.7, 0),
        event(2, 3, 0.99, 0),
        event(4, 5, 0.65, 1),
        event(6, 7, 0.95, 0),
        event(8, 9, 0.6, 1),
    ]
    assert by_priority(events) == [1, 2, 3, 4, 0]


@pytest.mark.parametrize(
    ("start", "end", "peak", "expected"),
    [
        (10.0, 12.0, 11.0, Span(9.5, 12.5)),
        (10.0, 10.2, 10.1, Span(9.1, 11.1)),
        (10.0, 70.0, 40.0, Span(37.5, 42.5)),
        (10.0, 70.0, 10.1, Span(9.5, 14.5)),
        (10.0, 70.0, 69.9, Span(65.5, 70.5)),
        (0.0, 0.4, 0.1, Span(0.0, 2.0)),
        (99.5, 100.0, 99.7, Span(98.0, 100.0)),
    ],
)
def test_an_event_is_heard_whole_or_around_its_peak(start: float, end: float, peak: float, expected: Span) -> None:
    assert span_of(event(start, end, peak=peak), 100.0) == expected


def test_a_sound_shorter_than_an_excerpt_is_one() -> None:
    assert span_of(event(0.1, 0.4), 1.2) == Span(0.0, 1.2)


def test_what_sounds_at_once_is_heard_at_once() -> None:
    rain = event(0, 600, 0.8, 1, peak=50.3)
    plan = plan_excerpts([rain, event(49.5, 51, 0.9), event(50.2, 50.4, 0.95, 2), event(300, 301, 0.7)], 600.0, 10**9)
    assert len(plan.spans) == 2
    assert plan.of_event == (0, 0, 0, 1)


def test_a_budget_is_kept_and_every_class_has_its_share() -> None:
    rng = np.random.default_rng(0)
    events = [event(20.0 * k, 20.0 * k + 3, float(rng.uniform(0.5, 1)), k % 7) for k in range(700)]
    budget = 2_000_000
    plan = plan_excerpts(events, 14_010.0, budget)
    assert sum(BYTES_OF_AN_EXCERPT + BYTES_PER_SECOND * (span.end - span.start) for span in plan.spans) <= budget
    heard = [number for number, excerpt in enumerate(plan.of_event) if excerpt is not None]
    per_class = [sum(events[number].class_id == class_id for number in heard) for class_id in range(7)]
    assert max(per_class) - min(per_class) <= 1
    for class_id in range(7):
        scores = {k: events[k].score for k in range(700) if events[k].class_id == class_id}
        mine = [k for k in heard if k in scores]
        assert min(scores[k] for k in mine) >= max(score for k, score in scores.items() if k not in mine)


def test_every_event_lies_in_the_excerpt_that_it_is_heard_in() -> None:
    rng = np.random.default_rng(1)
    events = []
    for start in np.sort(rng.uniform(0, 900, 800)).tolist():
        length = float(rng.exponential(4.0)) + 0.05
        end = min(start + length, 900.0)
        events.append(event(start, end, float(rng.uniform(0.5, 1)), int(rng.integers(5)), start + 0.3 * (end - start)))
    plan = plan_excerpts(events, 900.0, 5_000_000)
    assert sorted(plan.spans, key=lambda span: span.start) == list(plan.spans)
    for found, number in zip(events, plan.of_event, strict=True):
        if number is not None:
            span = plan.spans[number]
            assert SHORTEST_SECONDS - 0.002 <= span.end - span.start <= LONGEST_SECONDS + 0.002
            assert span.start <= found.peak <= span.end
            assert span.start <= max(found.start, found.peak - 0.999)
            assert span.end >= min(found.end, found.peak + 0.999)


@pytest.mark.parametrize("block", [1, 7, 64, 1_000])
def test_spans_are_cut_wherever_blocks_end(block: int) -> None:
    sound = np.arange(1_000, dtype=np.float32)
    spans = [Span(0.0, 0.1), Span(0.05, 0.2), Span(0.05, 0.06), Span(0.9, 1.2), Span(2.0, 3.0)]
    cutter = Cutter(spans, 1_000)
    cut = {}
    for start in range(0, len(sound), block):
        cut |= dict(cutter.add(sound[start : start + block]))
    cut |= dict(cutter.end())
    assert sorted(cut) == [0, 1, 2, 3]
    for number, samples in cut.items():
        first, last = round(spans[number].start * 1_000), round(spans[number].end * 1_000)
        assert np.array_equal(samples, sound[first:last])
