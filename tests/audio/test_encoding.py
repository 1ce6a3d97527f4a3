"""What a page plays is the sound itself."""

import numpy as np
import pytest

from escnn.audio.decoding import load_audio
from escnn.audio.encoding import encode


@pytest.mark.parametrize("rate", [1_000, 8_000, 44_100, 96_000])
def test_an_encoded_sound_is_the_same_again_without_delay(rate: int) -> None:
    time = np.arange(2 * rate) / rate
    sweep = np.sin(2 * np.pi * rate * (time / 40 + time**2 / 40))  # from a 40th to an eighth of the rate
    sound = (0.5 * sweep * np.hanning(2 * rate)).astype(np.float32)
    exact = load_audio(encode(sound, rate, "WAV"))
    assert exact.sample_rate == rate
    np.testing.assert_allclose(exact.samples, sound, atol=2 / 2**15)
    small = load_audio(encode(sound, rate, "MP3"), sample_rate=rate)
    assert abs(len(small.samples) - len(sound)) <= 1
    length = min(len(small.samples), len(sound))
    spectra = np.fft.rfft(small.samples[:length]) * np.fft.rfft(sound[:length]).conj()
    assert np.fft.irfft(spectra).argmax() in (0, 1, length - 1)  # samples of delay
    assert np.corrcoef(small.samples[:length], sound[:length])[0, 1] > 0.99
    assert encode(sound, rate, "MP3") == encode(sound, rate, "MP3")
