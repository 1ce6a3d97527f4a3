from __future__ import annotations

from dataclasses import replace

import pytest
from report.recording.made_up import HOUR, MANY, made_up_events, recording_of

from escnn.analysis.recording.found import Highest
from escnn.analysis.recording.recording import RecordingAnalysis
from escnn.detection.detector import Event
from escnn.model.frames import EventSettings
from escnn.report.recording.words import counted, duration, position, said, verdict


def words(analysis: RecordingAnalysis, heard: int | None = None) -> str:
    found = verdict(analysis, len(analysis.events) if heard is None else heard)
    text = " | ".join((found.heading, found.lead, *found.more))
    return text.replace("\u2068", "").replace("\u2069", "").replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "0.5 s"),
        (42.4, "42 s"),
        (59.96, "1 min"),
        (125, "2 min 5 s"),
        (1230, "20 min"),
        (3599.9, "1 h"),
        (4200, "1 h 10 min"),
        (86_400, "24 h"),
    ],
)
def test_a_length_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\u00a0", " ") == text


def test_a_moment_is_cut_off_as_a_clock_does() -> None:
    assert position(612.96, 4_200) == "0:10:12"
    assert position(612.96, 4_200, 1) == "0:10:12.9"
    assert position(59.999, 120, 1) == "0:59.9"
    assert position(3_600, 90_000) == "1:00:00"
    assert position(0.3, 10, 1) == "0:00.3"


def test_numbers_have_their_nouns() -> None:
    assert [counted(number, "event") for number in (1, 0, 20_000)] == ["1 event", "0 events", "20,000 events"]
    assert [counted(1, "class"), counted(22, "class")] == ["1 class", "22 classes"]


def test_many_classes_are_told_as_the_issue_wants_it() -> None:
    events = made_up_events(144)
    text = words(recording_of(events))
    assert text.startswith("22 classes, 144 events in 1 h 10 min | most often crow (28), loudest ")
    third = events[2]
    assert f"loudest {third.label.replace('_', ' ')} at {position(third.peak, HOUR)}." in text
    assert "Backgrounds, folded away at first: wind (" in text
    assert "can be heard" not in text, "all can"
    line = text.split(" | Backgrounds")[0].replace(" | ", "; ")
    assert said(recording_of(events)).replace("\u00a0", " ") == line


def test_backgrounds_are_neither_the_most_frequent_nor_the_loudest_where_there_is_anything_else() -> None:
    rain = [Event(60.0 * k, 60.0 * k + 30, 60.0 * k + 5, "rain", 15, 0.9) for k in range(20)]
    dog = Event(1_500.0, 1_501.0, 1_500.5, "dog", 1, 0.7)
    assert "most often dog (1), loudest dog at 0:25:00" in words(recording_of([*rain, dog]))
    wind = Event(1_600.0, 1_601.0, 1_600.5, "wind", 5, 0.7)
    text = words(recording_of([*rain, wind]))
    assert "most often rain (20), loudest rain" in text
    assert "folded away" not in text, "nothing would be left"


def test_nothing_found_has_its_own_words() -> None:
    text = words(recording_of([]))
    assert text.startswith("Nothing found | in 1 h 10 min no class reached a score of 30.0 %.")
    assert "Closest came crow with 41.7 % at 0:12:04." in text
    assert "min-score" not in text, "the threshold is below"
    strict = recording_of([], settings=EventSettings(onset_score=0.6))
    assert "escnn detect --min-score 0.41 looks further down." in words(strict)
    unknown = replace(strict, found=replace(strict.found, highest=None))
    assert "Closest" not in words(unknown)
    silent = replace(strict, found=replace(strict.found, highest=Highest(0, 1.0, 0.003)))
    assert "Closest" not in words(silent)


def test_one_class_only_has_its_own_words() -> None:
    text = words(recording_of(made_up_events(31, classes=1)))
    assert text.startswith("crow, 31 times | and no other class in 1 h 10 min; surest at ")
    (event,) = made_up_events(1, classes=1)
    once = words(recording_of([event]))
    assert once.startswith(
        f"crow, once | at {position(event.peak, HOUR)}, with a score of {100 * event.score:.1f} %; nothing"
    )


def test_everything_found_has_its_own_words() -> None:
    text = words(recording_of(made_up_events(20_000), most_bytes=0), heard=200)
    assert "That is one every 0.2 seconds, more than anybody listens to: raise the score below." in text
    assert "The 200 surest have 99." in text
    assert "200 can be heard on this page, the surest of every class" in text
    counts = {0: 300_000, 1: 5}
    pruned = words(recording_of(made_up_events(50), counts=counts))
    assert "2 classes, 300,005 events" in pruned
    assert "Only the surest 50 are listed." in pruned


def test_what_was_asked_for_is_said() -> None:
    assert "Asked for: crow, dog." in words(recording_of(made_up_events(40, classes=2), class_ids=(0, 1)))
    assert "Asked for: rain." in words(recording_of([], class_ids=(15,)))
    assert "Closest" not in words(recording_of([], class_ids=(15,))), "of another class, perhaps"


def test_a_label_from_right_to_left_leaves_its_sentence_alone() -> None:
    card = replace(MANY, labels=("\u202eevil", *MANY.labels[1:]))
    assert "\u2068\u202eevil\u2069 (" in verdict(recording_of(made_up_events(144, card=card), card=card), 144).lead
