"""Give a trained model a frame head, as `escnn train` does in its last phase; everything else in it stays as it is.

    python benchmarks/frame_head.py MODEL ESC-50 OUT [--seed 0] [--half] [--set frames.epochs=12 ...]

MODEL is a model file or a run folder; the head learns on the clips of the folds that it was trained on. With --half the
weights are kept in half precision, as those of the bundled model are.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import msgspec
import numpy as np
import torch

from escnn.audio.log_mel import LogMel
from escnn.config import changed, from_json, to_json
from escnn.data.features import load_features
from escnn.data.sources import open_dataset
from escnn.model.model_file import ModelFile, read_model, write_model
from escnn.network.runtime import build_network, choose_device, network_weights
from escnn.runs.settings import TrainConfig, preset
from escnn.training.frames.mixtures import Windows
from escnn.training.frames.trainer import FrameTrainer
from escnn.training.optimizers import choose_precision


def main() -> None:
    """Train the head and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    asked = parser.parse_args()
    model = read_model(asked.model)
    card = model.card
    was = from_json(TrainConfig, card.training["config"])
    config = changed(msgspec.structs.replace(was, frames=preset(was.preset).frames), asked.set)
    dataset, device = open_dataset(asked.data), choose_device("auto")
    features = load_features(dataset, card.audio, LogMel(card.audio))
    clips = [index for index, clip in enumerate(dataset.clips) if clip.fold in card.record.trained_on_folds]
    windows = features.windows_of(np.array(clips, dtype=np.int32))
    class_ids = np.array([clip.class_id for clip in dataset.clips])[features.clip[windows]]
    network = build_network(model).to(device).to(memory_format=torch.channels_last)
    trainer = FrameTrainer(
        msgspec.structs.replace(config, seed=asked.seed),
        network,
        card.normalization,
        Windows(features.decibels, windows, class_ids),
        dataset.labels,
        device,
        choose_precision(config, device),
    )
    for epoch in range(1, config.frames.epochs + 1):
        print(
            f"epoch {epoch}/{config.frames.epochs}  loss {trainer.epoch():.3f}  {trainer.seconds:.0f} s",
            file=sys.stderr,
        )
    # What the network was trained with is not touched but for the settings of its head.
    training = card.training | {"config": to_json(msgspec.structs.replace(was, frames=config.frames))}
    record = trainer.record()
    with_head = dataclasses.replace(card, frames=record, training=training)
    head = {name: array for name, array in network_weights(network, trainer.head).items() if name.startswith("frames.")}
    write_model(asked.out, ModelFile(with_head, model.weights | head), half=asked.half)


if __name__ == "__main__":
    main()
