from __future__ import annotations

import numpy as np
import pytest
from conftest import SMALL_AUDIO, tone

from escnn.analysis.recording.long_term import LEVEL_SECONDS, Levels, LongTermListener, LongTermSpectrogram
from escnn.audio.log_mel import mel_frequencies

RATE = SMALL_AUDIO.sample_rate


def listened(sound: np.ndarray, block: int, most_columns: int = 64) -> tuple[LongTermSpectrogram, Levels]:
    listener = LongTermListener(SMALL_AUDIO, most_columns)
    for start in range(0, len(sound), block):
        listener.add(sound[start : start + block])
    return listener.end()


def test_a_tone_lies_in_its_band_at_its_level_and_at_its_time() -> None:
    sound = np.zeros(20 * RATE, dtype=np.float32)
    sound[10 * RATE : 15 * RATE] = tone(1_000, 5.0, RATE, amplitude=1.0)
    spectrogram, _ = listened(sound, 1_000)
    columns = spectrogram.decibels.shape[1]
    assert columns * spectrogram.column_seconds == pytest.approx(20, abs=spectrogram.column_seconds)
    column = round(12.5 / spectrogram.column_seconds)
    band = int(spectrogram.decibels[:, column].argmax())
    assert mel_frequencies(SMALL_AUDIO)[band] == pytest.approx(1_000, rel=0.1)
    assert spectrogram.decibels[band, column] == pytest.approx(0, abs=3)
    assert spectrogram.decibels[band, round(5 / spectrogram.column_seconds)] == SMALL_AUDIO.floor_db


@pytest.mark.parametrize("seconds", [0.3, 2.0, 7.7, 61.3])
def test_columns_are_few_however_long_the_sound_and_cover_it(seconds: float) -> None:
    noise = np.random.default_rng(0).standard_normal(round(seconds * RATE)).astype(np.float32)
    spectrogram, _ = listened(noise, 777)
    columns = spectrogram.decibels.shape[1]
    assert columns <= 65
    frame = SMALL_AUDIO.n_fft / RATE
    assert (columns - 1) * spectrogram.column_seconds < seconds <= columns * spectrogram.column_seconds + 1e-9
    assert spectrogram.column_seconds / frame == 2 ** round(np.log2(spectrogram.column_seconds / frame))
    assert columns > 32 or spectrogram.column_seconds == frame


def test_coarser_columns_are_the_means_of_finer_ones() -> None:
    noise = np.random.default_rng(1).standard_normal(RATE * 8).astype(np.float32)
    noise *= np.linspace(0, 1, len(noise), dtype=np.float32)
    fine, _ = listened(noise, 4_096, most_columns=1_024)
    coarse, _ = listened(noise, 4_096, most_columns=64)
    step = round(coarse.column_seconds / fine.column_seconds)
    assert step > 1
    power = 10 ** (fine.decibels / 10)
    whole = power.shape[1] // step * step
    means = power[:, :whole].reshape(len(power), -1, step).mean(axis=2)
    assert 10 * np.log10(means) == pytest.approx(coarse.decibels[:, : means.shape[1]], abs=0.01)


def test_no_value_depends_on_where_blocks_end() -> None:
    noise = np.random.default_rng(2).standard_normal(RATE * 5 + 123).astype(np.float32)
    one, levels = listened(noise, len(noise))
    for block in (100, 8_192):
        other, other_levels = listened(noise, block)
        assert np.allclose(one.decibels, other.decibels, atol=1e-3)
        assert np.allclose(levels.decibels, other_levels.decibels, atol=1e-4)


def test_the_level_is_the_root_mean_square_of_the_loudest_tenth_of_a_second() -> None:
    sound = np.full(3 * RATE + 17, 0.001, dtype=np.float32)
    sound[RATE : RATE + round(LEVEL_SECONDS * RATE)] = 0.5
    _, levels = listened(sound, 999)
    assert levels.loudest(0.5, 2.0) == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert levels.loudest(1.2, 2.0) == pytest.approx(-60, abs=0.01)
    assert levels.loudest(3.0, 3.2) == pytest.approx(-60, abs=0.01), "the rest of the sound"
