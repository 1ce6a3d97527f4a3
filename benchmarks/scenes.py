"""Soundscapes whose events are known: clips of one fold, at known times and levels, over wind, rain or sea.

    python benchmarks/scenes.py ESC-50 OUT [--fold 4] [--count 200] [--seed 7]

writes them as FLAC with ``truth.csv``. `soundscapes.py` makes the same ones in memory and measures a model on them.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from escnn.audio.decoding import load_audio
from escnn.data.dataset import Clip, Dataset
from escnn.data.sources import open_dataset

Samples = NDArray[np.float32]
RATE = 44_100
SECONDS = 60
BACKGROUNDS = ("wind", "rain", "sea_waves")  # they sound all the time, and are not scored
BACKGROUND_LEVEL = 0.01  # RMS: -40 dB below full scale
MOST_EVENTS, MOST_AT_ONCE = 8, 2
LOWEST_SNR_DB, HIGHEST_SNR_DB = 0.0, 20.0
SAME_LABEL_GAP_SECONDS = 1.0  # between two events of one class: nearer ones would be one
# Classes with a beginning and an end. Of others, such as crickets, nobody could say where an event ends.
EVENT_LABELS = [
    "dog",
    "rooster",
    "pig",
    "cow",
    "frog",
    "cat",
    "hen",
    "insects",
    "sheep",
    "crow",
    "chirping_birds",
    "crying_baby",
    "sneezing",
    "clapping",
    "coughing",
    "footsteps",
    "laughing",
    "door_wood_knock",
    "mouse_click",
    "can_opening",
    "glass_breaking",
    "siren",
    "car_horn",
    "church_bells",
    "fireworks",
    "hand_saw",
    "clock_alarm",
    "toilet_flush",
    "door_wood_creaks",
    "keyboard_typing",
    "chainsaw",
    "engine",
]
SPOKEN = (
    "The train to the coast leaves from platform four.",
    "Please put the cups back into the kitchen when you have finished.",
    "We measured the temperature twice a day for three weeks.",
    "She asked whether the meeting could be moved to Thursday.",
    "Nobody knew how the old clock had come to stand in the hall.",
    "One hundred and twenty seven people signed the letter.",
)


@dataclass(frozen=True)
class Placed:
    """An event and where it is."""

    start: float  # seconds
    end: float
    label: str
    snr_db: float  # its RMS over that of the background

    @property
    def span(self) -> tuple[float, float, str]:
        """As the metrics take it."""
        return self.start, self.end, self.label


@dataclass(frozen=True)
class Scene:
    """A soundscape, (time,) at `RATE`, and its events."""

    name: str
    samples: Samples
    events: tuple[Placed, ...]


class Stage:
    """Makes soundscapes of the clips of one fold, or of every second of them."""

    def __init__(self, data: Path | Dataset, fold: int, half: int | None = None) -> None:
        dataset = open_dataset(data) if isinstance(data, Path) else data
        self.labels = dataset.labels
        self._clips: dict[str, list[Clip]] = {label: [] for label in self.labels}
        for clip in sorted(dataset.clips, key=lambda clip: clip.name):
            if clip.fold == fold:
                self._clips[self.labels[clip.class_id]].append(clip)
        if half is not None:
            self._clips = {label: clips[half::2] for label, clips in self._clips.items()}

    def scenes(self, count: int, seed: int, *, most: int = MOST_EVENTS, reverberant: bool = False) -> Iterator[Scene]:
        """So many of them; each depends on the seed and its number alone."""
        for number in range(count):
            yield self._scene(number, np.random.default_rng([seed, number]), most, reverberant=reverberant)

    def _scene(self, number: int, rng: np.random.Generator, most: int, *, reverberant: bool) -> Scene:
        room = _room(rng) if reverberant else None
        mixed = self._background(rng)
        placed: list[Placed] = []
        for _ in range(int(rng.integers(0, most + 1))):
            label = str(rng.choice(EVENT_LABELS))
            event = sounding(self._load(rng, label))
            snr = float(rng.uniform(LOWEST_SNR_DB, HIGHEST_SNR_DB))
            start = float(rng.uniform(0, max(0.1, SECONDS - len(event) / RATE)))
            new = Placed(start, min(start + len(event) / RATE, SECONDS), label, snr)
            if not _fits(new, placed):
                continue
            placed.append(new)
            event = event * np.float32(BACKGROUND_LEVEL * 10 ** (snr / 20) / rms(event))
            if room is not None:
                event = _convolved(event, room)
            first = round(start * RATE)
            event = event[: len(mixed) - first]
            mixed[first : first + len(event)] += event
        peak = float(np.abs(mixed).max())
        if peak > 0.9:
            mixed *= np.float32(0.9 / peak)
        return Scene(f"scene-{number:03d}", mixed, tuple(sorted(placed, key=lambda event: event.start)))

    def _background(self, rng: np.random.Generator) -> Samples:
        """A clip over and over, faded into itself."""
        clip = self._load(rng, str(rng.choice(BACKGROUNDS)))
        clip = clip * np.float32(BACKGROUND_LEVEL / rms(clip))
        fade = RATE // 2
        rise = np.sqrt(np.linspace(0, 1, fade, dtype=np.float32))  # powers add up to one
        clip[:fade] *= rise
        clip[-fade:] *= rise[::-1]
        long = np.zeros(SECONDS * RATE + len(clip), dtype=np.float32)
        for first in range(0, SECONDS * RATE, len(clip) - fade):
            long[first : first + len(clip)] += clip
        return long[: SECONDS * RATE]

    def _load(self, rng: np.random.Generator, label: str) -> Samples:
        clips = self._clips[label]
        return load_audio(clips[int(rng.integers(len(clips)))].path, RATE).samples.copy()


def _fits(new: Placed, placed: Sequence[Placed]) -> bool:
    at_once = sum(new.start < other.end and new.end > other.start for other in placed)
    gap = SAME_LABEL_GAP_SECONDS
    near = any(
        other.label == new.label and new.start < other.end + gap and new.end > other.start - gap for other in placed
    )
    return not near and at_once < MOST_AT_ONCE


def rms(samples: Samples) -> float:
    """Root of the mean square; never zero."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


