"""From sounds to a page, in Python: make a folder of sounds, train, evaluate, predict, look. Half a minute.

python examples/train_and_look.py FOLDER
"""

# %% A folder per class, with sounds that are made up here: chirps that rise, chirps that fall, and noise.
import sys
from pathlib import Path

import numpy as np
import soundfile

import escnn

folder = Path(sys.argv[1])
RATE, SECONDS = 16_000, 1.0
random = np.random.default_rng(0)


def chirp(start_hz: float, end_hz: float) -> np.ndarray:
    """A tone that glides from one frequency to another, with a little noise: (time,)."""
    hz = np.geomspace(start_hz, end_hz, round(RATE * SECONDS))
    noise = random.normal(scale=0.01, size=hz.size)
    return 0.4 * np.sin(2 * np.pi * np.cumsum(hz) / RATE) + noise


for number in range(15):
    low, high = 300 * random.uniform(0.8, 1.2), 3_000 * random.uniform(0.8, 1.2)
    sounds = {"rising": chirp(low, high), "falling": chirp(high, low), "noise": random.normal(scale=0.2, size=RATE)}
    for label, samples in sounds.items():
        (folder / "sounds" / label).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / "sounds" / label / f"{number}.wav", samples, RATE)

# %% Train: a small network, for one-second windows at 16 kHz. Rolling a chirp would break it in two.
run = escnn.train(
    folder / "sounds",
    out=folder / "run",
    epochs=20,
    batch_size=8,
    audio={"sample_rate": RATE, "clip_seconds": SECONDS, "n_fft": 512, "hop_length": 160, "n_mels": 48, "f_max": 8_000},
    model={"widths": [12, 24], "depths": [1, 1], "dropout": 0.0},
    augment={"roll": False, "speed": 0.1, "mask_mels": 6, "mask_frames": 12},
    on_epoch=lambda _, epoch: print(f"epoch {epoch.epoch}: loss {epoch.loss:.3f}"),
)

# %% Evaluate on the test fold, which the network was not trained on.
evaluation = escnn.evaluate(run.folder, folder / "sounds")
print(f"accuracy {evaluation.accuracy:.2f}, log loss {evaluation.log_loss:.2f}")
print(evaluation.per_class().to_string(index=False))
evaluation.save(folder / "evaluation")

# %% Predict an array: there need not be a file.
classifier = escnn.Classifier.load(run.folder)
print(classifier.predict((chirp(400, 2_500), RATE)).top(2))

# %% Analyze: in a notebook, `analysis` alone on a line shows the page.
analysis = escnn.analyze((chirp(2_500, 400), RATE), classifier, name="a falling chirp")
print(analysis.save(folder / "report"))
