"""Bundle a trained model with the package and write its card, with the figures of its cross-validation.

    escnn train --cross-validate --data ESC-50 --out runs/cv
    escnn train --fold 0 --data ESC-50 --out runs/bundled
    python benchmarks/bundled_model.py runs/bundled runs/cv ESC-50 MACHINE NOTE

Weights are kept in half precision, and the last layer is divided by the temperature that makes the scores of the
cross-validation say how often the network is right. The folds of the cross-validation are the folds that the bundled
model is trained on: each figure is of a network that had the same settings and was not trained on the fold it was
measured on. The fold that the bundled model was not trained on is not touched.
"""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import escnn
from escnn import Evaluation, files
from escnn.data.dataset import Dataset
from escnn.data.sources import open_dataset
from escnn.evaluation.metrics import fit_temperature
from escnn.evaluation.protocol import evaluate_fold, pool
from escnn.inference.classifier import Classifier
from escnn.inference.test_time_augmentation import AUGMENTATIONS
from escnn.model.card import ModelCard
from escnn.model.frames import HEAD
from escnn.model.model_file import BUNDLED_MODEL, ModelFile, read_model, write_model

HERE = Path(__file__).parent

CARD = """\
# The bundled model

`{file}`, {megabytes:.1f} MB, {parameters:,} parameters. It names 50 environmental sounds in windows of
{seconds:g} seconds. Made with escnn {escnn}, torch {torch}.

## What it was trained on

{clips:,} clips of [ESC-50](https://github.com/karolpiczak/ESC-50), folds {folds}, from scratch: no other data, no
pretrained weights. {epochs} epochs, seed {seed}, {minutes:.0f} minutes on {machine} ({cpu_minutes:.0f} minutes of one
core; about {watt_hours:.0f} Wh, if a busy core takes {watts} W, which was not measured). The weights are the {weights}.
All settings stand in the file itself. One window takes {multiply_adds:.2f} GMACs.

**Licence: [CC BY-NC 3.0](https://creativecommons.org/licenses/by-nc/3.0/)**, as that of ESC-50 (K. J. Piczak, *ESC:
Dataset for Environmental Sound Classification*, ACM Multimedia 2015): not for commercial use. escnn's code is MIT.

## How it scores

| test fold | trained on | clips | accuracy | top-5 | macro F1 |
|---|---|---|---|---|---|
{fold_rows}
| **mean** | | | **{mean:.2f} %** (± {std:.2f} over folds) | {top5:.2f} % | |

These are {fold_count} networks with the same settings as the bundled one, each of which was trained on {fewer} of the
folds and measured on the other, after its last epoch: no epoch and no seed was chosen by these figures. Without
test-time augmentation; with `--tta 5` the mean is {tta:.2f} %. The bundled model was trained on all {fold_count} folds;
the fold it was not trained on was not touched. {note}

In half precision, as the file is kept, {differing} of {pooled:,} clips are named otherwise than in single precision.

## How far its scores can be believed

Its logits are divided by {temperature:.3f}. With the temperature fitted on the other folds each time, the expected
calibration error (15 bins) goes from {error_before:.3f} to {error_after:.3f} and the log loss from {loss_before:.3f}
to {loss_after:.3f}: of the ESC-50 clips to which it gives 80 %, about 80 % are what it says. That holds for sounds of
the 50 kinds, recorded alike; for anything else a score means nothing.

    escnn train --cross-validate --data ESC-50 --out runs/cv
    escnn evaluate --cross-validate runs/cv --data ESC-50

## When sounds begin and end

A frame head of {head_parameters:,} parameters says every {frame_seconds:.2f} s which classes sound. It was trained on
{mixtures:,} mixtures of the same clips, {speech}noise, hum and tones, in {head_minutes:.0f} minutes on the same
machine, while the network stayed as it was. How well a network with the same settings finds events made of clips that
it was not trained on: [benchmarks/detection.md](../../../benchmarks/detection.md).

## What it confuses

Over all {pooled:,} clips, each scored by the network that was not trained on it:

| true class | predicted | clips |
|---|---|---|
{confused_rows}

| class | precision | recall | F1 |
|---|---|---|---|
{class_rows}

## What it must not be used for

It knows 50 sounds and nothing else: whatever it is given, it names one of them. It was trained on 32 clips of each. Do
not let it decide about safety (alarms, breaking glass, crying), do not use it to watch people, and measure it on your
own recordings before you rely on it.
"""


