"""Does what `visualize` shows as evidence matter? Deletion and insertion on the test clips of a cross-validation.

    python benchmarks/deletion.py runs/cv ESC-50

Every clip of every fold is scored by the model that was not trained on it. For the class that it names, 20 % of the
spectrogram is filled with the training mean: what is most salient, or as much at random, in single pixels and in
squares of 16 by 16. The other way round, all but those 20 % is filled. Writes ``deletion.json``, prints a table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from escnn.audio.log_mel import LogMel, normalize
from escnn.data.features import load_features
from escnn.data.sources import open_dataset
from escnn.model.architecture import receptive_fields
from escnn.model.model_file import read_model
from escnn.network import saliency
from escnn.network.resnet import ResNet
from escnn.network.runtime import build_network
from escnn.runs.run import find_fold_runs

HERE = Path(__file__).parent


def grad_cam(network: ResNet, network_input: Tensor, class_id: int) -> Tensor:
    """The rival: Grad-CAM (R. Selvaraju et al., 2017) at the last stage, (mels, frames)."""
    last = network.stages[-1]
    (values,), (gradient,) = saliency.stage_gradients(network, network_input[None, None], [class_id], [last])
    weighed = (gradient.mean(dim=(2, 3), keepdim=True) * values).sum(dim=1).clamp_min(0)
    return saliency.enlarge(weighed, receptive_fields(network.config)[last].stride, *network_input.shape)[0]


def main(cross_validation: Path, data: Path) -> None:
    """Measure, write and print."""
    dataset = open_dataset(data)
    random = torch.Generator().manual_seed(0)
    before: list[float] = []
    deleted: dict[str, list[float]] = {}
    kept: dict[str, list[float]] = {}
    for run in find_fold_runs(cross_validation):
        model = read_model(run)
        features = load_features(dataset, model.card.audio, LogMel(model.card.audio))
        network, fold = build_network(model), model.card.record.fold
        for index in [index for index, clip in enumerate(dataset.clips) if clip.fold == fold]:
            decibels = torch.from_numpy(features.decibels[features.clip == index][0]).float()
            network_input = normalize(decibels, model.card.normalization)
            with torch.inference_mode():
                scores = network(network_input[None, None]).softmax(dim=1)[0]
            named = int(scores.argmax())
            before.append(float(scores[named]))
            masks = {
                "LayerCAM, all stages but the last": saliency.most_salient(
                    torch.from_numpy(saliency.saliency(network, network_input, [named])[0])
                ),
                "Grad-CAM, last stage": saliency.most_salient(grad_cam(network, network_input, named)),
                "random squares": saliency.random_squares(network_input.shape, random),
                "random pixels": saliency.most_salient(torch.rand(network_input.shape, generator=random)),
            }
            both = torch.stack([*masks.values(), *(~mask for mask in masks.values())])
            with torch.inference_mode():
                after = network(network_input.masked_fill(both, 0.0)[:, None]).softmax(dim=1)[:, named]
            for number, name in enumerate(masks):
                deleted.setdefault(name, []).append(float(after[number]))
                kept.setdefault(name, []).append(float(after[number + len(masks)]))
        print(f"fold {fold}: {len(before)} clips so far", file=sys.stderr)
    document = {
        "clips": len(before),
        "share": saliency.DELETED,
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
