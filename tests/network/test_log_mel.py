"""The log-mel in torch: a tone lies in its band, at its level, whatever is beside it; and its stretching."""

import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, tone

from escnn.audio.log_mel import AudioConfig, mel_frequencies
from escnn.network.log_mel import TorchLogMel, stretch
from escnn.runs.settings import PRESETS


@pytest.mark.parametrize("hz", [300.0, 1_000.0, 5_000.0, 12_000.0])
def test_a_tone_peaks_in_the_band_that_holds_it(hz: float) -> None:
    decibels = TorchLogMel(AudioConfig())(torch.from_numpy(tone(hz, 5.0, 44_100))[None])[0, 0]  # (mels, frames)
    centres = np.array(mel_frequencies(AudioConfig()))
    peak = centres[decibels[:, 100].argmax()]
    assert abs(peak - hz) == pytest.approx(np.abs(centres - hz).min(), abs=0.04 * hz)


def test_a_full_scale_sine_is_close_to_zero_decibels() -> None:
    decibels = TorchLogMel(AudioConfig())(torch.from_numpy(tone(1_000, 5.0, 44_100, amplitude=1.0))[None])
    assert decibels[..., 5:-5].max().item() == pytest.approx(0.0, abs=3.0)


def test_ten_times_quieter_is_twenty_decibels_less() -> None:
    log_mel = TorchLogMel(AudioConfig())
    loud, quiet = (log_mel(torch.from_numpy(tone(1_000, 5.0, 44_100, amplitude=a))[None]) for a in (1.0, 0.1))
    assert (loud.max() - quiet.max()).item() == pytest.approx(20.0, abs=0.01)


@pytest.mark.parametrize("config", [SMALL_AUDIO, *(preset.audio for preset in PRESETS.values())])
def test_a_log_mel_has_the_size_that_the_settings_say(config: AudioConfig) -> None:
    decibels = TorchLogMel(config)(torch.zeros(2, config.window_samples))
    assert decibels.shape == (2, 1, config.n_mels, config.frames)
    assert (decibels == config.floor_db).all()  # silence lies on the floor


def test_a_clip_does_not_change_next_to_a_loud_one() -> None:
    log_mel = TorchLogMel(SMALL_AUDIO)
    quiet, loud = (torch.from_numpy(tone(500, 0.5, 8_000, amplitude=a)) for a in (0.001, 1.0))
    alone, beside = log_mel(quiet[None])[0], log_mel(torch.stack([quiet, loud]))[0]
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-4)


def test_the_default_leaves_no_mel_band_empty() -> None:
    assert (TorchLogMel(AudioConfig()).mel.mel_scale.fb.sum(dim=0) > 0).all()


def test_the_bands_of_the_filter_bank_lie_where_the_settings_say() -> None:
    """A band is highest at its centre: a tone there is louder in it than in its neighbours."""
    config = AudioConfig()
    filters = TorchLogMel(config).mel.mel_scale.fb  # (bins, mels)
    bins = torch.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1)
    centres = (filters * bins[:, None]).sum(0) / filters.sum(0)  # of gravity
    hz = torch.tensor(mel_frequencies(config))
    assert ((centres - hz).abs() < 0.02 * hz + config.sample_rate / config.n_fft).all()


def test_nothing_stretched_is_nothing_changed() -> None:
    decibels, one = torch.randn(2, 32, 33), torch.ones(2)
    torch.testing.assert_close(stretch(decibels, one, one, 0 * one), decibels, rtol=0, atol=1e-5)


def test_a_stretched_log_mel_lies_lower_and_ends_sooner() -> None:
    decibels = torch.full((1, 64, 101), -80.0)
    decibels[0, 40, 70] = 0.0  # 20 frames after the middle
    one = torch.ones(1)
    lower = stretch(decibels, one, one, one / 8)[0]
    assert divmod(int(lower.argmax()), 101) == (40 - 64 // 8, 70)
    faster = stretch(decibels, one * 2, one, 0 * one)[0]
    assert divmod(int(faster.argmax()), 101) == (40, 60)
