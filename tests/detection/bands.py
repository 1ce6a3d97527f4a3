"""A stand-in for a network that hears low and high tones, and sounds with tones where one wants them."""

import math
from types import MappingProxyType

import numpy as np
from conftest import tone

from escnn.audio.log_mel import AudioConfig, LogMel, Normalization, mel_frequencies
from escnn.model.architecture import ModelConfig
from escnn.model.card import ModelCard
from escnn.model.frames import EventSettings, FrameHeadConfig, FrameRecord

AUDIO = AudioConfig(sample_rate=16_000, clip_seconds=2.0, n_fft=512, hop_length=160, n_mels=32, f_max=8_000.0)
RATE = AUDIO.sample_rate
LOW_HZ, HIGH_HZ = 500.0, 3_000.0
FRAME = 0.16  # seconds


class Bands:
    """Stands in for a network with a frame head: "low" and "high" are scores of what is louder than -50 dB there."""

    parallel, batch_windows = 2, 2
    card = ModelCard(
        "bands", ("low", "high"), AUDIO, ModelConfig(), Normalization(-50.0, 20.0),
        frames=FrameRecord(FrameHeadConfig(), EventSettings(onset_score=0.5, merge_seconds=0.3, median_frames=1)),
    )  # fmt: skip
    versions = MappingProxyType({"stand-in": "1"})
    log_mels = staticmethod(LogMel(AUDIO))

    def frame_scores(self, log_mels: np.ndarray) -> np.ndarray:
        stride = self.card.frame_geometry.stride
        bands = np.array(mel_frequencies(AUDIO))
        halves = [log_mels[:, bands < 1_200], log_mels[:, bands >= 1_200]]
        loud = np.stack([half.max(axis=1) for half in halves], axis=1) > -50  # (batch, classes, frames)
        frames = math.ceil(loud.shape[2] / stride)
        edged = np.pad(loud, ((0, 0), (0, 0), (stride // 2, stride)))[:, :, : frames * stride]
        return edged.reshape(*edged.shape[:2], frames, stride).mean(axis=3).astype(np.float32)


def planted(seconds: float, *events: tuple[float, float, float], rate: int = RATE) -> np.ndarray:
    """A sound with a tone, (start, end, Hz), wherever one is wanted."""
    sound = np.zeros(round(seconds * rate), np.float32)
    for start, end, hz in events:
        first, last = round(start * rate), round(end * rate)
        sound[first:last] += tone(hz, (last - first) / rate, rate, 0.3)[: last - first]
    return sound