def sounding(samples: Samples) -> Samples:
    """What sounds of a clip: from the first 20 ms within 45 dB of the loudest to where half a second is quieter."""
    block = RATE // 50
    levels = np.array([rms(samples[first : first + block]) for first in range(0, len(samples), block)])
    loud = np.flatnonzero(levels > max(1e-4, levels.max() * 10 ** (-45 / 20)))
    if not len(loud):
        return samples
    gaps = np.flatnonzero(np.diff(loud) > 25)
    last = loud[gaps[0]] if len(gaps) else loud[-1]
    return samples[loud[0] * block : (last + 1) * block]


def _room(rng: np.random.Generator) -> Samples:
    """The response of a room: the sound itself, then noise that decays by 60 dB within 0.3 to 1.2 s."""
    decay = float(rng.uniform(0.3, 1.2))
    time = np.arange(round(decay * RATE)) / RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail *= np.sqrt(0.5 / np.square(tail).sum())
    tail[0] = 1.0
    return tail.astype(np.float32)


def _convolved(samples: Samples, response: Samples) -> Samples:
    size = len(samples) + len(response) - 1
    fast = 1 << (size - 1).bit_length()
    product = np.fft.rfft(samples, fast) * np.fft.rfft(response, fast)
    return np.fft.irfft(product, fast)[:size].astype(np.float32)


def nothing_to_name(seed: int, minutes: int) -> Iterator[Scene]:
    """Minutes without any event: noises of all colours, mains hum, tones, and in every second one somebody speaking.

    Speech is synthesised with espeak-ng; where it is not installed, those minutes are left out.
    """
    for number in range(minutes):
        rng = np.random.default_rng([seed, 1, number])
        sound = _noise(rng, SECONDS * RATE)
        if number % 2:
            speech = _speech(rng)
            if speech is None:
                continue
            sound += speech * np.float32(rms(sound) * 10 ** (rng.uniform(10, 30) / 20) / rms(speech))
        sound *= np.float32(10 ** (rng.uniform(-60, -25) / 20) / rms(sound))
        kind = "speech" if number % 2 else "noise"
        yield Scene(f"{kind}-{number:03d}", np.clip(sound, -1, 1), ())


def _noise(rng: np.random.Generator, length: int) -> Samples:
    """Noise whose power falls by 0 to 2 powers of frequency, at times with hum or a tone in it."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequencies = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 20.0)
    noise = np.fft.irfft(spectrum * frequencies ** (-rng.uniform(0, 1)), length).astype(np.float32)
    noise /= np.float32(rms(noise))
    time = np.arange(length) / RATE
    if rng.random() < 0.4:  # mains hum
        mains = rng.choice([50.0, 60.0])
        for harmonic in range(1, 9):
            noise += np.float32(rng.uniform(0, 0.7)) * np.sin(2 * np.pi * mains * harmonic * time).astype(np.float32)
    elif rng.random() < 0.2:
        noise += np.float32(rng.uniform(0.1, 1)) * np.sin(2 * np.pi * rng.uniform(100, 8000) * time).astype(np.float32)
    return noise


def _speech(rng: np.random.Generator) -> Samples | None:
    """A minute of sentences in a random voice; None without espeak-ng."""
    if shutil.which("espeak-ng") is None:
        return None
    voice = f"en+{rng.choice(['m1', 'm3', 'm5', 'f1', 'f2', 'f4'])}"
    text = " ".join(str(sentence) for sentence in rng.permutation([*SPOKEN] * 4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(rng.integers(120, 200)), "-p", str(rng.integers(20, 80))]
        subprocess.run([*command, "-w", str(path), text], check=True, capture_output=True)
        spoken = load_audio(path, RATE).samples
    return np.resize(spoken, SECONDS * RATE)


def main() -> None:
    """Write soundscapes and their truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", type=int, default=4)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--reverberant", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True)
    with (asked.out / "truth.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "start", "end", "label", "snr_db"])
        for scene in Stage(asked.data, asked.fold).scenes(asked.count, asked.seed, reverberant=asked.reverberant):
            soundfile.write(asked.out / f"{scene.name}.flac", scene.samples, RATE, subtype="PCM_16")
            for event in scene.events:
                span = [f"{event.start:.3f}", f"{event.end:.3f}"]
                table.writerow([f"{scene.name}.flac", *span, event.label, f"{event.snr_db:.1f}"])


if __name__ == "__main__":
    main()
