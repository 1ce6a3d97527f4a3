"""The metrics of detection are those that the field's own tool computes."""

import json
from pathlib import Path
from typing import Any

import pytest

from escnn.evaluation.event_metrics import Counts, compare, match_events

REFERENCE = json.loads((Path(__file__).parent.parent / "data" / "events" / "sed_eval.json").read_text("utf-8"))


def spans(rows: list[list[Any]]) -> list[tuple[float, float, str]]:
    return [(start, end, label) for start, end, label in rows]


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=str)
def test_counts_and_scores_are_those_of_sed_eval(case: dict[str, Any]) -> None:
    measured = compare(spans(case["truth"]), spans(case["found"]), case["seconds"])
    for name, counts in (("segment", measured.segments), ("event", measured.events)):
        assert [counts.hits, counts.false, counts.missed] == case[f"{name}s"]
        if case[f"{name}_f1"] is not None:
            assert counts.f1 == pytest.approx(case[f"{name}_f1"], abs=1e-9)


def test_two_that_could_share_a_partner_both_find_one() -> None:
    truth = [(1.0, 2.0, "dog"), (1.15, 2.1, "dog")]
    found = [(1.0, 2.0, "dog"), (0.9, 2.0, "dog")]  # the second agrees with the first event only
    assert match_events(truth, found) == {0: 1, 1: 0}


def test_an_event_counts_as_found_wherever_its_borders_are_put() -> None:
    truth = [(1.0, 2.0, "dog"), (5.0, 6.0, "dog"), (7.0, 8.0, "cat")]
    found = [(1.9, 4.0, "dog"), (5.0, 6.0, "cat"), (6.5, 9.0, "cat")]
    measured = compare(truth, found, 10.0)
    assert (measured.found, measured.truth, measured.false_alarms, measured.claims) == (2, 3, 1, 3)
    assert measured.recall == pytest.approx(2 / 3)
    assert measured.precision == pytest.approx(2 / 3)
    assert measured.false_alarms_an_hour == pytest.approx(360)


def test_recordings_without_events_count_for_false_alarms() -> None:
    dog = (0.0, 1.0, "dog")
    measured = compare([dog], [dog], 10.0) + compare([], [(3.0, 3.5, "dog")], 10.0)
    assert measured.segments == Counts(hits=1, false=1, missed=0)
    assert measured.events == Counts(hits=1, false=1, missed=0)
    assert (measured.false_alarms, measured.seconds) == (1, 20.0)
    assert compare([], [], 10.0).segments.f1 == 1.0
