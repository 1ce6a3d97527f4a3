"""The page of annotated recordings: its numbers are those of the figures, hostile names stay text."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from report.browser import Opener, Watched, assert_accessible, needs_chromium
from report.evaluation.made_up import card
from report.outline import HOSTILE, Outline

from escnn.detection.detector import Event
from escnn.evaluation.annotations.evaluation import DetectionEvaluation, MeasuredRecording
from escnn.evaluation.event_metrics import compare
from escnn.model.frames import EventSettings
from escnn.report.evaluation.detection import MOST_LISTED, detection_page

WHEN = datetime(2026, 11, 22, 17, 40, tzinfo=UTC)


def made_up(names: list[str], labels: tuple[str, ...], events: int = 8) -> DetectionEvaluation:
    """Every recording has events of the first class, each second one found, and false alarms of the second."""
    recordings = []
    for name in names:
        truth = [(10.0 * n, 10.0 * n + 2, labels[0]) for n in range(events)]
        found = [Event(start, end, start, label, 0, 0.8) for start, end, label in truth[::2]]
        found += [Event(10.0 * n + 5, 10.0 * n + 6, 10.0 * n + 5, labels[1], 1, 0.7) for n in range(events // 4)]
        recordings.append(MeasuredRecording(name, 10.0 * events, tuple(truth), tuple(found)))

    def counts(label: str, share: float) -> object:
        total = [
            compare(
                [span for span in recording.truth if span[2] == label],
                [span for span in recording.found if span[2] == label][: round(share * events)],
                recording.seconds,
            )
            for recording in recordings
        ]
        return sum(total[1:], total[0])

    return DetectionEvaluation(
        card(labels), EventSettings(), {}, labels, tuple(recordings), {label: counts(label, 1.0) for label in labels},
        {score: {label: counts(label, 1 - score) for label in labels} for score in (0.1, 0.5, 0.9)}, {}, 0,
        {"escnn": "1"},
    )  # type: ignore[arg-type] # fmt: skip


def test_the_numbers_are_those_of_the_figures() -> None:
    evaluation = made_up(["a.wav", "b.wav"], ("dog", "church_bells", "cat"))
    page = detection_page(evaluation, 0.9, ["evaluate", "--annotations", "t.csv"], WHEN)
    assert page == detection_page(evaluation, 0.9, ["evaluate", "--annotations", "t.csv"], WHEN)
    text = " ".join(Outline(page).text.split())
    assert "8 of 16 annotated events found." in text
    assert "Of 12 reported, 4 are false alarms: 90.0 an hour." in text
    assert "8 events: annotated, and no event was found there." in text
    assert "4 events: found, and nothing is annotated there." in text
    assert "church bells" in text
    assert "escnn evaluate --annotations t.csv" in text
    assert "Thresholds" in text
    without = " ".join(Outline(detection_page(evaluation, created=WHEN)).text.split())
    assert "no such score" not in without


def test_long_lists_are_cut_and_say_so() -> None:
    page = detection_page(made_up(["a.wav"], ("dog", "cat"), events=2 * MOST_LISTED + 20), created=WHEN)
    assert f"The first {MOST_LISTED} are listed." in page
    assert page.count('<bdi class="file">a.wav</bdi>') == 1 + MOST_LISTED + (2 * MOST_LISTED + 20) // 4


def test_hostile_names_and_labels_stay_text() -> None:
    evaluation = replace(
        made_up([f"{name}.wav" for name in HOSTILE], (HOSTILE[0], HOSTILE[1])),
        unknown_labels=dict.fromkeys(HOSTILE, 3),
        problems=tuple(HOSTILE),
        unread=tuple((name, name) for name in HOSTILE),
        thresholds={HOSTILE[0]: 0.5},
        other_events=1,
    )
    outline = Outline(detection_page(evaluation, 0.9, HOSTILE, WHEN))
    for name in HOSTILE:
        assert " ".join(name.split()) in " ".join(outline.text.split())
    for tag, attributes in outline.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form", "img"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
    assert "1 event of classes that the table does not name was found as well" in outline.text


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_read_by_everybody(open_page: Opener, tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(detection_page(made_up(["a.wav", "b" * 200], ("dog", "cat")), 0.5, created=WHEN), "utf-8")
    assert_accessible(open_page(path, 320, 800, color_scheme=scheme, bypass_csp=True))


@needs_chromium
def test_classes_are_sorted_by_the_column_that_is_pressed(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(detection_page(made_up(["a.wav"], ("dog", "cat")), created=WHEN), "utf-8")
    page = watched.open(path)
    names = page.locator(".sortable tbody th")
    assert names.all_inner_texts() == ["cat", "dog"]  # the hardest first
    page.get_by_role("button", name="False alarms").click()
    assert names.all_inner_texts() == ["dog", "cat"]
    page.get_by_role("button", name="False alarms").click()
    assert names.all_inner_texts() == ["cat", "dog"]
    assert (watched.errors, watched.requests) == ([], [page.url])
