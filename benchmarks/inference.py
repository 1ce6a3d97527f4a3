"""How fast and how large inference is on this machine, in ratios of one run.

    python benchmarks/inference.py            measure, print, write benchmarks/inference.json; a quarter of an hour
    python benchmarks/inference.py plot       draw docs/speed.png from it

All sounds are noise at 44.1 kHz, 16 bits, made here: a hundred clips of five seconds, linked under as many names as
are needed, and recordings of up to ten hours. What is compared runs in turn, so that a slow moment hits both.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

HERE = Path(__file__).parent
FIGURES, PLOT = HERE / "inference.json", HERE.parent / "docs" / "speed.png"
ESCNN = [sys.executable, "-m", "escnn"]
USERS = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}  # compiled files are kept
RATE, SECONDS = 44_100, 5
COLD_RUNS, CLIPS = 7, 1_600
FILES = (1, 10, 100, 1_000, 10_000)
MINUTES = (1, 6, 60, 600)
BARE = """
import sys, typer, rich.console, numpy, soundfile, soxr, onnxruntime
options = onnxruntime.SessionOptions()
onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
"""
# The project that escnn re-creates: read, resample, mel spectrogram, its ResNet-34, a clip at a time.
MODEL_PROJECT = """
import sys, time, soundfile, torch, torchaudio
from escnn.network.resnet import ResNet
from escnn.runs.settings import preset
network = ResNet(preset("baseline-resnet34").model, 50).eval()
mel = torch.nn.Sequential(
    torchaudio.transforms.MelSpectrogram(sample_rate=44_100, n_fft=1024, hop_length=512, n_mels=128),
    torchaudio.transforms.AmplitudeToDB(),
)
for number, path in enumerate(sys.argv[1:]):
    if number == 1:
        started = time.perf_counter()  # the first clip warms up
    samples, rate = soundfile.read(path, dtype="float32")
    waveform = torch.from_numpy(samples)[None]
    if rate != 44_100:
        waveform = torchaudio.transforms.Resample(rate, 44_100)(waveform)
    with torch.inference_mode():
        network(mel(waveform)[None]).softmax(1).topk(3)
print((len(sys.argv) - 2) / (time.perf_counter() - started))
"""


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    seconds: float
    peak_mb: float


def cost(command: list[str], **environment: str) -> Cost:
    """Wall time and peak memory of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=USERS | environment)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)[:200]}: {said.decode()}")
    return Cost(time.perf_counter() - started, usage.ru_maxrss / 1024)


def median(costs: list[Cost]) -> dict[str, float]:
    """Of several runs."""
    return {
        "seconds": round(statistics.median(one.seconds for one in costs), 3),
        "peak_mb": round(statistics.median(one.peak_mb for one in costs)),
    }


def write_noise(path: Path, seconds: int, seed: int) -> None:
    """A sound of noise, written in pieces."""
    random = np.random.default_rng(seed)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for start in range(0, seconds, 60):
            length = min(60, seconds - start) * RATE
            file.write((random.standard_normal(length, dtype=np.float32) * 0.1).clip(-1, 1))


def make_clips(folder: Path, count: int) -> Path:
    """A folder of `count` clips, links to a hundred."""
    source = folder / "clips"
    source.mkdir(exist_ok=True)
    for number in range(100):
        if not (source / f"{number}.wav").exists():
            write_noise(source / f"{number}.wav", SECONDS, number)
    linked = folder / str(count)
    linked.mkdir()
    for number in range(count):
        (linked / f"{number:05}.wav").symlink_to(source / f"{number % 100}.wav")
    return linked


def measure_cold(clip: Path, folder: Path) -> dict[str, Any]:
    """One clip, a process each, in turn; the first round warms the disk cache and writes the graph."""
    from escnn.cache import cache_folder

    predict = [*ESCNN, "predict", str(clip)]
    cost(predict)
    (graph,) = sorted((cache_folder() / "graphs").glob("*.onnx"), key=lambda path: path.stat().st_mtime)[-1:]
    commands: dict[str, Callable[[], Cost]] = {
        "predict": lambda: cost(predict),
        "predict_without_cached_graph": lambda: cost(predict, ESCNN_CACHE="/proc/none"),  # cannot be written
        "imports_and_session": lambda: cost([sys.executable, "-c", BARE, str(graph)]),
        "import_torch_torchaudio": lambda: cost([sys.executable, "-c", "import torch, torchaudio"]),
        "visualize": lambda: cost([*ESCNN, "visualize", str(clip), "--out", str(folder / "page"), "--force"]),
    }
    rounds = [{name: run() for name, run in commands.items()} for _ in range(COLD_RUNS + 1)][1:]
    return {name: median([one[name] for one in rounds]) for name in commands}


def rate_of(work: Callable[[], object], count: int) -> float:
    """Repetitions a second."""
    started = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - started)


