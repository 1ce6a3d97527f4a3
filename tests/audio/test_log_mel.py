"""The log-mel in numpy, held to torchaudio's; its settings, and where its bands lie."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO

from escnn.audio.log_mel import AudioConfig, LogMel, Normalization, mel_frequencies, normalize
from escnn.errors import UsageError
from escnn.network.log_mel import TorchLogMel
from escnn.runs.settings import PRESETS


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


SIGNALS = ["noise", "quiet noise", "tone", "loud low tone", "fading tone", "click", "silence", "short"]


def signal(name: str, config: AudioConfig) -> np.ndarray:
    time = np.arange(config.window_samples) / config.sample_rate
    noise = np.random.default_rng(0).standard_normal(time.size)
    click = np.zeros(time.size)
    click[1_000] = 1.0
    samples = {
        "noise": 0.2 * noise,
        "quiet noise": 1e-4 * noise,
        "tone": 0.5 * np.sin(2 * np.pi * 1_000 * time),
        "loud low tone": np.sin(2 * np.pi * 97 * time),
        "fading tone": np.sin(2 * np.pi * 440 * time) * np.exp(-20 * time),
        "click": click,
        "silence": np.zeros(time.size),
        "short": np.where(time < 0.01, noise, 0.0),
    }
    return samples[name].astype(np.float32)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("config", [AudioConfig(), PRESETS["baseline-resnet34"].audio, SMALL_AUDIO], ids=str)
def test_it_is_within_a_hundredth_of_a_decibel_of_torchaudio(name: str, config: AudioConfig) -> None:
    samples = signal(name, config)[None]
    ours, theirs = LogMel(config)(samples), TorchLogMel(config).double()(torch.from_numpy(samples).double())[:, 0]
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape == (1, config.n_mels, config.frames)
    assert np.abs(ours - theirs.numpy()).max() < 0.01
    # In single precision torchaudio itself is off by as much, 110 dB below a tone; nearer to it both agree.
    single = TorchLogMel(config)(torch.from_numpy(samples))[:, 0].numpy()
    assert np.abs(ours - single)[ours > ours.max() - 90].max() < 0.01
    assert np.abs(ours - single).max() < 0.05


def test_a_log_mel_is_the_same_alone_and_in_a_batch() -> None:
    windows = np.stack([signal(name, SMALL_AUDIO) for name in SIGNALS])
    together = LogMel(SMALL_AUDIO)(windows)
    for window, log_mel in zip(windows, together, strict=True):
        np.testing.assert_array_equal(LogMel(SMALL_AUDIO)(window[None])[0], log_mel)
