"""When recordings begin, from what recorders write into their headers."""

import io
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile

from escnn.detection.clock import ClockSettings
from escnn.detection.headers import time_in_header

MORNING = datetime(2024, 7, 2, 6, 44, 4)
RATE = 8_000
BY_AUDIOMOTH = (
    "Recorded at 06:44:04 02/07/2024 {} by AudioMoth 24F319055FDF2205 at medium gain while battery was 4.2V and "
    "temperature was 18.3C."
)
NO_CLOCK = ClockSettings.of(None, None, None)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)


def bext(date: str = "2024-07-02", time: str = "06:44:04", samples: int = 0) -> bytes:
    head = "a recording".ljust(256, "\0") + "ZOOM H5".ljust(32, "\0") + "\0" * 32
    return chunk(b"bext", (head + date + time).encode() + samples.to_bytes(8, "little") + bytes(256))


def comment(text: str) -> bytes:
    return chunk(b"LIST", b"INFO" + chunk(b"ICMT", text.encode()))


def wav(folder: Path, *chunks: bytes, name: str = "a.wav", behind: bool = False) -> Path:
    """A second of noise with more chunks before the sound, or behind it."""
    plain = io.BytesIO()
    soundfile.write(plain, np.random.default_rng(0).uniform(-0.5, 0.5, RATE), RATE, "PCM_16", format="WAV")
    head, sound = plain.getvalue()[12:36], plain.getvalue()[36:]
    body = b"".join((head, sound, *chunks) if behind else (head, *chunks, sound))
    path = folder / name
    path.write_bytes(b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WAVE" + body)
    assert soundfile.info(path).frames == RATE
    return path


@pytest.mark.parametrize("behind", [False, True])
def test_a_broadcast_wave_gives_local_time_to_the_sample(tmp_path: Path, behind: bool) -> None:
    samples = (6 * 3600 + 44 * 60 + 4) * RATE + RATE // 4
    found = time_in_header(wav(tmp_path, bext(samples=samples), behind=behind))
    assert found == MORNING + timedelta(seconds=0.25)
    # recorders that count from something else than midnight are believed to the second
    assert time_in_header(wav(tmp_path, bext(samples=123), behind=behind)) == MORNING


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        ("(UTC)", UTC),
        ("(UTC-5)", timezone(timedelta(hours=-5))),
        ("(UTC+5:30)", timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_the_comment_of_an_audiomoth_has_a_zone(tmp_path: Path, written: str, zone: timezone) -> None:
    found = time_in_header(wav(tmp_path, comment(BY_AUDIOMOTH.format(written))))
    assert found == MORNING.replace(tzinfo=zone)
    assert found.utcoffset() == zone.utcoffset(None)


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (comment("a note of 06:44:04 02/07/2024"),),
        (comment(BY_AUDIOMOTH.format("(UTC+99)")),),
        (comment(BY_AUDIOMOTH.format("(UTC)").replace("02/07", "31/02")),),
        (bext("0000-00-00", "00:00:00"),),
        (bext("2024-13-01"),),
        (bext("\0" * 10, "\0" * 8),),
        (chunk(b"bext", b"short"),),
    ],
)
def test_headers_without_a_time(tmp_path: Path, chunks: tuple[bytes, ...]) -> None:
    assert time_in_header(wav(tmp_path, *chunks)) is None


def test_what_is_no_wav_has_none(tmp_path: Path) -> None:
    assert time_in_header(tmp_path / "gone.wav") is None
    assert time_in_header(tmp_path) is None
    (tmp_path / "b.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVE" + b"bext\xff\xff\xff\x7f")
    assert time_in_header(tmp_path / "b.wav") is None
    os.mkfifo(tmp_path / "pipe")
    assert time_in_header(tmp_path / "pipe") is None  # and nobody waits for a writer


def test_which_of_name_and_header_is_believed(tmp_path: Path) -> None:
    named = "20240702_084404.wav"
    with_zone = wav(tmp_path, comment(BY_AUDIOMOTH.format("(UTC)")), name=named)
    assert NO_CLOCK.start_of(named, 0, with_zone) == MORNING.replace(tzinfo=UTC)
    without = wav(tmp_path, bext(), name="without.wav")
    assert NO_CLOCK.start_of(named, 0, without) == MORNING.replace(hour=8)
    assert NO_CLOCK.start_of("a.wav", 0, without) == MORNING
    assert NO_CLOCK.start_of("a.wav", 0, wav(tmp_path, bext("1970-01-01"))) is None  # a clock that was never set
    in_rome = ClockSettings.of(None, None, "Europe/Rome").start_of("a.wav", 0, without)
    assert in_rome is not None
    assert in_rome.isoformat() == "2024-07-02T06:44:04+02:00"
    by_pattern = ClockSettings.of(None, "%Y%m%d_%H%M%S", None)
    assert by_pattern.start_of(named, 0, with_zone) == MORNING.replace(hour=8)
    assert by_pattern.start_of("a.wav", 0, with_zone) == MORNING.replace(tzinfo=UTC)
    given = ClockSettings.of("2020-01-01T00:00:00", None, None)
    assert given.start_of(named, 0, with_zone) == datetime(2020, 1, 1)
