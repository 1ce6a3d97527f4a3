import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, tone

from escnn.config import PRESETS, AudioConfig
from escnn.features import LogMel, Normalization, normalize


@pytest.mark.parametrize("hz", [300.0, 1_000.0, 5_000.0, 12_000.0])
def test_a_tone_peaks_in_the_band_that_holds_it(hz: float) -> None:
    log_mel = LogMel(AudioConfig())
    decibels = log_mel(torch.from_numpy(tone(hz, 5.0, 44_100))[None])[0, 0]  # (mels, frames)
    centres = np.array(log_mel.mel_frequencies())
    peak = centres[decibels[:, 100].argmax()]
    assert abs(peak - hz) == pytest.approx(np.abs(centres - hz).min(), abs=0.04 * hz)


def test_a_full_scale_sine_is_close_to_zero_decibels() -> None:
    decibels = LogMel(AudioConfig())(torch.from_numpy(tone(1_000, 5.0, 44_100, amplitude=1.0))[None])
    assert decibels[..., 5:-5].max().item() == pytest.approx(0.0, abs=3.0)


def test_ten_times_quieter_is_twenty_decibels_less() -> None:
    log_mel = LogMel(AudioConfig())
    loud, quiet = (log_mel(torch.from_numpy(tone(1_000, 5.0, 44_100, amplitude=a))[None]) for a in (1.0, 0.1))
    assert (loud.max() - quiet.max()).item() == pytest.approx(20.0, abs=0.01)


@pytest.mark.parametrize("config", [SMALL_AUDIO, *(preset.audio for preset in PRESETS.values())])
def test_the_picture_has_the_size_that_the_settings_say(config: AudioConfig) -> None:
    picture = LogMel(config)(torch.zeros(2, config.window_samples))
    assert picture.shape == (2, 1, config.n_mels, config.frames)
    assert (picture == config.floor_db).all()  # silence lies on the floor


def test_a_clip_does_not_change_next_to_a_loud_one() -> None:
    log_mel = LogMel(SMALL_AUDIO)
    quiet, loud = (torch.from_numpy(tone(500, 0.5, 8_000, amplitude=a)) for a in (0.001, 1.0))
    alone, beside = log_mel(quiet[None])[0], log_mel(torch.stack([quiet, loud]))[0]
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-4)


def test_the_default_leaves_no_mel_band_empty() -> None:
    assert (LogMel(AudioConfig()).mel.mel_scale.fb.sum(dim=0) > 0).all()


def test_normalize_is_the_textbook_formula() -> None:
    got = normalize(torch.tensor([-80.0, -60.0]), Normalization(mean_db=-60.0, std_db=20.0))
    assert got.tolist() == [-1.0, 0.0]
