"""Sounds of no class, which a frame head must leave unnamed: noise, mains hum, tones, somebody speaking.

Speech is synthesised with espeak-ng where that is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import load_audio
from escnn.audio.log_mel import AudioConfig, LogMel
from escnn.errors import AudioError

Array = NDArray[np.float32]
Rng = np.random.Generator

COUNT = 24  # of noises, and of speeches
OTHER_SECONDS = 30.0  # of each: mixtures hold stretches of them
SPEECH_SECONDS = 60.0  # that espeak-ng may take
VOICES = ("en+m2", "en+m4", "en+m7", "en+f3", "en+f5", "en-us+m1", "de+f2", "fr+m3", "es+f1", "it+m6")
PHRASES = (
    "Good morning, how did you sleep?",
    "The bus was late again, so I walked.",
    "Can you hear me now? I will call you back in ten minutes.",
    "Seven, eight, nine, ten, eleven, twelve.",
    "There are two ways to cook rice, and both of them are slow.",
    "Turn left after the bridge and follow the river.",
    "My sister lives in a small village in the mountains.",
    "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday.",
)
# Words in the name of a class that could be speech.
SPOKEN = frozenset(
    [
        *("speech", "speaking", "speaker", "talk", "talking", "voice", "voices", "conversation", "human", "people"),
        *("person", "child", "children", "man", "men", "woman", "women", "male", "female"),
    ]
)


def other_sounds(audio: AudioConfig, seconds: float, labels: tuple[str, ...], seed: int) -> list[Array]:
    """Log-mels (mels, frames) of sounds that are so long and of none of the classes called `labels`.

    Where one of these could be speech, there is none among them.
    """
    rng = np.random.default_rng([seed, 7])
    samples = round(seconds * audio.sample_rate)
    sounds = [_noise(rng, samples, audio.sample_rate) for _ in range(COUNT)]
    if SPOKEN.isdisjoint(word for label in labels for word in re.split(r"[\W_]+", label.lower())):
        sounds += [np.resize(spoken, samples) for spoken in _speeches(rng, audio.sample_rate)]
    log_mel = LogMel(audio)
    return [log_mel(sound[None])[0] for sound in sounds]


def _noise(rng: Rng, samples: int, rate: int) -> Array:
    """White to brown noise, half of the time with hum or tones as loud as it."""
    noise = rng.standard_normal(samples)
    leak = rng.uniform(0, 0.99)  # of a first-order low-pass: 0 is white
    if leak > 0.2:
        spectrum = np.fft.rfft(noise)
        angles = np.linspace(0, np.pi, len(spectrum))
        noise = np.fft.irfft(spectrum / np.abs(1 - leak * np.exp(-1j * angles)), samples)
    noise /= np.sqrt(np.mean(noise**2))
    time = np.arange(samples) / rate
    kind = rng.random()
    if kind < 0.3:
        pitches = rng.choice([50.0, 60.0]) * np.arange(1, 12)
    elif kind < 0.5:
        pitches = rng.uniform(80, rate / 3, int(rng.integers(1, 4)))
    else:
        pitches = np.zeros(0)
    for pitch in pitches[pitches < rate / 2]:
        noise += rng.uniform(0, 1) * np.sin(2 * np.pi * (pitch * time + rng.random()))
    level: Array = (0.1 * noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return level


def _speeches(rng: Rng, rate: int) -> list[Array]:
    """Speech in many voices, (time,) each; none without espeak-ng."""
    program = shutil.which("espeak-ng")
    if program is None:
        return []
    spoken = []
    for _ in range(COUNT):
        voice, speed, pitch = rng.choice(VOICES), rng.integers(110, 220), rng.integers(10, 90)
        text = " ".join(rng.permutation(PHRASES))
        command = [program, "-v", str(voice), "-s", str(speed), "-p", str(pitch), "--stdout", text]
        try:
            wav = subprocess.run(  # noqa: S603 - fixed words, to a program that was found
                command, check=True, capture_output=True, timeout=SPEECH_SECONDS
            ).stdout
            spoken.append(load_audio(wav, rate).samples)
        except (subprocess.SubprocessError, OSError, AudioError):
            return []  # an espeak-ng that cannot speak is none
    return spoken
