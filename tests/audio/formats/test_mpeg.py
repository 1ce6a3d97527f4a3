"""MP3 is read to its real end, whatever its headers tell; what is damaged is silence, and stderr stays clean."""

import io
import os
import re

import numpy as np
import pytest
import soundfile
from conftest import tone

from escnn.audio.decoding import load_audio
from escnn.audio.formats import mpeg

RATE = 44_100


def encoded(samples: np.ndarray, mode: str = "VARIABLE") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="MP3", bitrate_mode=mode)
    return file.getvalue()


def bare(content: bytes) -> bytes:
    """Without the first frame, which tells the number of frames: as stream dumps are."""
    tag = max(content.find(b"Xing", 0, 200), content.find(b"Info", 0, 200))
    assert tag > 0
    return content[content.index(b"\xff\xfb", tag + 120) :]


def sound() -> np.ndarray:
    """10 s: noise first, for which a variable rate is high, then a beep that begins at every full second."""
    samples = np.concatenate([0.3 * np.random.default_rng(0).standard_normal(83_000), np.zeros(10 * RATE - 83_000)])
    for second in range(2, 10):
        samples[second * RATE : second * RATE + RATE // 4] += tone(1_000, 0.25, RATE)
    return samples.astype(np.float32)


SOUND = sound()


def beeps(samples: np.ndarray) -> list[float]:
    """When they begin, in seconds, from 2 s on."""
    envelope = np.abs(samples).reshape(-1)[: len(samples) // 441 * 441].reshape(-1, 441).max(axis=1)
    starts = np.flatnonzero((envelope[1:] > 0.2) & (envelope[:-1] <= 0.2)) + 1
    return [float(start) / 100 for start in starts if start > 50]


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_without_a_header_that_counts_the_frames_all_of_them_are_read(mode: str) -> None:
    content = encoded(SOUND, mode)
    loaded = load_audio(bare(content))
    assert loaded.seconds == pytest.approx(10.0, abs=0.1)
    assert loaded.warnings == ()
    assert beeps(loaded.samples) == pytest.approx(beeps(load_audio(content).samples), abs=0.06)
    assert len(beeps(loaded.samples)) == 8


@pytest.mark.parametrize("before", [b"", bytes(5_000), b"ICY 200 OK\r\n\r\n" * 9])
@pytest.mark.parametrize("cut", [0, 333, 3_333])
def test_it_may_begin_in_the_middle_of_the_stream_or_behind_something_else(before: bytes, cut: int) -> None:
    loaded = load_audio(before + bare(encoded(SOUND))[cut:])
    assert 9.7 < loaded.seconds < 10.1
    assert len(beeps(loaded.samples)) == 8


@pytest.mark.parametrize("has_count", [True, False])
@pytest.mark.parametrize("share", [0.5, 0.7])
def test_after_junk_the_sound_goes_on_where_it_belongs(has_count: bool, share: float) -> None:
    content = encoded(SOUND, "CONSTANT")
    content = content if has_count else bare(content)
    place, junk = round(share * len(content)), np.random.default_rng(1).bytes(4_000)
    loaded = load_audio(content[:place] + junk + content[place + len(junk) :])
    there = beeps(load_audio(content).samples)
    heard = beeps(loaded.samples)
    assert len(there) - 1 <= len(heard) <= len(there)  # the one in the junk
    assert all(min(abs(beep - other) for other in there) < 0.1 for beep in heard)
    (warning,) = loaded.warnings
    said = re.fullmatch(r"damaged: (.+) of (.+) s could be read, the rest is silence", warning)
    assert said, warning
    lost = len(junk) / len(content) * 10
    assert lost < float(said[2]) - float(said[1]) < lost + 0.3


def test_files_in_a_row_are_read_to_the_end_of_the_last() -> None:
    picture = b"ID3\4\0\0" + bytes([0, 1, 0, 0]) + np.random.default_rng(2).bytes(1 << 14)
    content = encoded(SOUND)
    for following in (content, picture + content, picture + bare(content)):
        loaded = load_audio(content + following)
        assert loaded.seconds == pytest.approx(20.0, abs=0.1)
        assert len(beeps(loaded.samples)) >= 16
        assert loaded.warnings == ()
    assert load_audio(bare(content) + picture + bare(content)).warnings == ()


def test_what_the_decoder_prints_is_a_warning_of_the_file_and_not_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(encoded(SOUND))
    rng = np.random.default_rng(3)
    for place in range(40_000, len(content), 500):
        content[place] = rng.integers(256)
    loaded = load_audio(bytes(content))
    assert loaded.seconds == pytest.approx(10.0, abs=0.2)
    assert any(warning.startswith("damaged") for warning in loaded.warnings)
    assert capfd.readouterr().err == ""


def test_what_others_print_while_an_mp3_is_decoded_arrives(capfd: pytest.CaptureFixture[str]) -> None:
    words: list[str] = []
    with mpeg.without_words(words):
        os.write(
            2, b"mine\n\n\r 3 of 9\n\nNote: Trying to resync...\n[src/libmpg123/layer3.c:9] error: no\nwarning: b.mp3\n"
        )
    assert words == ["Note: Trying to resync...", "[src/libmpg123/layer3.c:9] error: no"]
    assert capfd.readouterr().err == "mine\n\n\r 3 of 9\nwarning: b.mp3\n"


def test_what_is_read_in_blocks_is_what_is_read_at_once() -> None:
    """After every block, python-soundfile seeks to where it is; in an MP3, something else is heard then."""
    content = encoded(SOUND)
    at_once, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    np.testing.assert_array_equal(load_audio(content).samples, at_once)
