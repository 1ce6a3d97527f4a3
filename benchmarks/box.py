"""Put a trained model into the box, with the figures of its cross-validation in its file.

    escnn train --cross-validate --data ESC-50 --out runs/cv
    escnn train --fold 0 --data ESC-50 --out runs/box
    python benchmarks/box.py runs/box runs/cv

The folds of the cross-validation are the folds that the model in the box learns from: each figure is of a network that
had the same settings and never heard the fold it was measured on. What the box has never heard is not touched.
"""

import dataclasses
import json
import sys
from pathlib import Path

from escnn import checkpoint

run, cross_validation = map(Path, sys.argv[1:])
network, card = checkpoint.load_model(run / checkpoint.MODEL_FILE)
measured = json.loads((cross_validation / "cross-validation.json").read_text("utf-8"))
folds = [row["fold"] for row in measured["folds"]]
settings = [json.loads((cross_validation / f"fold{fold}" / "config.json").read_text("utf-8")) for fold in folds]
same = [{key: value for key, value in each.items() if key != "fold"} for each in [*settings, card.training["config"]]]
if folds != card.training["trained_on_folds"] or any(each != same[0] for each in same):
    sys.exit("the model and its cross-validation differ in folds or settings")
score = {
    "accuracy": measured["mean_accuracy"],
    "std_accuracy": measured["std_accuracy"],
    "top5_accuracy": measured["mean_top5_accuracy"],
    "folds": measured["folds"],
    "measured": (
        f"the mean of {len(folds)} networks with the same settings, each learnt on {len(folds) - 1} of folds "
        f"{', '.join(map(str, folds))} and measured on the other, last epoch; this one learnt on all {len(folds)}"
    ),
}
named = dataclasses.replace(card, name="escnn-esc50", score=score)
checkpoint.save_model(checkpoint.MODEL_IN_THE_BOX, network, named)
