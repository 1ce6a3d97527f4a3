"""Kill a training again and again, resume it each time, and compare what comes out with one that was never killed.

    python tests/chaos/training.py [COUNT [SEED]]     kills, 30 by default; part of `make chaos`

SIGKILL comes at a random moment after a random number of epochs, half of the time while files are being written: then
it waits for the temporary file that every checkpoint begins as. Exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))  # of tests/, whose helpers it shares
from conftest import ESCNN, SMALL_TRAINING, tone

from escnn.config import to_json
from escnn.model.model_file import read_model
from escnn.training.state import load_state

EPOCHS = 400  # of a few milliseconds each: time enough for thirty kills


def make_data(folder: Path) -> Path:
    """Ten half-second sounds in each of two classes."""
    rng = np.random.default_rng(0)
    for label, hz in {"low": 300, "high": 3_000}.items():
        (folder / label).mkdir(parents=True)
        for number in range(10):
            sound = tone(hz * rng.uniform(0.9, 1.1), 0.5, 8_000)
            soundfile.write(folder / label / f"{number}.wav", sound, 8_000)
    return folder


def train(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start a training that nobody listens to."""
    return subprocess.Popen([*ESCNN, "train", "--quiet", *arguments], stderr=subprocess.DEVNULL)


def kill_somewhere(process: subprocess.Popen[bytes], run: Path, rng: random.Random) -> str:
    """Kill a training a few epochs on; says when. "finished" if it came to its end before."""
    wanted = epochs_done(run) + rng.randrange(1, 8)
    while process.poll() is None and epochs_done(run) < wanted:
        time.sleep(0.002)
    while_writing = rng.random() < 0.5
    while while_writing and process.poll() is None and not list(run.glob(".*.part")):
        pass
    if not while_writing:
        time.sleep(rng.uniform(0, 0.05))
    if process.poll() is not None:
        return "finished"
    process.kill()
    process.wait()
    return "while writing" if while_writing else "at any moment"


def epochs_done(run: Path) -> int:
    """Rows of its ``metrics.csv``."""
    try:
        return max(0, (run / "metrics.csv").read_text("utf-8").count("\n") - 1)
    except OSError:
        return 0


def same_weights(one: Path, other: Path) -> bool:
    """Whether two finished runs hold the same model, bit for bit; their cards differ in name and time."""
    first, second = (read_model(run).weights for run in (one, other))
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def chaos(count: int, seed: int, folder: Path) -> list[str]:
    """The complaints: empty if `count` kills left no trace. `folder` is for everything that is written."""
    rng = random.Random(seed)
    data = make_data(folder / "data")
    config = folder / "config.json"
    config.write_text(json.dumps({**to_json(SMALL_TRAINING), "epochs": EPOCHS}))
    begin = ["--data", str(data), "--config", str(config), "--out"]
    straight = folder / "straight"
    subprocess.run([*ESCNN, "train", *begin, str(straight)], check=True, capture_output=True)
    complaints: list[str] = []
    moments: dict[str, int] = {}
    killed = 0
    while killed < count and not complaints:  # a run that was killed to its end begins anew
        run = folder / "killed"
        shutil.rmtree(run, ignore_errors=True)
        process = train([*begin, str(run)])
        while killed < count and (moment := kill_somewhere(process, run, rng)) != "finished":
            killed += 1
            moments[moment] = moments.get(moment, 0) + 1
            load_state(run / "last.pt")  # whole, or this raises
            process = train(["--resume", str(run)])
        if code := process.wait():
            complaints.append(f"exit code {code}")
        elif not same_weights(run, straight):
            complaints.append("the weights differ")
        elif epochs_done(run) != EPOCHS or json.loads((run / "run.json").read_text())["status"] != "complete":
            complaints.append("metrics.csv or run.json is not that of a finished run")
        print(f"{killed} kills, {moments}: {complaints or 'same weights, bit for bit'}", flush=True)
    return complaints


if __name__ == "__main__":
    asked, drawn = [*map(int, sys.argv[1:]), *(30, 0)[len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(bool(chaos(asked, drawn, Path(temporary))))
