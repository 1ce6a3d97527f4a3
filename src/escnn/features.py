"""The one definition of what the network sees: waveform to log-mel. Training, prediction and pictures all use it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor, nn

from escnn.config import AudioConfig


@dataclass(frozen=True, slots=True)
class Normalization:
    """Mean and standard deviation, in dB, of the log-mels that a model was trained on."""

    mean_db: float
    std_db: float


class LogMel(nn.Module):
    """Waveform ``(batch, time)`` to decibels ``(batch, 1, mels, frames)``.

    Power spectrogram (Hann window), mel filters on the HTK scale (O'Shaughnessy 1987), 10 log10. 0 dB is a full-scale
    sine; everything below ``config.floor_db`` is set to it. The floor is fixed: one that followed the loudest clip of a
    batch (`top_db`) would make a clip's picture depend on its neighbours.
    """

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        with warnings.catch_warnings():
            # Narrow low bands may hold no bin of a short FFT (1024 at 44.1 kHz); such a band stays at the floor.
            warnings.filterwarnings("ignore", message="At least one mel filterbank")
            self.mel = torchaudio.transforms.MelSpectrogram(
                sample_rate=config.sample_rate,
                n_fft=config.n_fft,
                hop_length=config.hop_length,
                n_mels=config.n_mels,
                f_min=config.f_min,
                f_max=config.f_max,
                power=2.0,
                mel_scale="htk",
                pad_mode="constant",  # "reflect" needs at least half a window of sound
            )
        # A sine of amplitude 1 has magnitude sum(window) / 2 in its bin, and a Hann window of n samples sums to n / 2.
        self.full_scale_db = 20 * math.log10(config.n_fft / 4)

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel in dB, (batch, 1, mels, frames), of `waveform`, (batch, time) at ``config.sample_rate``."""
        power: Tensor = self.mel(waveform)  # (batch, mels, frames)
        decibels = 10 * power.clamp_min(1e-20).log10() - self.full_scale_db
        return decibels.clamp_min(self.config.floor_db).unsqueeze(1)

    def mel_frequencies(self) -> list[float]:
        """Centre frequency of every band, in Hz, lowest first."""
        low, high = (2595 * math.log10(1 + hz / 700) for hz in (self.config.f_min, self.config.f_max))
        steps = torch.linspace(low, high, self.config.n_mels + 2, dtype=torch.float64)[1:-1]
        return [float(hz) for hz in 700 * (10 ** (steps / 2595) - 1)]


def normalize(decibels: Tensor, normalization: Normalization) -> Tensor:
    """Decibels to the network's input: zero mean and unit deviation over the training set."""
    return (decibels - normalization.mean_db) / normalization.std_db
