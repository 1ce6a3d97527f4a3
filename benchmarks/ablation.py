"""What each ingredient of the recipe gains: train without it, and measure.

    python benchmarks/ablation.py DATA OUT            every variant that OUT/ablation.json does not hold yet
    python benchmarks/ablation.py DATA OUT NAME ...   these

Trains on folds 1 and 2 (800 clips), is measured on folds 3 and 4 (800 clips), which neither train nor choose:
twice the clips of one fold to be measured on, and half the time to train. The recipe is the network of the preset
`quick` with 50 epochs and everything that the default does to it; what is done is as `escnn train` does it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

import escnn
from escnn import TrainConfig, files
from escnn.data.esc50 import METADATA
from escnn.inference.test_time_augmentation import AUGMENTATIONS
from escnn.runs.settings import preset


def changed(config: TrainConfig, **changes: Any) -> TrainConfig:
    """`config` with other settings; those of its parts are found by their names."""
    for name, value in changes.items():
        part = next((part for part in ("audio", "model", "augment") if hasattr(getattr(config, part), name)), None)
        if part is None:
            config = msgspec.structs.replace(config, **{name: value})
        else:
            inner: Any = msgspec.structs.replace(getattr(config, part), **{name: value})
            config = msgspec.structs.replace(config, **{part: inner})
    return config


# The moving average is over 500 steps in place of the default's 200, as `quick` had it when this was begun.
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


def in_halves(data: Path, folder: Path) -> Path:
    """A data set of the same clips with folds 1 and 2 as fold 1, folds 3 and 4 as fold 2; gives its folder."""
    table = pd.read_csv(data / METADATA, dtype=str, keep_default_na=False)
    table = table[table["fold"] <= "4"].assign(fold=lambda rows: rows["fold"].map({"1": 1, "2": 1, "3": 2, "4": 2}))
    files.write_text(folder / METADATA, table.to_csv(index=False))
    if not (folder / "audio").exists():
        (folder / "audio").symlink_to((data / "audio").resolve())
    return folder


def measure(config: TrainConfig, data: Path, folder: Path) -> dict[str, Any]:
    """Train and evaluate; a run that was stopped goes on."""

    def show(_: escnn.Run, row: escnn.EpochMetrics) -> None:
        print(f"  epoch {row.epoch} loss {row.loss:.3f} {row.held_out_accuracy or ''}", flush=True)

    if folder.exists():
        escnn.resume(folder, data, device="cpu", on_epoch=show)
    else:
        escnn.train(data, config=config, out=folder, device="cpu", on_epoch=show)
    figures: dict[str, Any] = {}
    for views in (1, len(AUGMENTATIONS)):
        measured = escnn.evaluate(folder, data, fold=2, tta=views, device="cpu")
        figures |= {f"accuracy_{views}_views": measured.accuracy, f"log_loss_{views}_views": measured.log_loss}
    cost = {key: measured.model.training[key] for key in ("seconds", "cpu_seconds", "parameters", "multiply_adds")}
    return figures | cost


def main(data: Path, out: Path, names: list[str]) -> None:
    """Measure the variants called `names`, or all."""
    halves = in_halves(data, out / "data")
    results = out / "ablation.json"
    known = json.loads(results.read_text("utf-8")) if results.exists() else {}
    for name in names or [name for name in VARIANTS if name not in known]:
        print(name, flush=True)
        known[name] = measure(VARIANTS[name], halves, out / name.replace(" ", "-"))
        files.write_json(results, known)
        print(json.dumps(known[name]), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} DATA OUT [NAME ...]; names are: {', '.join(VARIANTS)}")
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
