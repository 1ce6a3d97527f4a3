"""When recordings begin, from their names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from escnn.detection.clock import ClockSettings, clock_doubt, clock_time, start_time
from escnn.errors import UsageError

MORNING = datetime(2024, 7, 2, 6, 44, 4)


@pytest.mark.parametrize(
    "name",
    [
        "20240702_064404.WAV",  # AudioMoth
        "/card/SMU01234_20240702_064404.wav",  # Song Meter
        "2MU03211_20240702$064404.wav".replace("$", "-"),
        "240702_064404.wav",  # Zoom
        "ZOOM0001-240702-064404_Tr12.wav",
        "2024-07-02 06.44.04.m4a",  # phones
        "Recording_2024-07-02_06-44-04.mp3",
        "20240702064404.flac",
        "voice 20240702 064404.ogg",
    ],
)
def test_names_of_common_recorders(name: str) -> None:
    assert start_time(name) == MORNING


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("20240702T064404Z.wav", 0), ("SITE_20240702_064404Z_a.wav", 0), ("20240702T064404+1000_REC.flac", 10),
        ("20240702_064404+0530.wav", 5.5), ("20240702T064404-0500.wav", -5), ("2024-07-02T06-44-04+02:00.wav", 2),
    ],
)  # fmt: skip
def test_a_name_may_say_its_zone(name: str, offset: float) -> None:
    zone = timezone(timedelta(hours=offset))
    assert start_time(name) == MORNING.replace(tzinfo=zone)
    rome = ClockSettings.of(None, None, "Europe/Rome").start_of(name, 0)
    assert rome == MORNING.replace(tzinfo=zone), "not that of --time-zone"


@pytest.mark.parametrize("name", ["20240702_064404-0001.wav", "20240702_064404-1200.wav", "20240702_064404Zoo.wav"])
def test_what_only_looks_like_a_zone_is_none(name: str) -> None:
    assert start_time(name) == MORNING


@pytest.mark.parametrize("start", ["9999-12-31T23:59:50", "0001-01-01T00:00:00"])
def test_a_start_beyond_all_calendars_is_refused(start: str) -> None:
    with pytest.raises(UsageError, match="years 1850 to 2199"):
        ClockSettings.of(start, None, "Europe/Rome")


def test_the_hexadecimal_names_of_the_first_audiomoths_are_in_utc() -> None:
    seconds = int(MORNING.replace(tzinfo=UTC).timestamp())
    assert start_time(f"{seconds:08X}.WAV") == MORNING.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    ["clip.wav", "1-100032-A-0.wav", "20241302_064404.wav", "20240230_064404.wav", "track 12345678.wav", "00000001.WAV",
     "20240702_250000.wav", "123456789012345678.wav", "-"],
)  # fmt: skip
def test_names_that_hold_no_time(name: str) -> None:
    assert start_time(name) is None


def test_a_pattern_of_ones_own_and_a_zone() -> None:
    clock = ClockSettings.of(None, "site7_%d.%m.%Y-%Hh%M", "Europe/Rome")
    found = clock.start_of("site7_02.07.2024-06h44_left.wav", 0)
    assert found is not None
    assert found.isoformat() == "2024-07-02T06:44:00+02:00"
    assert clock.start_of("site8_02.07.2024-06h44.wav", 0) is None


def test_a_time_that_is_given_is_of_the_first_recording_alone() -> None:
    clock = ClockSettings.of("2024-07-02T06:44:04", None, None)
    assert clock.start_of("20200101_000000.wav", 0) == MORNING
    assert clock.start_of("20200101_000000.wav", 1) is None
    assert ClockSettings.of("2024-07-02T06:44:04Z", None, None).start_of("a", 0) == MORNING.replace(tzinfo=UTC)


def test_moments_across_midnight_and_the_end_of_summer_time() -> None:
    late = datetime(2024, 12, 31, 23, 59, 59)
    assert clock_time(late, 1.5) == "2025-01-01T00:00:00.500"
    assert clock_time(None, 1.5) is None
    rome = ClockSettings.of("2024-10-27T02:30:00", None, "Europe/Rome").start_of("a", 0)
    hour_later = clock_time(rome, 3600.0)
    assert hour_later is not None
    assert rome is not None
    assert datetime.fromisoformat(hour_later) - rome.astimezone(UTC) == timedelta(hours=1)


@pytest.mark.parametrize(
    ("begun", "zone", "doubt"),
    [
        (
            "2024-03-31T02:30:00",
            "Europe/Berlin",
            "began at 2024-03-31 02:30:00, which Europe/Berlin does not have: clocks went forward; taken for "
            "2024-03-31 03:30:00+02:00",
        ),
        (
            "2024-10-27T02:30:00",
            "Europe/Berlin",
            "began at 2024-10-27 02:30:00, which Europe/Berlin has twice: clocks went back; taken for the first, "
            "2024-10-27 02:30:00+02:00",
        ),
        ("2024-03-31T01:59:59", "Europe/Berlin", None),
        ("2024-03-31T03:00:00", "Europe/Berlin", None),
        ("2024-10-27T01:59:59", "Europe/Berlin", None),
        ("2024-10-27T03:00:00", "Europe/Berlin", None),
        ("2024-10-27T02:30:00", "Asia/Tokyo", None),
        ("2024-10-27T02:30:00", "UTC", None),
        ("2024-10-27T02:30:00", None, None),
        ("2024-10-27T02:30:00+01:00", "Europe/Berlin", None),  # it says which
    ],
)
def test_a_time_of_day_that_a_zone_has_twice_or_never_is_doubted(
    begun: str, zone: str | None, doubt: str | None
) -> None:
    start = ClockSettings.of(begun, None, zone).start_of("a", 0)
    assert clock_doubt(start) == doubt
    taken = str(clock_time(start, 0.0)).replace("T", " ").replace(".000", "")
    assert doubt is None or doubt.endswith(taken), "what is said is what stands in the lines"
    assert clock_doubt(None) is None


@pytest.mark.parametrize("change", [("noon", None, None), (None, "%Y%Q", None), (None, None, "Mars/Olympus")])
def test_what_is_no_time_no_pattern_or_no_zone_is_refused(change: tuple[str | None, str | None, str | None]) -> None:
    with pytest.raises(UsageError, match="--"):
        ClockSettings.of(*change)
