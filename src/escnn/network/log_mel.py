"""The log-mel in torch, on any device, and its stretching in time and pitch."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
import torchaudio
from torch import Tensor, nn

from escnn.audio.log_mel import AudioConfig, full_scale_db, hann_window


class TorchLogMel(nn.Module):
    """Waveform ``(batch, time)`` to decibels ``(batch, 1, mels, frames)``, as `audio.log_mel.LogMel` does in numpy."""

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
                window_fn=lambda samples: torch.from_numpy(hann_window(samples)),
            )

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel in dB, (batch, 1, mels, frames), of `waveform`, (batch, time) at ``config.sample_rate``."""
        power: Tensor = self.mel(waveform)  # (batch, mels, frames)
        decibels = 10 * power.clamp_min(1e-20).log10() - full_scale_db(self.config)
        return decibels.clamp_min(self.config.floor_db).unsqueeze(1)


def stretch(decibels: Tensor, faster: Tensor, wider: Tensor, shift: Tensor) -> Tensor:
    """Play clip i ``faster[i]`` times as fast, squeeze its mel axis by ``wider[i]`` and read it ``shift[i]`` of its
    length further up, which lowers the sound. Bilinear, around the middle; what is missing at a border is mirrored.
    """
    batch, mels, frames = decibels.shape
    grid = torch.empty(batch, mels, frames, 2, device=decibels.device)  # where to read, -1..1: (frame, mel band)
    grid[..., 0] = faster[:, None, None] * _centres(frames, decibels.device)
    grid[..., 1] = (wider[:, None] * _centres(mels, decibels.device) + 2 * shift[:, None])[:, :, None]
    warped = F.grid_sample(decibels[:, None], grid, padding_mode="reflection", align_corners=False)
    return warped[:, 0]


def _centres(cells: int, device: torch.device) -> Tensor:
    """Middles of so many equal cells of -1..1."""
    return (torch.arange(cells, device=device) * 2 + 1) / cells - 1
