"""How soon and how truly events are told while they sound, and what that costs.

    python benchmarks/live.py RUN ESC-50 told       soundscapes of the fold that the run was tested on
    python benchmarks/live.py RUN ESC-50 cost       `escnn listen` for 20 minutes in real time, and an hour fed fast

Each writes its part of ``live.json``. Of the clips of the fold, one half makes the soundscapes on which the score for
provisional events was chosen (``chosen_on``), the other those that are reported (``reported_on``).

An event counts as told in time if a provisional line for it came within 1.5 s of the start that `detect` gives it, the
sound itself and the network's time counted. Backgrounds are not counted, as in `soundscapes.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scenes import BACKGROUNDS, RATE, SECONDS, Scene, Stage

from escnn import files
from escnn.detection.detections import detect
from escnn.detection.output.formats import event_document
from escnn.inference.classifier import Classifier
from escnn.inference.onnx_runtime import OnnxRuntime
from escnn.live.detector import FAR_SECONDS, LiveDetector, LiveEvent
from escnn.live.formats import live_document
from escnn.model.model_file import ModelFile, read_model

HERE = Path(__file__).parent
CHOSEN_SEED, REPORTED_SEED, COUNT = 7, 8, 60
SCORES = (0.4, 0.5, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
IN_TIME_SECONDS = 1.5
NETWORK_SECONDS = 0.03  # of a step, at most, on the machine of the table
MINUTES = 20
FIELDS = ("start_seconds", "end_seconds", "peak_seconds", "label", "class_id", "score")


class Recorded:
    """A runtime that computes the scores of a sound once: the calls are the same for every provisional score."""

    def __init__(self, runtime: OnnxRuntime) -> None:
        self.card, self.log_mels, self.versions = runtime.card, runtime.log_mels, runtime.versions
        self._runtime = runtime
        self._kept: list[NDArray[np.float32]] = []
        self._next = 0

    def rewind(self) -> None:
        """The same sound comes again."""
        self._next = 0

    def frame_scores(self, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """As the runtime gives them."""
        if self._next == len(self._kept):
            self._kept.append(self._runtime.frame_scores(log_mels))
        self._next += 1
        return self._kept[self._next - 1]


def heard(runtime: Any, scene: Scene, score: float | None) -> list[LiveEvent]:
    """All that is told of a soundscape."""
    live = LiveDetector(Classifier(runtime), runtime.card.events, provisional_score=score)
    found = [event for piece in np.array_split(scene.samples, 600) for event in live.feed(piece)]
    return found + live.end(len(scene.samples) / RATE)


def known_at_once(classifier: Classifier, scene: Scene, score: float) -> tuple[int, int, list[float]]:
    """What would be told if final scores were known as soon as their frames are over, in place of seconds later: a
    class is told when the highest of its last 1.5 s reaches `score`. Early scores know less.
    """
    card, runtime, settings = classifier.card, classifier.runtime, classifier.card.events
    scores = runtime.frame_scores(runtime.log_mels(scene.samples[None]))[0].T
    events = detect((scene.samples, RATE), classifier).events
    recent, step = round(IN_TIME_SECONDS / card.frame_seconds), card.frame_geometry.grid // card.frame_geometry.stride
    told_count, withdrawn, delays = 0, 0, []
    for class_id, label in enumerate(card.labels):
        if label in BACKGROUNDS:
            continue
        mine = [event for event in events if event.class_id == class_id]
        told_at: dict[int, float] = {}
        sounds_until = -np.inf
        for end in range(step, len(scores) + 1, step):
            highest, now = scores[max(0, end - recent) : end, class_id].max(), end * card.frame_seconds
            is_apart = now - sounds_until > settings.merge_seconds
            if highest >= score and is_apart:
                near = [i for i, e in enumerate(mine) if e.start - FAR_SECONDS <= now < e.end + FAR_SECONDS]
                told_count += not near or near[0] not in told_at
                withdrawn += not near
                for number in near[:1]:
                    told_at.setdefault(number, now)
            if highest >= score or (not is_apart and highest >= settings.onset_score * settings.offset_share):
                sounds_until = now
        delays += [told_at.get(i, np.inf) - event.start + NETWORK_SECONDS for i, event in enumerate(mine)]
    return told_count, withdrawn, delays


def told(model: ModelFile, data: Path, half: int, seed: int) -> dict[str, Any]:
    """How soon and how truly, for every provisional score, and whether final events are those of `detect`."""
    runtime = OnnxRuntime(model, threads=1)
    classifier = Classifier(runtime)
    rows: dict[str, list[tuple[int, int, list[float]]]] = {}
    bound: dict[str, list[tuple[int, int, list[float]]]] = {}
    events = same = 0
    for scene in Stage(data, model.card.training["fold"], half=half).scenes(COUNT, seed):
        recorded = Recorded(runtime)
        expected = {
            json.dumps(_fields(event_document("-", e, None, None)))
            for e in detect((scene.samples, RATE), classifier).events
        }
        for score in (None, *SCORES):
            recorded.rewind()
            found = heard(recorded, scene, score)
            rows.setdefault("default" if score is None else f"{score:g}", []).append(_counted(found))
            if score is None:
                got = {json.dumps(_fields(live_document("-", one))) for one in found if one.state == "final"}
                events, same = events + len(expected), same + len(got & expected)
            else:
                bound.setdefault(f"{score:g}", []).append(known_at_once(classifier, scene, score))
    figures: dict[str, Any] = {"scenes": COUNT, "final_events": events, "final_events_equal_to_those_of_detect": same}
    return figures | {
        "by_provisional_score": {name: _summed_up(counts) for name, counts in rows.items()},
        "if_final_scores_were_known_at_once": {name: _summed_up(counts) for name, counts in bound.items()},
    }


def _fields(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in FIELDS}


def _counted(found: Sequence[LiveEvent]) -> tuple[int, int, list[float]]:
    """Provisional events, those that were withdrawn, and how late each final one was first told, in seconds."""
    found = [one for one in found if one.event.label not in BACKGROUNDS]
    provisional = {one.id: one.told_seconds for one in found if one.state == "provisional"}
    withdrawn = sum(one.state == "withdrawn" for one in found)
    delays = [
        provisional.get(one.id, float("inf")) - one.event.start + NETWORK_SECONDS
        for one in found
        if one.state == "final"
    ]
    return len(provisional), withdrawn, delays


def _summed_up(counts: Sequence[tuple[int, int, list[float]]]) -> dict[str, Any]:
    delays = np.array([delay for _, _, of_scene in counts for delay in of_scene])
    provisional, withdrawn = sum(count for count, *_ in counts), sum(count for _, count, _ in counts)
    early = delays[np.isfinite(delays)]
    return {
        "events": len(delays),
        "told_in_time": round(float((delays <= IN_TIME_SECONDS).mean()), 3),
        "told_before_final": round(float(np.isfinite(delays).mean()), 3),
        "median_delay_seconds": round(float(np.median(early)), 2) if len(early) else None,
        "provisional": provisional,
        "withdrawn": round(withdrawn / max(1, provisional), 3),
    }


def endless_wav(model: ModelFile, data: Path, seconds: float) -> Iterator[bytes]:
    """A WAV as `arecord` writes it into a pipe, in pieces of a tenth of a second: soundscapes, over and over."""
    unknown = 0xFFFFFFFF
    yield b"RIFF" + struct.pack("<I", unknown) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    yield b"data" + struct.pack("<I", unknown)
    scenes = list(Stage(data, model.card.training["fold"], half=1).scenes(10, REPORTED_SEED))
    piece, left = RATE // 10, round(10 * seconds)
    while left > 0:
        for scene in scenes:
            pcm = (32_767 * scene.samples.clip(-1, 1)).astype("<i2")
            for first in range(0, SECONDS * RATE, piece):
                if (left := left - 1) < 0:
                    return
                yield pcm[first : first + piece].tobytes()


def cost(run: Path, model: ModelFile, data: Path) -> dict[str, Any]:
    """`escnn listen -` in real time, and fed as fast as it reads."""
    return {
        "in_real_time": _listened(run, endless_wav(model, data, 60 * MINUTES), pace=0.1),
        "an_hour_fed_fast": _listened(run, endless_wav(model, data, 3600), pace=0.0),
    }


def _listened(run: Path, pieces: Iterator[bytes], pace: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "events.jsonl"
        command = [sys.executable, "-m", "escnn", "listen", "-", "--model", str(run), "--out", str(out), "-q"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert process.stdin is not None
        held: list[float] = []
        began = cpu = time.monotonic()
        for number, piece in enumerate(pieces):
            if pace:
                time.sleep(max(0.0, began + pace * number - time.monotonic()))
            process.stdin.write(piece)
            process.stdin.flush()
            if number == 300:
                began_cpu, cpu = _cpu_seconds(process.pid), time.monotonic()
            if number and number % 600 == 0:
                held.append(_megabytes(process.pid))
        share = (_cpu_seconds(process.pid) - began_cpu) / (time.monotonic() - cpu)
        process.stdin.close()
        process.wait()
        lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    ending = lines[-1]
    figures = {
        "sound_seconds": ending["duration_seconds"],
        "final_events": ending["events"],
        "megabytes_after_each_minute": held if pace else held[:: max(1, len(held) // 12)],
        "warnings": ending["warnings"],
    }
    return figures | {"share_of_a_core": round(share, 3)} if pace else figures


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int) -> float:
    found = re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    return round(int(found[1]) / 1024, 1) if found else 0.0


def table(figures: dict[str, Any]) -> list[str]:
    """The figures as rows of the table in ``live.md``."""
    lines = []
    for name, row in (*figures["by_provisional_score"].items(), *figures["if_final_scores_were_known_at_once"].items()):
        cells = (f"{100 * row['told_in_time']:.0f} %", f"{100 * row['told_before_final']:.0f} %")
        delay = f"{row['median_delay_seconds']:.1f} s"
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {delay} | {100 * row['withdrawn']:.0f} % |")
    return lines


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("what", choices=["told", "cost"])
    asked = parser.parse_args()
    model = read_model(asked.run)
    fold = model.card.training["fold"]
    if fold is None or fold in model.card.folds_seen:
        sys.exit(f"{asked.run}: give the run of a training with a test fold")
    more: dict[str, Any]
    if asked.what == "cost":
        more = {"cost": cost(asked.run, model, asked.data)}
    else:
        halves = {"chosen_on": (0, CHOSEN_SEED), "reported_on": (1, REPORTED_SEED)}
        more = {name: told(model, asked.data, *which) for name, which in halves.items()}
        print("\n".join(table(more["reported_on"])))
    path = HERE / "live.json"
    document = json.loads(path.read_text("utf-8")) if path.exists() else {}
    files.write_json(path, document | {"model": model.card.describe(), "fold": fold} | more)
    print(json.dumps(more, indent=2))


if __name__ == "__main__":
    main()
