from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from report.browser import Opener, assert_accessible, needs_chromium
from report.outline import HOSTILE, Outline
from report.recording.made_up import CREATED, MANY, made_up_events, recording_of

from escnn.analysis.recording.recording import Found
from escnn.detection.detector import Event
from escnn.errors import AudioError
from escnn.inference.prediction import Failure
from escnn.model.card import ModelCard
from escnn.report.recordings.page import calendar, recordings_page, strip
from escnn.report.recordings.summary import STRIP_STRETCHES, RecordingSummary, summarized

START = datetime(2024, 7, 2, 4, 44, 4)


def found_of(events: list[Event], seconds: float, name: str = "night.wav", card: ModelCard = MANY) -> Found:
    return recording_of(events, seconds, name=name, card=card, most_bytes=0).found


def night(count: int = 12, card: ModelCard = MANY, **changes: Any) -> list[RecordingSummary]:
    """Recordings of ten minutes, two hours apart."""
    made = []
    for number in range(count):
        events = made_up_events(number % 7 * 5, 600.0, card, seed=number)
        found = found_of(events, 600.0, f"folder/R{number:03}.wav", card)
        made.append(summarized(found, START + timedelta(hours=2 * number), f"R{number:03}/report.html"))
    return [replace(summary, **changes) for summary in made]


def render(recordings: list[RecordingSummary], failures: list[Failure] | None = None, card: ModelCard = MANY) -> str:
    command = ["detect", "night", "--page", "out"]
    versions = {"escnn": "0.2.0"}
    return recordings_page(recordings, failures or [], card, card.events, versions, command=command, created=CREATED)


def test_a_strip_shows_when_a_class_sounds() -> None:
    events = [Event(0.0, 1.0, 0.5, "crow", 0, 0.9), Event(300.0, 420.0, 350.0, "dog", 1, 0.9)]
    events.append(Event(599.0, 600.0, 599.5, "crow", 0, 0.9))
    summary = summarized(found_of(events, 600.0), None, None)
    assert summary.strips[0] == 1 | 1 << STRIP_STRETCHES - 1
    assert [k for k in range(STRIP_STRETCHES) if summary.strips[1] >> k & 1] == list(range(48, 68))
    assert dict(strip(summary, {0: 2, 1: 0}))[2] == "M0.5 2v1M95.5 2v1"
    assert summary.events == 3


def test_the_calendar_counts_by_the_hour_and_knows_what_was_recorded() -> None:
    events = [Event(60.0 * k, 60.0 * k + 1, 60.0 * k, "crow", 0, 0.9) for k in (0, 15, 16, 17)]
    one = summarized(found_of(events, 2 * 3600.0), datetime(2024, 7, 2, 22, 50), None)
    other = summarized(found_of([], 3600.0), datetime(2024, 7, 4, 3, 0), None)
    found = calendar([other, one])
    assert found is not None
    assert [day for day, _ in found.days] == [date(2024, 7, 2), date(2024, 7, 3), date(2024, 7, 4)]
    assert [found.days[0][1][hour] for hour in (21, 22, 23)] == [None, 1, 3]
    assert found.days[1][1][:2] == (0, None)
    assert [hour for hour, count in enumerate(found.days[2][1]) if count is not None] == [3]
    assert calendar([summarized(found_of(events, 3600.0), None, None)]) is None


def test_recordings_stand_in_order_of_time_and_lead_to_their_pages() -> None:
    recordings = night()
    recordings[3], recordings[7] = recordings[7], recordings[3]
    recordings.append(replace(recordings[0], name="unknown.wav", start=None, by_hour={}, page=None))
    html = render(recordings)
    links = [str(link["href"]) for link in Outline(html).all("a") if "report.html" in str(link["href"])]
    assert links == [f"./R{number:03}/report.html" for number in range(12)]
    words = Outline(html).words
    assert words.index("2024-07-02 04:44") < words.index("2024-07-02 06:44") < words.index("unknown.wav")
    total = sum(recording.events for recording in recordings)
    assert f"classes, {total} events" in words
    assert "In 13 recordings of 2 h 10 min in all; most often" in words.replace("\u00a0", " ")
    assert "In 3 recordings nothing was found." in words


def test_a_clock_of_another_zone_is_shown_as_it_was() -> None:
    start = datetime(2024, 7, 2, 23, 30, tzinfo=ZoneInfo("Europe/Rome"))
    summary = summarized(found_of(made_up_events(5, 600.0), 600.0), start, None)
    assert set(summary.by_hour) == {(date(2024, 7, 2), 23)}
    assert "2024-07-02 23:30" in Outline(render([summary])).words
    both = [summary, replace(summary, name="b.wav", start=datetime(2024, 7, 2, 21, 0, tzinfo=UTC))]
    words = Outline(render(both)).words
    assert words.index("21:00") < words.index("23:30")


def test_classes_are_counted_and_backgrounds_folded() -> None:
    recordings = night()
    html = render(recordings)
    outline = Outline(html)
    assert html.index("<details>") < html.index("<bdi>rain</bdi>", html.index('id="classes"'))
    crows = sum(recording.counts.get(0, 0) for recording in recordings)
    within = sum(0 in recording.counts for recording in recordings)
    assert f"crow {crows} {within} " in outline.words
    only = summarized(found_of([Event(0.0, 9.0, 1.0, "rain", 15, 0.9)], 600.0), START, None)
    assert "<details open>" in render([only])
    assert "\u2068rain\u2069, once" in Outline(render([only])).text


def test_nothing_found_and_failures_have_their_words() -> None:
    failure = Failure("broken.wav", AudioError("broken.wav: no sound", code="not_audio", hint="convert it"), MANY)
    words = Outline(render([summarized(found_of([], 600.0), START, None)], [failure])).words
    assert "Nothing found" in words
    assert "1 file could not be read." in words
    assert "broken.wav: no sound convert it" in words
    assert "Classes" not in words
    nothing_at_all = Outline(render([], [failure])).words
    assert "Found in 0 recordings" in nothing_at_all


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_or_label_harms_the_page(text: str) -> None:
    card = replace(MANY, name=text, labels=tuple(f"{text}{number}" for number in range(22)))
    quiet = replace(MANY, labels=tuple(f"calm{number}" for number in range(22)))
    hostile = [replace(one, name=text, page=f"{text}/report.html", warnings=(text,)) for one in night(3, card)]
    calm = [replace(one, warnings=("a",)) for one in night(3, quiet)]
    elements = [Outline(render(given, card=of)).elements for given, of in ((hostile, card), (calm, quiet))]
    assert [tag for tag, _ in elements[0]] == [tag for tag, _ in elements[1]]
    for tag, attributes in elements[0]:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        if tag == "a":
            assert str(attributes["href"]).startswith(("#", "./"))


@needs_chromium
def test_the_page_is_accessible_and_fits(on_screens: Opener, tmp_path: Path) -> None:
    failure = Failure("broken.wav", AudioError("broken.wav: no sound", code="not_audio"), MANY)
    (tmp_path / "index.html").write_text(render(night(30), [failure]), "utf-8")
    assert_accessible(on_screens(tmp_path / "index.html"))


def test_a_thousand_recordings_are_a_page_of_a_few_megabytes() -> None:
    html = render(night(1_000))
    assert len(html.encode()) < 6_000_000
    assert len(re.findall(r'<td class="strip">', html)) == 1_000