WATTS = 10  # of a busy core, a guess that the card calls one


def main(run: Path, cross_validation: Path, data: Path, machine: str, note: str) -> None:
    """Write the model and its card into the package."""
    model = read_model(run)
    card = model.card
    measured = json.loads((cross_validation / "cross-validation.json").read_text("utf-8"))
    folds = [row["fold"] for row in measured["folds"]]
    refuse_other_settings(card, cross_validation, folds)
    if card.frames is None:
        sys.exit("the model has no frame head")
    dataset = open_dataset(data)
    parts = [score(cross_validation / f"fold{fold}", dataset, fold) for fold in folds]
    if not all(math.isclose(got.accuracy, row["accuracy"]) for got, row in zip(parts, measured["folds"], strict=True)):
        sys.exit("the runs do not score what their cross-validation.json says")
    halved = pool([score(cross_validation / f"fold{fold}", dataset, fold, half=True) for fold in folds])
    calibrated = pool([divided(one, temperature_of([o for o in parts if o is not one])) for one in parts])
    temperature = temperature_of(parts)
    weights = {
        name: array / np.float32(temperature) if name.startswith("classify.") else array
        for name, array in model.weights.items()
    }
    figures_of_card = {
        "accuracy": measured["mean_accuracy"],
        "std_accuracy": measured["std_accuracy"],
        "top5_accuracy": measured["mean_top5_accuracy"],
        "calibration_error": calibrated.calibration_error,
        "folds": measured["folds"],
        "measured": (
            f"the mean of {len(folds)} networks with the same settings, each trained on {len(folds) - 1} of folds "
            f"{listed(folds)} and measured on the other; this one trained on all {len(folds)}"
        ),
    }
    card = dataclasses.replace(card, name="escnn-esc50", score=figures_of_card)
    write_model(BUNDLED_MODEL, ModelFile(card, weights), half=True)
    several = escnn.evaluate_runs(cross_validation, data, tta=len(AUGMENTATIONS)).to_json()
    figures = HERE / card.training["config"]["preset"]
    files.write_json(figures / "cross-validation.json", measured)
    files.write_json(figures / "cross-validation-views.json", several)
    for fold in folds:
        folder = cross_validation / f"fold{fold}"
        for source, kind in (("evaluation/evaluation.json", "json"), ("metrics.csv", "csv")):
            files.write_bytes(figures / f"fold{fold}.{kind}", (folder / source).read_bytes())
    text = CARD.format(
        file=BUNDLED_MODEL.name,
        megabytes=BUNDLED_MODEL.stat().st_size / 1e6,
        parameters=card.parameters,
        seconds=card.audio.clip_seconds,
        **{key: value for key, value in card.versions.items() if key in ("escnn", "torch")},
        clips=card.training_summary["clips"],
        folds=listed(folds),
        epochs=card.training["epochs"],
        seed=card.training["seed"],
        minutes=card.training["seconds"] / 60,
        cpu_minutes=card.training["cpu_seconds"] / 60,
        watt_hours=card.training["cpu_seconds"] / 3600 * WATTS,
        watts=WATTS,
        multiply_adds=card.training["multiply_adds"] / 1e9,
        machine=machine,
        weights=card.training["weights"],
        fold_rows="\n".join(fold_row(row, folds) for row in measured["folds"]),
        mean=100 * measured["mean_accuracy"],
        std=100 * measured["std_accuracy"],
        top5=100 * measured["mean_top5_accuracy"],
        tta=100 * several["mean_accuracy"],
        differing=int((halved.predicted != pool(parts).predicted).sum()),
        temperature=temperature,
        error_before=pool(parts).calibration_error,
        error_after=calibrated.calibration_error,
        loss_before=pool(parts).log_loss,
        loss_after=calibrated.log_loss,
        head_parameters=head_parameters(card),
        frame_seconds=card.frame_seconds,
        mixtures=card.frames.training["mixtures"],
        speech="synthesised speech, " if card.frames.training["speech"] else "",
        head_minutes=card.frames.training["seconds"] / 60,
        fold_count=len(folds),
        fewer=len(folds) - 1,
        note=note,
        pooled=sum(row["clips"] for row in measured["folds"]),
        confused_rows=rows(cross_validation / "confused.csv"),
        class_rows=rows(cross_validation / "per_class.csv", ["label", "precision", "recall", "f1"]),
    )
    files.write_text(BUNDLED_MODEL.with_name("MODEL_CARD.md"), text)


