"""Does what `visualize` marks as evidence matter? Deletion and insertion on held-out clips of a cross-validation.

    python benchmarks/deletion.py runs/cv ESC-50

Every clip of every fold is heard by the model that did not learn from it. For the class that it names, 20 % of the
spectrogram is filled with the training mean: what the method marks most, or as much at random, in single pixels and in
squares of 16 by 16. The other way round, all but those 20 % is filled. Writes ``deletion.json``, prints a table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from escnn import explain
from escnn.dataset import load_features, open_dataset
from escnn.evaluation import find_fold_runs
from escnn.features import normalize
from escnn.model import ResNet, reaches
from escnn.prediction import Classifier

HERE = Path(__file__).parent


def grad_cam(network: ResNet, heard: Tensor, class_id: int) -> Tensor:
    """The rival: Grad-CAM (R. Selvaraju et al., 2017) at the last stage, (mels, frames)."""
    last = network.stages[-1]
    (values,), (gradient,) = explain.stage_gradients(network, heard[None, None], [class_id], [last])
    weighed = (gradient.mean(dim=(2, 3), keepdim=True) * values).sum(dim=1).clamp_min(0)
    return explain.enlarge(weighed, reaches(network.config)[last].step, *heard.shape)[0]


def main(cross_validation: Path, data: Path) -> None:
    """Measure, write and print."""
    dataset = open_dataset(data)
    random = torch.Generator().manual_seed(0)
    before: list[float] = []
    deleted: dict[str, list[float]] = {}
    kept: dict[str, list[float]] = {}
    for run in find_fold_runs(cross_validation):
        classifier = Classifier.load(run, device="cpu")
        features = load_features(dataset, classifier.card.audio)
        network, fold = classifier.network, classifier.card.training["fold"]
        for index in [index for index, clip in enumerate(dataset.clips) if clip.fold == fold]:
            decibels = features.decibels[features.clip == index][0].float()
            heard = normalize(decibels, classifier.card.normalization)
            with torch.inference_mode():
                scores = network(heard[None, None]).softmax(dim=1)[0]
            named = int(scores.argmax())
            before.append(float(scores[named]))
            masks = {
                "LayerCAM, all stages but the last": explain.most_marked(
                    torch.from_numpy(explain.evidence(network, heard, [named])[0])
                ),
                "Grad-CAM, last stage": explain.most_marked(grad_cam(network, heard, named)),
                "random squares": explain.random_squares(heard.shape, random),
                "random pixels": explain.most_marked(torch.rand(heard.shape, generator=random)),
            }
            both = torch.stack([*masks.values(), *(~mask for mask in masks.values())])
            with torch.inference_mode():
                after = network(heard.masked_fill(both, 0.0)[:, None]).softmax(dim=1)[:, named]
            for number, name in enumerate(masks):
                deleted.setdefault(name, []).append(float(after[number]))
                kept.setdefault(name, []).append(float(after[number + len(masks)]))
        print(f"fold {fold}: {len(before)} clips so far", file=sys.stderr)
    document = {
        "clips": len(before),
        "share": explain.DELETED,
        "mean_score": float(np.mean(before)),
        "methods": {
            name: {"without_it": float(np.mean(deleted[name])), "with_nothing_else": float(np.mean(kept[name]))}
            for name in deleted
        },
    }
    (HERE / "deletion.json").write_text(json.dumps(document, indent=2) + "\n")
    print(f"{len(before)} clips, mean score of the class named {document['mean_score']:.3f}")
    for name in deleted:
        print(f"{name:36s} without it {np.mean(deleted[name]):.3f}   nothing else {np.mean(kept[name]):.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
