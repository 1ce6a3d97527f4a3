"""Speed and size on this machine: `make bench` prints them and writes `benchmarks/bench.json`. No test is timed."""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ESCNN = [sys.executable, "-m", "escnn"]
IMPORTS = [sys.executable, "-c", "import torch, torchaudio"]
LOADING = [sys.executable, "-c", "from escnn import Classifier; Classifier.load(device='cpu')"]
RUNS = 5


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def in_turn(first: list[str], second: list[str]) -> tuple[float, float]:
    """Median wall times of two commands, run in turn so that a slow moment hits both."""
    pairs = [(seconds(first), seconds(second)) for _ in range(RUNS + 1)][1:]  # the first pair warms the disk cache
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def training_cost(preset: str, epochs: int, clips: int) -> dict[str, float]:
    """Seconds an epoch of 1,600 clips and peak memory beyond the imports; run in a process of its own.

    The log-mels are random numbers of the right shape: an epoch reads nothing else once the cache is there.
    """
    import msgspec
    import numpy as np
    import torch

    from escnn.data.dataset import Clip, Dataset
    from escnn.data.features import Features
    from escnn.runs.settings import PRESETS
    from escnn.training.trainer import Trainer

    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    config = msgspec.structs.replace(PRESETS[preset], epochs=epochs, fold=0)
    audio = config.audio
    labels = tuple(f"class {index}" for index in range(50))
    dataset = Dataset(HERE, labels, tuple(Clip(str(i), Path(__file__), i % 50, 1 + i % 5) for i in range(clips)))
    random = np.random.default_rng(0)
    decibels = np.empty((clips, audio.n_mels, audio.frames), dtype=np.float16)
    for row in decibels:
        row[:] = random.uniform(-90, -30, row.shape)
    trainer = Trainer(config, dataset, Features(decibels, np.arange(clips, dtype=np.int32)), torch.device("cpu"))
    for _ in range(epochs):
        trainer.epoch(lambda done, total: None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "epoch_seconds": statistics.median(row.seconds for row in trainer.history) * 1_600 / clips,
        "memory_beyond_imports_mb": (peak - imported) / 1024,
        "parameters": trainer.cost()["parameters"],
    }


def measured_training(preset: str, epochs: int, clips: int) -> dict[str, float]:
    """`training_cost` in a fresh process."""
    command = [sys.executable, __file__, "training", preset, str(epochs), str(clips)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure everything."""
    from escnn.model.model_file import BUNDLED_MODEL
    from escnn.network.runtime import versions

    subprocess.run([sys.executable, HERE.parent / "demo" / "make_sounds.py"], check=True)
    clip = str(HERE.parent / "demo" / "siren.wav")
    help_seconds, _ = in_turn([*ESCNN, "--help"], [sys.executable, "-c", "pass"])
    predict_seconds, import_seconds = in_turn([*ESCNN, "predict", clip], IMPORTS)
    with tempfile.TemporaryDirectory() as folder:
        visualize = [*ESCNN, "visualize", clip, "--out", folder, "--force"]
        visualize_seconds, loading_seconds = in_turn(visualize, LOADING)
    figures = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        "help_seconds": help_seconds,
        "predict_seconds": predict_seconds,
        "import_torch_torchaudio_seconds": import_seconds,
        "predict_beyond_imports_seconds": predict_seconds - import_seconds,
        "visualize_seconds": visualize_seconds,
        "visualize_beyond_loading_the_model_seconds": visualize_seconds - loading_seconds,
        "training_default": measured_training("default", 3, 1_600),
        "training_quick": measured_training("quick", 3, 1_600),
        "training_baseline_resnet34": measured_training("baseline-resnet34", 3, 96),
        "bundled_model_mb": BUNDLED_MODEL.stat().st_size / 1e6,
    }
    text = json.dumps(figures, indent=2)
    (HERE / "bench.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["training"]:
        print(json.dumps(training_cost(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        main()
