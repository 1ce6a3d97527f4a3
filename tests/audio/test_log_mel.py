"""The settings of the log-mel, and where its bands lie; the log-mel itself is tested with its runtime."""

import math
from typing import Any

import numpy as np
import pytest

from escnn.audio.log_mel import AudioConfig, Normalization, mel_frequencies, normalize
from escnn.errors import UsageError


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 10},
        {"n_fft": 10**9},
        {"n_mels": 10**400},
        {"f_max": 44_100.0},
        {"f_min": 19_951.0},
        {"hop_length": 0},
        {"hop_length": 2049},
        {"floor_db": math.nan},
        {"n_mels": 512, "clip_seconds": 60.0},
        {"n_fft": 16_384, "hop_length": 16},
    ],
)
def test_out_of_range_is_refused_not_clamped(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        AudioConfig(**wrong)


def test_frames_and_samples_of_a_window() -> None:
    config = AudioConfig(sample_rate=44_100, clip_seconds=5.0, hop_length=441)
    assert config.window_samples == 220_500
    assert config.frames == 501  # a frame every 10 ms, both ends included


def test_normalize_is_the_textbook_formula() -> None:
    got = normalize(np.array([-80.0, -60.0]), Normalization(mean_db=-60.0, std_db=20.0))
    assert got.tolist() == [-1.0, 0.0]


def test_bands_lie_between_their_limits_evenly_on_the_mel_scale() -> None:
    hz = np.array(mel_frequencies(AudioConfig()))
    assert 20 < hz[0] < hz[-1] < 20_000
    assert np.ptp(np.diff(2595 * np.log10(1 + hz / 700))) < 1e-9
