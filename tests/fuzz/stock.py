"""What commands are given: whole sounds, a model, data sets and runs, made once a process; and damaged ones of each."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from random import Random

import numpy as np
import soundfile

from fuzz import seeds
from fuzz.forgery import mutate_json, mutate_model, mutate_state, mutate_table

LABELS = ("low", "mid", "high")  # of `seeds.weights`
CLIPS = tuple(f"{fold}-{number}-A-{number}.wav" for fold in range(1, 6) for number in range(3))
FORGED = {
    "last.pt": mutate_state,
    "config.json": mutate_json,
    "run.json": mutate_json,
    "metrics.csv": mutate_table,
    "model.safetensors": mutate_model,
}


class Stock:
    """Whole files to draw from, in `folder`; to make them takes torch and a few seconds."""

    def __init__(self, folder: Path) -> None:
        self.sounds = seeds.sounds()
        self.documents = seeds.documents()
        weights = seeds.weights(folder)
        self.models = weights["model"], weights["model-pickled"]
        self.model = self.models[0].whole[0]
        self.esc50, self.classes = folder / "esc50", folder / "classes"
        self._make_data()
        self.stopped, self.finished = folder / "stopped", folder / "finished"
        self._make_runs()

    def sound(self, rng: Random, damaged: float = 0.25) -> bytes:
        """A sound of some kind, or what was one."""
        subject = self.sounds[rng.choice(sorted(self.sounds))]
        return subject.damaged(rng) if rng.random() < damaged else subject.whole[0]

    def forged_model(self, rng: Random) -> bytes:
        """A model file that lies, or was broken, or would run code."""
        return rng.choice((self.models[0], self.models[0], self.models[1])).damaged(rng)

    def copy_data(self, target: Path, rng: Random) -> None:
        """A data set at `target`: ESC-50's form, whole or with a forged table, or folders of classes; some damaged."""
        kind = rng.randrange(5)
        shutil.copytree(self.esc50 if kind < 3 else self.classes, target)
        if kind == 1:
            table = target / "meta" / "esc50.csv"
            table.write_bytes(mutate_table(table.read_bytes(), rng))
        elif kind == 4:
            self.damage_one(rng.choice(sorted(target.rglob("*.wav"))), rng)

    def copy_run(self, run: Path, target: Path, rng: Random, forged: float = 0.8) -> None:
        """A copy of a run with one of its files forged, or gone."""
        shutil.copytree(run, target)
        there = [name for name in FORGED if (target / name).is_file()]
        path = target / rng.choice(there)
        if rng.random() < 0.1:
            path.unlink()
        elif rng.random() < forged:
            content = path.read_bytes()
            path.write_bytes(FORGED[path.name](content, rng, (content,)))

    def damage_one(self, path: Path, rng: Random) -> None:
        """One sound of a data set is replaced by anything."""
        path.write_bytes(rng.choice((b"", b"notes", self.sound(rng, damaged=1.0))))

    def _make_data(self) -> None:
        rows = ["filename,fold,target,category,esc10,src_file,take"]
        (self.esc50 / "audio").mkdir(parents=True)
        (self.esc50 / "meta").mkdir()
        for number, name in enumerate(CLIPS):
            fold, target = int(name[0]), number % len(LABELS)
            rows.append(f"{name},{fold},{target},{LABELS[target]},False,{number},A")
            sound = _clip(target, number)
            (self.esc50 / "audio" / name).write_bytes(sound)
            (self.classes / LABELS[target]).mkdir(parents=True, exist_ok=True)
            (self.classes / LABELS[target] / name).write_bytes(sound)
        (self.esc50 / "meta" / "esc50.csv").write_text("\n".join([*rows, ""]))

    def _make_runs(self) -> None:
        """A run of two epochs that was stopped after one, and one that ended."""
        from conftest import SMALL_TRAINING
        from msgspec.structs import replace

        from escnn.config import to_json
        from escnn.training import pipeline

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        config = replace(SMALL_TRAINING, epochs=2)
        self.config = json.dumps(to_json(replace(config, epochs=1))).encode()
        try:
            pipeline.train(self.esc50, config=config, out=self.stopped, device="cpu", on_epoch=stop)
        except KeyboardInterrupt:
            pipeline.train(self.esc50, config=replace(config, epochs=1), out=self.finished, device="cpu")


def _clip(target: int, number: int) -> bytes:
    """Half a second at 8 kHz."""
    rng = np.random.default_rng(number)
    tone = 0.4 * np.sin(2 * np.pi * (300, 1_200, 3_000)[target] / 8_000 * np.arange(4_000))
    content = io.BytesIO()
    soundfile.write(content, tone + 0.02 * rng.standard_normal(4_000), 8_000, format="WAV")
    return content.getvalue()
