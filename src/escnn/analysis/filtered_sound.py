"""The sound through a saliency map: the evidence for a class, to be heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import Samples
from escnn.audio.log_mel import AudioConfig, hann_window, mel_frequencies


def filter_sound(window: Samples, saliency: NDArray[np.float32], config: AudioConfig) -> Samples:
    """The sound through the evidence for a class: its spectrogram weighted by the saliency, with the phases it had.

    Args:
        window: (time,) at the model's rate.
        saliency: (mels, frames), 0..1: the share of the power that is let through.
        config: the model's.

    Returns:
        (time,), made as loud at its loudest as `window` is; silence where there is no evidence.
    """
    bins = np.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1)
    frequencies = mel_frequencies(config)
    place = np.interp(bins, frequencies, np.arange(len(frequencies)))  # of every bin among the bands
    below = np.minimum(place.astype(np.int64), len(frequencies) - 2)
    upper = (place - below)[:, None]
    power = saliency[below] * (1 - upper) + saliency[below + 1] * upper  # (bins, frames)
    power[(bins < config.f_min) | (bins > config.f_max)] = 0  # the network does not hear those
    gain = np.sqrt(power).astype(np.float32)
    filtered = _inverse(_spectrum(window, config) * gain, config, len(window))
    loudest = float(np.abs(filtered).max())
    if loudest == 0:
        return filtered
    louder: Samples = (filtered * (np.abs(window).max() / loudest)).astype(np.float32)
    return louder


def _spectrum(window: Samples, config: AudioConfig) -> NDArray[np.complex64]:
    """The short-time Fourier transform, (bins, frames), of frames centred on their time; beyond the ends is silence."""
    padded = np.pad(window, config.n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop_length]
    spectrum: NDArray[np.complex64] = np.fft.rfft(frames * hann_window(config.n_fft), axis=1).T.astype(np.complex64)
    return spectrum


def _inverse(spectrum: NDArray[np.complex64], config: AudioConfig, length: int) -> Samples:
    """The sound, (time,), whose spectrum comes closest (D. Griffin, J. Lim, 1984): overlapping frames, added."""
    hann = hann_window(config.n_fft)
    frames = np.fft.irfft(spectrum.T, config.n_fft, axis=1) * hann
    total = np.zeros((len(frames) - 1) * config.hop_length + config.n_fft)
    weight = np.zeros_like(total)
    for number, frame in enumerate(frames):
        place = slice(number * config.hop_length, number * config.hop_length + config.n_fft)
        total[place] += frame
        weight[place] += hann**2
    # Frames that overlap by less than half leave places that hardly any window covers: no click comes from there.
    sound = (total / np.maximum(weight, 0.1 * weight.max()))[config.n_fft // 2 :][:length]
    return np.pad(sound, (0, length - len(sound))).astype(np.float32)
