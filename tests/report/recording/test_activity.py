from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from escnn.detection.detector import Event
from escnn.report.recording.activity import activity, moment, offsets

ROME = ZoneInfo("Europe/Rome")


def event(start: float, class_id: int = 0, label: str = "dog") -> Event:
    return Event(start, start + 1, start + 0.5, label, class_id, 0.9)


def test_events_are_counted_by_the_hour_of_the_clock() -> None:
    events = [event(0.0), event(900.0), event(960.0), event(4 * 3600.0, 1, "rain"), event(4 * 3600.0, 2)]
    found = activity(events, 5 * 3600.0, datetime(2024, 7, 2, 22, 44, 4))
    assert found.unit == "hour"
    assert [stretch.label for stretch in found.stretches] == ["22:00", "23:00", "0:00", "1:00", "2:00", "3:00"]
    assert [stretch.total for stretch in found.stretches] == [2, 1, 0, 0, 2, 0]
    assert found.stretches[4].counts == {1: 1, 2: 1}
    assert found.class_ids == (0, 2, 1), "the most frequent first, backgrounds last"
    assert found.most == 2
    assert [found.shade(count) for count in (0, 1, 2)] == [0, 3, 5]


def test_a_short_recording_is_counted_in_ten_minutes() -> None:
    found = activity([event(10.0)], 1_500.0, datetime(2024, 7, 2, 6, 44, 4))
    assert [stretch.label for stretch in found.stretches] == ["6:40", "6:50", "7:00"]
    assert found.unit == "ten minutes"
    assert [stretch.total for stretch in found.stretches] == [1, 0, 0]


def test_what_ends_on_the_hour_has_no_hour_more() -> None:
    found = activity([event(10.0)], 4 * 3600.0, datetime(2024, 7, 2, 6, 0, 0))
    assert len(found.stretches) == 4


def test_clocks_that_are_changed_meanwhile_show_what_clocks_showed() -> None:
    start = datetime(2024, 10, 27, 1, 0, 0, tzinfo=ROME)  # at 3:00 summer time it is 2:00 again
    assert moment(start, 3600.0 * 2.5).strftime("%H:%M") == "02:30"
    assert offsets(start, 6 * 3600.0) == [(0.0, 7200), (7200.0, 3600)]
    assert offsets(start, 1 * 3600.0) == [(0.0, 7200)]
    assert offsets(datetime(2024, 7, 2, tzinfo=timezone(timedelta(hours=-3))), 86_400.0) == [(0.0, -10_800)]
    assert offsets(datetime(2024, 7, 2, tzinfo=UTC), 1.0) == [(0.0, 0)]
    assert offsets(datetime(2024, 7, 2), 1.0) is None
    assert offsets(None, 1.0) is None
    assert sum(stretch.total for stretch in activity([event(9_000.0)], 6 * 3600.0, start).stretches) == 1