def head_parameters(card: ModelCard) -> int:
    """Number of weights of the frame head."""
    return sum(math.prod(shape) for name, shape in card.tensor_shapes.items() if name.startswith(HEAD))


def score(run: Path, dataset: Dataset, fold: int, *, half: bool = False) -> Evaluation:
    """Evaluate a run on its test fold, in half precision if asked for."""
    classifier = Classifier.load(run, device="cpu")
    if half:
        model = read_model(run)
        rounded = {n: w.astype(np.float16).astype(w.dtype) if w.ndim > 1 else w for n, w in model.weights.items()}
        classifier = Classifier(type(classifier.runtime)(ModelFile(model.card, rounded)))
    return evaluate_fold(classifier, dataset, fold)


def temperature_of(parts: list[Evaluation]) -> float:
    """The temperature fitted on several folds together."""
    together = pool(parts)
    return fit_temperature(together.truth, together.scores)


def divided(evaluation: Evaluation, temperature: float) -> Evaluation:
    """The same evaluation with logits divided by a temperature."""
    scores = evaluation.scores ** (1 / temperature)
    return dataclasses.replace(evaluation, scores=scores / scores.sum(axis=1, keepdims=True))


def refuse_other_settings(card: ModelCard, cross_validation: Path, folds: list[int]) -> None:
    """Stop if the cross-validation is not of the same settings on the same folds."""

    def settings(document: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in document.items() if key != "fold"}

    same = settings(card.training["config"])
    paths = [cross_validation / f"fold{fold}" / "config.json" for fold in folds]
    if folds != card.training["trained_on_folds"] or any(
        settings(json.loads(path.read_text("utf-8"))) != same for path in paths
    ):
        sys.exit("the model and its cross-validation differ in folds or settings")


def listed(numbers: list[int]) -> str:
    """1, 2, 3"""
    return ", ".join(map(str, numbers))


def fold_row(row: dict[str, Any], folds: list[int]) -> str:
    """One fold as a row of the card's table."""
    others = listed([fold for fold in folds if fold != row["fold"]])
    figures = f"{100 * row['accuracy']:.2f} % | {100 * row['top5_accuracy']:.2f} % | {row['macro_f1']:.3f}"
    return f"| fold {row['fold']} | {others} | {row['clips']} | {figures} |"


def rows(path: Path, columns: list[str] | None = None) -> str:
    """A CSV file as rows of a Markdown table."""
    table = pd.read_csv(path, usecols=columns)
    cells = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in table.values.tolist()]
    return "\n".join("| " + " | ".join(row).replace("_", " ") + " |" for row in cells)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(f"usage: {sys.argv[0]} RUN CROSS_VALIDATION DATA MACHINE NOTE")
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5])
