"""Several channels become one that holds what each of them holds; integers written as floats become floats."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import tone

from escnn.audio.decoding import load_audio

Writer = Callable[..., Path]
RATE = 44_100
RNG = np.random.default_rng(0)
NOISE = (0.2 * RNG.standard_normal(RATE)).clip(-1, 1).astype(np.float32)


def mixed(*channels: np.ndarray, rate: int = RATE) -> np.ndarray:
    return load_audio((np.stack(channels, axis=1), rate)).samples


def late(samples: np.ndarray, frames: int) -> np.ndarray:
    return np.concatenate([np.zeros(frames, dtype=np.float32), samples[:-frames]])


@pytest.mark.parametrize(
    "right",
    [-NOISE, -0.99 * NOISE, -0.5 * NOISE, late(NOISE, 44), late(NOISE, 9), 0 * NOISE, np.full_like(NOISE, 0.9)],
    ids=["opposite", "nearly opposite", "opposite, weaker", "1 ms late", "0.2 ms late", "dead", "constant"],
)
def test_where_the_mean_would_cancel_it_is_the_strongest_channel(right: np.ndarray) -> None:
    np.testing.assert_array_equal(mixed(NOISE, right), NOISE)
    np.testing.assert_array_equal(mixed(0.5 * right, NOISE), NOISE) if right.max() < 0.9 else None


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_equal_channels_are_each_of_them_to_the_last_bit(write_sound: Writer, channels: int) -> None:
    for subtype in ("PCM_16", "PCM_24", "FLOAT"):
        mono = load_audio(write_sound("mono.wav", NOISE, RATE, subtype=subtype)).samples
        many = load_audio(write_sound("many.wav", np.stack([NOISE] * channels, axis=1), RATE, subtype=subtype))
        np.testing.assert_array_equal(many.samples, mono)
        assert many.info.channels == channels


def test_channels_that_agree_are_averaged() -> None:
    left, right = (NOISE + (0.02 * RNG.standard_normal(RATE)).astype(np.float32) for _ in range(2))
    np.testing.assert_array_equal(mixed(left, right), (left + right) / 2)
    np.testing.assert_array_equal(mixed(NOISE, 0.6 * NOISE), (NOISE + 0.6 * NOISE) / 2)


def test_another_channel_is_taken_once_it_is_clearly_stronger() -> None:
    def stretch(level: float) -> np.ndarray:
        return (level * RNG.standard_normal(5 * 8_000)).astype(np.float32)

    left = np.concatenate([stretch(0.1), stretch(0.1), stretch(0.01)])
    right = np.concatenate([stretch(0.05), stretch(0.12), stretch(0.1)])
    sound = mixed(left, right, rate=8_000)
    np.testing.assert_array_equal(sound[:80_000], left[:80_000])
    np.testing.assert_array_equal(sound[80_000:], right[80_000:])


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("level", [0.9, 0.01])
def test_integers_that_were_written_as_floats_are_scaled_and_said(
    write_sound: Writer, bits: int, channels: int, level: float
) -> None:
    true = np.concatenate([np.zeros(6 * RATE), level * NOISE, NOISE])  # begins with digital silence, then quietly
    scale = 2.0 ** (bits - 1)
    integers = np.rint(np.stack([true] * channels, axis=1) * scale * (1 - 1e-7))
    path = write_sound("a.wav", integers.astype(np.float32), RATE, subtype="FLOAT")
    for source in (path, (integers.astype(np.float64), RATE)):
        loaded = load_audio(source)
        np.testing.assert_allclose(loaded.samples, true, atol=2 / 32_768)
        assert loaded.warnings == (f"written as integers in floats: divided by {scale:.0f}",)


def test_integers_that_were_resampled_are_scaled_as_well() -> None:
    loaded = load_audio((NOISE * 20_000.7, RATE))
    np.testing.assert_allclose(loaded.samples, NOISE * 20_000.7 / 32_768, rtol=1e-5)
    assert loaded.warnings


@pytest.mark.parametrize("factor", [0.001, 1.0, 3.0, 10.0])
def test_floats_that_are_merely_too_loud_are_left_alone(write_sound: Writer, factor: float) -> None:
    samples = (NOISE * factor).astype(np.float32)
    loaded = load_audio(write_sound("a.wav", samples, RATE, subtype="FLOAT"))
    np.testing.assert_array_equal(loaded.samples, samples)
    assert loaded.warnings == ()


def test_a_click_that_is_far_too_loud_does_not_make_integers_of_the_rest() -> None:
    samples = tone(440, 1.0, RATE)
    samples[1_000] = 4e9
    loaded = load_audio((samples, RATE))
    np.testing.assert_array_equal(loaded.samples, samples)