def measure_parts(clip: Path) -> dict[str, float]:
    """Milliseconds a clip of each part of the work in one process; the network uses all cores, the rest one."""
    import soxr

    from escnn.audio.decoding import load_audio
    from escnn.audio.log_mel import LogMel
    from escnn.inference.classifier import Classifier

    classifier = Classifier.load()
    samples = load_audio(clip).samples
    log_mels = LogMel(classifier.card.audio)
    windows = 4 * classifier.runtime.parallel
    batch = np.repeat(log_mels(samples[None]), windows, axis=0)
    matrices = [np.random.default_rng(0).standard_normal((1_024, 1_024), dtype=np.float32) for _ in range(2)]
    work: dict[str, tuple[Callable[[], object], int]] = {
        "decode": (lambda: load_audio(clip), 200),
        "resample_from_48_khz": (lambda: soxr.resample(samples, 48_000, RATE), 50),
        "log_mel": (lambda: log_mels(samples[None]), 200),
        "network": (lambda: classifier.scores(batch), 100),
    }
    for part, _ in work.values():
        part()
    rounds = [{name: 1000 / rate_of(part, count) for name, (part, count) in work.items()} for _ in range(3)]
    parts = {name: statistics.median(one[name] for one in rounds) for name in work}
    parts["network"] /= windows
    gemm = max(rate_of(lambda: matrices[0] @ matrices[1], 50) for _ in range(3)) * 2 * 1_024**3 / 1e9
    network = 2 * classifier.card.training["multiply_adds"] / (parts["network"] / 1000) / 1e9
    return {f"{name}_ms": round(value, 2) for name, value in parts.items()} | {
        "network_alone_clips_per_second": round(1000 / parts["network"], 1),
        "gemm_gflops": round(gemm),
        "network_gflops": round(network),
    }


def measure_bulk(clips: Path, folder: Path) -> dict[str, Any]:
    """Clips a second from start to end, each way in turn; `network` is measured beside them."""
    paths = [str(path) for path in sorted(clips.iterdir())[:101]]
    rounds: list[dict[str, float]] = []
    parts: list[dict[str, float]] = []
    for number in range(3):
        out = ["--out", str(folder / f"bulk-{number}.jsonl")]
        spent = cost([*ESCNN, "predict", str(clips), *out])
        parts.append(measure_parts(Path(paths[0])))
        project = subprocess.run([sys.executable, "-c", MODEL_PROJECT, *paths], check=True, capture_output=True)
        rounds.append({"onnx": CLIPS / spent.seconds, "peak_mb": spent.peak_mb, "model_project": float(project.stdout)})
    torch = cost([*ESCNN, "predict", str(clips), "--runtime", "torch", "--out", str(folder / "torch.jsonl")])
    figures = {key: round(statistics.median(one[key] for one in rounds), 1) for key in rounds[0]}
    network = {key: statistics.median(one[key] for one in parts) for key in parts[0]}
    return {
        "clips_per_second": figures | {"torch": round(CLIPS / torch.seconds, 1)},
        "parts": network,
        "of_network_alone": round(figures["onnx"] / network["network_alone_clips_per_second"], 2),
        "times_model_project": round(figures["onnx"] / figures["model_project"], 1),
    }


def measure_scaling(folder: Path) -> dict[str, Any]:
    """Time and memory against the number of files, and against the length of one recording."""
    figures: dict[str, Any] = {"files": {}, "minutes": {}}
    for count in FILES:
        out = folder / f"{count}.jsonl"
        figures["files"][str(count)] = median(
            [cost([*ESCNN, "predict", str(make_clips(folder, count)), "--out", str(out)])]
        )
    for minutes in MINUTES:
        recording = folder / f"{minutes}-minutes.wav"
        write_noise(recording, 60 * minutes, 0)
        figures["minutes"][str(minutes)] = median([cost([*ESCNN, "predict", str(recording)])])
        recording.unlink()
    return figures


def main() -> None:
    """Measure everything."""
    from escnn.version import __version__

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = make_clips(folder, CLIPS)
        figures = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "escnn": __version__}
        for part, measure in {
            "cold": lambda: measure_cold(folder / "clips" / "0.wav", folder),
            "bulk": lambda: measure_bulk(clips, folder),
            "scaling": lambda: measure_scaling(folder),
        }.items():
            figures[part] = measure()
            print(json.dumps({part: figures[part]}, indent=2), flush=True)
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")


def draw() -> None:
    """The plot of `scaling`."""
    import matplotlib.style
    from matplotlib.figure import Figure

    from escnn.report.pictures.axes import STYLE

    scaling = json.loads(FIGURES.read_text())["scaling"]
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(8, 3.2), dpi=150, layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        kinds = {"files": "clips of 5 s", "minutes": "minutes of one recording"}
        for axes, (kind, label) in zip(panels, kinds.items(), strict=True):
            rows = scaling[kind]
            counts = [float(count) for count in rows]
            axes.loglog(counts, [row["seconds"] for row in rows.values()], "o-", color="#5f187f")
            axes.set(xlabel=label, xticks=counts, xticklabels=[f"{count:,.0f}" for count in counts])
            axes.minorticks_off()
            axes.grid(color="#ece9f0")
            axes.set_axisbelow(True)
            for count, row in zip(counts, rows.values(), strict=True):
                axes.annotate(
                    f"{row['seconds']:,.1f} s\n{row['peak_mb']:.0f} MB", (count, row["seconds"]), xytext=(-7, 3),
                    textcoords="offset points", ha="right", fontsize="small",
                )  # fmt: skip
            axes.margins(x=0.22)
        panels[0].set(ylabel="seconds", ylim=(0.2, 3_000), yticks=[1, 10, 100, 1_000])
        panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        figure.savefig(PLOT)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        draw() if sys.argv[1:] == ["plot"] else main()
