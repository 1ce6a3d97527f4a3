"""FLAC is read to its real end; what is damaged is silence of the same length, and the rest is where it was."""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from escnn.audio.decoding import load_audio

RATE = 8_000
NOISE = np.random.default_rng(0).integers(-20_000, 20_000, 60_000).astype(np.int16)
SAMPLES = (NOISE / 32_768).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = RATE, form: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


def telling(content: bytes, frames: int) -> bytes:
    """A FLAC file whose header tells of so many frames; streams say 0."""
    return content[:21] + bytes([content[21] & 0xF0]) + frames.to_bytes(4, "big") + content[26:]


@pytest.mark.parametrize("frames", [100, 4_096, 4_608, 8_192, 8_193, 20_000])
def test_a_stream_that_does_not_tell_its_length_is_read_to_its_end(tmp_path: Path, frames: int) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(telling(encoded(NOISE[:frames]), 0))
    loaded = load_audio(path)
    np.testing.assert_array_equal(loaded.samples, SAMPLES[:frames])
    assert loaded.warnings == ()


def test_an_aiff_file_that_cannot_be_sought_is_read_to_its_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.aiff", NOISE[:20_000], RATE, subtype="DWVW_16")
    np.testing.assert_array_equal(load_audio(tmp_path / "a.aiff").samples, SAMPLES[:20_000])


def test_a_length_that_is_too_small_does_not_end_the_sound() -> None:
    np.testing.assert_array_equal(load_audio(telling(encoded(NOISE), 10_000)).samples, SAMPLES)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def overwritten(content: bytes, place: int) -> bytes:
    return content[:place] + b"\0" * 3_000 + content[place + 3_000 :]


def inserted(content: bytes, place: int) -> bytes:
    return content[:place] + np.random.default_rng(1).bytes(3_000) + content[place:]


def cut_out(content: bytes, place: int) -> bytes:
    return content[:place] + content[place + 15_000 :]


@pytest.mark.parametrize("damage", [flipped, overwritten, inserted, cut_out])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.303, 0.5])
@pytest.mark.parametrize("tells_length", [True, False])
def test_after_damage_the_sound_goes_on_where_it_belongs(
    damage: Callable[[bytes, int], bytes], share: float, tells_length: bool
) -> None:
    whole = telling(encoded(NOISE), len(NOISE) * tells_length)
    damaged = damage(whole, round(share * len(whole)))
    loaded = load_audio(damaged)
    assert len(loaded.samples) == len(SAMPLES)
    wrong = np.flatnonzero(loaded.samples != SAMPLES)
    assert 0 < len(wrong) < 14_500  # blocks of 4,608: the damaged ones
    assert not loaded.samples[wrong].any()
    (warning,) = loaded.warnings
    said = re.fullmatch(r"damaged: (.+) of 7.50 s could be read, the rest is silence", warning)
    assert said, warning
    assert float(said[1]) == pytest.approx(7.5 - len(wrong) / RATE, abs=0.01)


def test_damage_at_many_places_is_passed_over() -> None:
    content = encoded(np.tile(NOISE, 4))
    for place in range(5_000, len(content), 40_000):
        content = flipped(content, place)
    loaded = load_audio(content)
    wrong = loaded.samples != np.tile(SAMPLES, 4)
    assert 0.1 < wrong.mean() < 0.9
    assert not loaded.samples[wrong].any()


def test_nothing_that_can_be_decoded_is_an_error_and_not_silence() -> None:
    content = bytearray(encoded(NOISE))
    content[12_000:] = bytes(len(content) - 12_000)
    start = content.find(b"\xff\xf8")
    content[start + 20 : 12_000 : 97] = bytes(len(content[start + 20 : 12_000 : 97]))
    with pytest.raises(Exception, match="decoded") as caught:
        load_audio(bytes(content))
    assert caught.value.code == "damaged"  # type: ignore[attr-defined]


def test_a_damaged_sound_that_follows_does_not_spoil_the_one_before() -> None:
    second = bytearray(encoded(NOISE))
    for place in range(30_000, len(second), 30_000):
        second[place] ^= 0xFF
    loaded = load_audio(encoded(NOISE[:20_000]) + bytes(second))
    np.testing.assert_array_equal(loaded.samples[:20_000], SAMPLES[:20_000])
    assert any("damaged" in warning for warning in loaded.warnings)
    second[100:] = bytes(len(second) - 100)
    assert len(load_audio(encoded(NOISE[:20_000]) + bytes(second)).samples) == 20_000


def test_a_file_of_nothing_but_beginnings_is_soon_read() -> None:
    start = encoded(NOISE[:5_000])
    began = time.process_time()
    loaded = load_audio(start + start[:42] * 20_000)
    assert len(loaded.samples) == 5_000
    assert time.process_time() - began < 10


def test_sounds_that_follow_one_another_in_a_file_are_read_as_one() -> None:
    for form in ("FLAC", "WAV", "AIFF"):
        loaded = load_audio(encoded(NOISE[:20_000], form=form) + encoded(NOISE[20_000:], form=form))
        np.testing.assert_array_equal(loaded.samples, SAMPLES)
        assert loaded.warnings == ()


def test_a_sound_of_another_rate_that_follows_is_left_out_with_a_warning() -> None:
    loaded = load_audio(encoded(NOISE[:20_000]) + encoded(NOISE, rate=16_000))
    assert len(loaded.samples) == 20_000
    assert loaded.warnings == ("another sound follows in this file, with other channels or another rate: not heard",)
