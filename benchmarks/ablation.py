"""What each ingredient of the recipe gains: train without it, and measure.

    python benchmarks/ablation.py DATA OUT            every variant that OUT/ablation.json does not hold yet
    python benchmarks/ablation.py DATA OUT NAME ...   these

Learns from folds 1 and 2 (800 clips), is measured on folds 3 and 4 (800 clips), which neither train nor choose:
twice the clips of one fold to be measured on, and half the time to train. The recipe is the network of the preset
`quick` with 50 epochs and everything that the default does to it; what is done is as `escnn train` does it.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch

from escnn import files, runs, training
from escnn.config import TrainConfig, preset
from escnn.dataset import Dataset, load_features, open_dataset
from escnn.evaluation import evaluate
from escnn.prediction import VIEWS, Classifier


def changed(config: TrainConfig, **changes: Any) -> TrainConfig:
    """`config` with other settings; those of its parts are found by their names."""
    for name, value in changes.items():
        part = next((part for part in ("audio", "model", "augment") if hasattr(getattr(config, part), name)), None)
        if part is None:
            config = dataclasses.replace(config, **{name: value})
        else:
            inner: Any = dataclasses.replace(getattr(config, part), **{name: value})
            config = dataclasses.replace(config, **{part: inner})
    return config


# The running mean is over 500 steps in place of the default's 200, as `quick` had it when this was begun.
BASE = changed(preset("default"), widths=preset("quick").model.widths, ema_decay=0.998, epochs=50, fold=2)


def without(**changes: Any) -> TrainConfig:
    """The recipe with other settings."""
    return changed(BASE, **changes)


VARIANTS = {  # what may turn out to be dead first, what is known to matter last
    "the recipe": BASE,
    "no equaliser": without(equalizer_db=0.0),
    "no gain": without(gain_db=0.0),
    "no change of pitch": without(pitch=0.0, pitch_shift=0.0),
    "no change of speed": without(speed=0.0),
    "no masks": without(masks=0),
    "no dropout": without(dropout=0.0),
    "no label smoothing": without(label_smoothing=0.0),
    "the recipe, seed 1": without(seed=1),
    "the recipe, seed 2": without(seed=2),
    "no gain, speed or dropout": without(gain_db=0.0, speed=0.0, dropout=0.0),
    "no gain, speed or dropout, seed 1": without(gain_db=0.0, speed=0.0, dropout=0.0, seed=1),
    "no gain, speed or dropout, seed 2": without(gain_db=0.0, speed=0.0, dropout=0.0, seed=2),
    "no running mean of the weights": without(ema_decay=0.0),
    "mean pooling in place of mean + max": without(pooling="mean"),
    "strided shortcuts": without(shortcut="strided"),
    "no roll": without(roll=False),
    "no mixing": without(mix_probability=0.0),
    "mixing to the end": without(mix_until=1.0),
    "weight decay 0.05 in place of 0.5": without(weight_decay=0.05),
    "AdamW in place of Muon": without(optimizer="adamw", weight_decay=0.05),
    "23 ms between frames in place of 12": without(hop_length=1024, mask_frames=45),
    "64 mel bands in place of 128": without(n_mels=64, mask_mels=10),
    "float32 in place of bfloat16": without(precision="float32"),
}


def in_halves(dataset: Dataset) -> Dataset:
    """The same clips with folds 1 and 2 as fold 1, folds 3 and 4 as fold 2."""
    clips = tuple(
        dataclasses.replace(clip, fold=1 if clip.fold <= 2 else 2) for clip in dataset.clips if clip.fold <= 4
    )
    return dataclasses.replace(dataset, clips=clips)


def measure(config: TrainConfig, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Train and evaluate; a run that was stopped goes on."""
    run = runs.reopen(folder)[1][0] if folder.exists() else runs.create(folder, config, dataset.root)
    features = load_features(dataset, config.audio)
    for row in training.train(run, dataset, features, device=torch.device("cpu")):
        print(f"  epoch {row.epoch} loss {row.loss:.3f} {row.held_out_accuracy or ''}", flush=True)
    figures: dict[str, Any] = {}
    for views in (1, len(VIEWS)):
        classifier = Classifier.load(folder, device="cpu", views=views)
        measured = evaluate(classifier, dataset, dataset.fold(2))
        figures |= {f"accuracy_{views}_views": measured.accuracy, f"log_loss_{views}_views": measured.log_loss}
    cost = {key: classifier.card.training[key] for key in ("seconds", "cpu_seconds", "parameters", "multiply_adds")}
    return figures | cost


def main(data: Path, out: Path, names: list[str]) -> None:
    """Measure the variants called `names`, or all."""
    dataset = in_halves(open_dataset(data))
    out.mkdir(parents=True, exist_ok=True)
    results = out / "ablation.json"
    known = json.loads(results.read_text("utf-8")) if results.exists() else {}
    for name in names or [name for name in VARIANTS if name not in known]:
        print(name, flush=True)
        known[name] = measure(VARIANTS[name], dataset, out / name.replace(" ", "-"))
        files.write_json(results, known)
        print(json.dumps(known[name]), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} DATA OUT [NAME ...]; names are: {', '.join(VARIANTS)}")
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
