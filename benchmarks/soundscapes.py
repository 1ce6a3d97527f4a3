"""How well events are found: a model on soundscapes of a fold that it was not trained on, beside the naive way.

    python benchmarks/soundscapes.py RUN ESC-50 NAME [--speed]

RUN tests on a fold. Half of that fold's clips make the soundscapes on which the naive way gets the threshold that suits
it best; the others make those that are reported. ``detection.json`` gets the figures under NAME:

- ``windows``: what `predict` says of windows of 5 s, above a threshold;
- ``one_pass``: `detect` as for models without a frame head;
- ``head``: `detect` as it is.

``quiet`` are recordings of background alone, ``nothing`` is an hour of noise and speech: all that is found there is a
false alarm. With --speed, how long `predict` and `detect` take for an hour, in turn, and for ten, with their memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scenes import BACKGROUNDS, RATE, SECONDS, Scene, Stage, nothing_to_name

from escnn import files
from escnn.detection.detections import detect
from escnn.evaluation.event_metrics import Counts, DetectionMetrics, Span, compare
from escnn.inference.classifier import Classifier
from escnn.inference.onnx_runtime import OnnxRuntime
from escnn.model.model_file import ModelFile, read_model

HERE = Path(__file__).parent
FITTED_ON, REPORTED_ON, REVERBERANT, QUIET, NOTHING_MINUTES = 100, 200, 100, 60, 60
FIT_SEED, SEED = 7, 8
THRESHOLDS = np.arange(0.1, 0.9, 0.05).round(2).tolist()
LOUD_DB = 10.0  # events at least so much above the background are told of by themselves
Finder = Callable[[Scene], list[Span]]


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("name")
    parser.add_argument("--speed", action="store_true")
    asked = parser.parse_args()
    model = read_model(asked.run)
    fold = model.card.training["fold"]
    if fold is None or fold in model.card.folds_seen:
        sys.exit(f"{asked.run}: give the run of a training with a test fold")
    figures = measure(model, asked.data, fold)
    figures |= {"model": model.card.describe(), "fold": fold, "preset": model.card.training["config"]["preset"]}
    if asked.speed:
        figures["speed"] = speed(asked.run)
    path = HERE / "detection.json"
    document = json.loads(path.read_text("utf-8")) if path.exists() else {}
    document[asked.name] = figures
    files.write_json(path, document)
    print("\n".join(table(figures)))


def measure(model: ModelFile, data: Path, fold: int) -> dict[str, Any]:
    """All figures but those of speed."""
    fit, judge = Stage(data, fold, half=0), Stage(data, fold, half=1)
    with_head, without = Classifier(OnnxRuntime(model)), Classifier(OnnxRuntime(headless(model)))
    threshold = best_threshold(with_head, list(fit.scenes(FITTED_ON, FIT_SEED)))
    ways: dict[str, Finder] = {
        "windows": lambda scene: above(windows_of(with_head, scene), with_head.card.labels, threshold),
        "one_pass": lambda scene: events_of(without, scene),
        "head": lambda scene: events_of(with_head, scene),
    }
    sets: dict[str, Callable[[], Iterable[Scene]]] = {
        "scenes": lambda: judge.scenes(REPORTED_ON, SEED),
        "reverberant": lambda: judge.scenes(REVERBERANT, SEED, reverberant=True),
        "quiet": lambda: judge.scenes(QUIET, SEED + 1, most=0),
        "nothing": lambda: nothing_to_name(SEED, NOTHING_MINUTES),
    }
    figures: dict[str, Any] = {"windows_threshold": threshold, "settings": dataclass_json(with_head)}
    for name, scenes in sets.items():
        found: dict[str, list[tuple[Scene, list[Span]]]] = {way: [] for way in ways}
        for scene in scenes():
            for way, find in ways.items():
                found[way].append((scene, [span for span in find(scene) if span[2] not in BACKGROUNDS]))
        figures[name] = {way: summed_up(rows) for way, rows in found.items()}
    return figures


def headless(model: ModelFile) -> ModelFile:
    """The same model without its frame head."""
    weights = {name: array for name, array in model.weights.items() if not name.startswith("frames.")}
    return ModelFile(dataclasses.replace(model.card, frames=None, sha256=""), weights)


def dataclass_json(classifier: Classifier) -> dict[str, Any]:
    """When scores make an event."""
    from escnn.config import to_json

    return to_json(classifier.card.events)


def events_of(classifier: Classifier, scene: Scene) -> list[Span]:
    """What `detect` finds."""
    return [(e.start, e.end, e.label) for e in detect((scene.samples, RATE), classifier).events]


def windows_of(classifier: Classifier, scene: Scene) -> np.ndarray:
    """Scores of windows of 5 s that lie end to end, (windows, classes)."""
    return classifier.predict((scene.samples, RATE)).window_scores


def above(scores: np.ndarray, labels: Sequence[str], threshold: float) -> list[Span]:
    """Windows whose score reaches the threshold; those that follow one another are one event."""
    seconds = SECONDS / len(scores)
    spans = []
    for class_id in np.flatnonzero(scores.max(axis=0) >= threshold):
        edges = np.flatnonzero(np.diff((scores[:, class_id] >= threshold).astype(np.int8), prepend=0, append=0))
        spans += [
            (float(a * seconds), float(b * seconds), labels[class_id])
            for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
    return spans


def best_threshold(classifier: Classifier, scenes: Sequence[Scene]) -> float:
    """The threshold of windows with the best F1 of segments."""
    scored = [(scene, windows_of(classifier, scene)) for scene in scenes]

    def f1(threshold: float) -> float:
        labels = classifier.card.labels
        rows = [(s, [x for x in above(w, labels, threshold) if x[2] not in BACKGROUNDS]) for s, w in scored]
        return float(summed_up(rows)["segment_f1"])

    return max(THRESHOLDS, key=f1)


def summed_up(rows: Sequence[tuple[Scene, list[Span]]]) -> dict[str, Any]:
    """The figures of some soundscapes."""
    total = DetectionMetrics(Counts(), Counts(), 0, 0, 0, 0, 0.0)
    loud = found = 0
    for scene, spans in rows:
        total += compare([event.span for event in scene.events], spans, SECONDS)
        for event in scene.events:
            if event.snr_db >= LOUD_DB:
                loud += 1
                found += compare([event.span], spans, SECONDS).found
    return {
        "segment_f1": round(total.segments.f1, 4),
        "event_f1": round(total.events.f1, 4),
        "found": round(total.recall, 4),
        "found_10_db": round(found / loud, 4) if loud else None,
        "precision": round(total.precision, 4),
        "false_alarms_an_hour": round(total.false_alarms_an_hour, 2),
        "events": total.truth,
        "hours": round(total.seconds / 3600, 3),
    }


def table(figures: dict[str, Any]) -> list[str]:
    """The figures as rows of the table in ``detection.md``."""
    ways = {"windows": "windows", "one_pass": "without a head", "head": "**`detect`**"}
    kinds = {"scenes": "soundscapes", "reverberant": "reverberant", "quiet": "quiet", "nothing": "nothing"}
    lines = []
    for kind, name in kinds.items():
        for way, of_way in ways.items():
            row = figures[kind][way]
            cells = ["", "", "", "", ""]
            if row["events"]:
                shares = (row[key] for key in ("segment_f1", "event_f1", "found", "found_10_db", "precision"))
                cells = [f"{share:.2f}" for share in shares]
            lines.append(f"| {name} | {of_way} | {' | '.join(cells)} | {row['false_alarms_an_hour']:.0f} |")
    return lines


def table_of_seeds(document: dict[str, Any]) -> list[str]:
    """What other heads find, that differ by their seed alone, as rows of a table in ``detection.md``."""
    lines = []
    for seed, name in enumerate(("default", "default_seed_1", "default_seed_2")):
        of_head = {kind: document[name][kind]["head"] for kind in ("scenes", "reverberant", "quiet", "nothing")}
        scenes, rooms = of_head["scenes"], of_head["reverberant"]
        shares = [scenes[key] for key in ("segment_f1", "event_f1", "found_10_db", "precision")]
        shares += [rooms["segment_f1"], rooms["event_f1"]]
        alarms = [of_head[kind]["false_alarms_an_hour"] for kind in ("scenes", "quiet", "nothing")]
        cells = [str(seed), *(f"{share:.2f}" for share in shares), *(f"{alarm:.0f}" for alarm in alarms)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def speed(run: Path) -> dict[str, Any]:
    """Seconds and memory of `predict` and `detect` for an hour, in turn, and of `detect` for ten hours."""
    hour = HERE / "hour.flac"
    rng = np.random.default_rng(0)
    try:
        with soundfile.SoundFile(hour, "w", RATE, 1, "PCM_16") as file:
            for _ in range(60):
                file.write(rng.normal(0, 0.05, RATE * 60).astype(np.float32))
        turns: dict[str, list[float]] = {"predict": [], "detect": []}
        for _ in range(3):
            for way, seconds in turns.items():
                seconds.append(timed(way, run, hour, 1)["seconds"])
        ten = timed("detect", run, hour, 10)
    finally:
        hour.unlink(missing_ok=True)
    ratio = min(turns["predict"]) / min(turns["detect"])
    return {**turns, "detect_to_predict": round(ratio, 3), "ten_hours": ten}


def timed(way: str, run: Path, hour: Path, hours: int) -> dict[str, float]:
    """Run one way over so many hours in a process of its own."""
    code = """
import re, sys, time
from escnn.audio.decoding import open_sound
from escnn.detection.events import EventFinder
from escnn.detection.frame_scores import read_frame_scores
from escnn.inference.classifier import Classifier
way, run, hour, hours = *sys.argv[1:4], int(sys.argv[4])
classifier = Classifier.load(run)
card = classifier.card
def blocks():
    for _ in range(hours):
        with open_sound(hour) as reader:
            yield from reader.blocks(card.audio.sample_rate)
began = time.perf_counter()
if way == "predict":
    classifier.predict(hour)
else:
    finder, frames = EventFinder.of(card.events, len(card.labels), card.frame_seconds), 0
    for part in read_frame_scores(blocks(), classifier.runtime):
        frames += len(part.scores)
        list(finder.feed(part.scores))
    assert abs(frames * card.frame_seconds - 3600 * hours) < 1
peak = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]  # ru_maxrss is that of whoever started it
print(time.perf_counter() - began, int(peak) / 1024)
"""
    command = [sys.executable, "-c", code, way, str(run), str(hour), str(hours)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return {"seconds": round(float(printed[0]), 2), "megabytes": round(float(printed[1]), 1)}


if __name__ == "__main__":
    main()
