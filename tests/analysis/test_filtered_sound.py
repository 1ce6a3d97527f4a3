"""The evidence can be heard: what is salient comes through with the phase that it had, and nothing else."""

import msgspec
import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, tone

from escnn.analysis.filtered_sound import filter_sound
from escnn.audio.log_mel import mel_frequencies

SHAPE = (SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)


def test_a_filter_lets_through_what_is_salient_and_nothing_else() -> None:
    low, high = tone(300, 0.5, 8_000), tone(2_500, 0.5, 8_000)
    saliency = np.zeros(SHAPE, dtype=np.float32)
    saliency[np.array(mel_frequencies(SMALL_AUDIO)) < 1_000] = 1.0
    filtered = filter_sound(low + high, saliency, SMALL_AUDIO)
    assert filtered.shape == low.shape
    assert filtered.dtype == np.float32
    assert np.abs(filtered).max() == pytest.approx(np.abs(low + high).max())
    spectrum = np.abs(np.fft.rfft(filtered))
    bins = np.fft.rfftfreq(len(filtered), 1 / 8_000)
    assert spectrum[np.argmin(abs(bins - 2_500))] < 0.01 * spectrum[np.argmin(abs(bins - 300))]
    assert np.corrcoef(filtered, low)[0, 1] > 0.99  # with the phase that it had


def test_a_filter_keeps_only_the_moments_that_are_salient() -> None:
    saliency = np.zeros(SHAPE, dtype=np.float32)
    saliency[:, : SHAPE[1] // 2] = 1.0
    filtered = filter_sound(tone(1_000, 0.5, 8_000), saliency, SMALL_AUDIO)
    assert np.abs(filtered[2_500:]).max() < 1e-3
    assert np.abs(filtered[200:1_500]).max() > 0.4


def test_without_evidence_there_is_silence() -> None:
    assert not filter_sound(tone(1_000, 0.5, 8_000), np.zeros(SHAPE, dtype=np.float32), SMALL_AUDIO).any()


@pytest.mark.parametrize("hop_length", [16, 100, 128, 192, 256])
def test_where_all_is_salient_the_sound_is_as_it_was(hop_length: int) -> None:
    config = msgspec.structs.replace(SMALL_AUDIO, hop_length=hop_length)
    window = np.random.default_rng(0).uniform(-0.5, 0.5, config.window_samples).astype(np.float32)
    filtered = filter_sound(window, np.ones((config.n_mels, config.frames), dtype=np.float32), config)
    if hop_length <= config.n_fft // 2:
        np.testing.assert_allclose(filtered, window, atol=1e-4)
    else:  # what lies between two frames is quieter, and nothing is a click
        assert np.abs(filtered).max() == pytest.approx(np.abs(window).max())
        assert np.sqrt((filtered**2).mean()) > 0.5 * np.sqrt((window**2).mean())


@pytest.mark.parametrize(
    "changes",
    [{}, {"hop_length": 100}, {"n_fft": 1024, "f_min": 300.0, "f_max": 2_000.0}, {"clip_seconds": 0.1}],
    ids=str,
)
def test_the_sound_is_that_of_torch(changes: dict[str, float]) -> None:
    """As 0.1.0 computed it."""
    config = msgspec.structs.replace(SMALL_AUDIO, **changes)
    rng = np.random.default_rng(0)
    window = rng.uniform(-0.5, 0.5, config.window_samples).astype(np.float32)
    saliency = rng.random((config.n_mels, config.frames), dtype=np.float32)
    bins, bands = np.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1), mel_frequencies(config)
    gain = np.sqrt([[np.interp(hz, bands, column) for column in saliency.T] for hz in bins])
    gain[(bins < config.f_min) | (bins > config.f_max)] = 0
    options = {"n_fft": config.n_fft, "hop_length": config.hop_length, "window": torch.hann_window(config.n_fft)}
    spectrum = torch.stft(torch.from_numpy(window), pad_mode="constant", return_complex=True, **options)
    filtered = torch.istft(spectrum * torch.from_numpy(gain).float(), length=len(window), **options).numpy()
    expected = filtered * np.abs(window).max() / np.abs(filtered).max()
    np.testing.assert_allclose(filter_sound(window, saliency, config), expected, atol=1e-4)
