"""What a quiet recording costs: the held-out clips of a cross-validation, as they are and made quieter.

    python benchmarks/loudness.py runs/cv ESC-50

Every clip of every fold is heard by the model that did not learn from it. A clip that is so many decibels quieter has
log-mels that are as many lower, down to the floor. Writes ``loudness.json``, prints a table.
"""

import sys
from pathlib import Path

import torch

from escnn import files
from escnn.dataset import load_features, open_dataset
from escnn.evaluation import find_fold_runs
from escnn.features import normalize
from escnn.prediction import Classifier

HERE = Path(__file__).parent
QUIETER_DB = (0, 10, 20, 30)


def main(cross_validation: Path, data: Path) -> None:
    """Measure, write and print."""
    dataset = open_dataset(data)
    truth = torch.tensor([clip.class_id for clip in dataset.clips])
    right = dict.fromkeys(QUIETER_DB, 0)
    heard = 0
    for run in find_fold_runs(cross_validation):
        classifier = Classifier.load(run, device="cpu")
        fold = classifier.card.training["fold"]
        features = load_features(dataset, classifier.card.audio)
        windows = features.windows_of(torch.tensor([i for i, clip in enumerate(dataset.clips) if clip.fold == fold]))
        heard += len(windows)
        for part in windows.split(4):
            decibels = features.decibels[part].float()
            for quieter in QUIETER_DB:
                lowered = (decibels - quieter).clamp_min(classifier.card.audio.floor_db)
                with torch.inference_mode():
                    logits = classifier.network(normalize(lowered, classifier.card.normalization)[:, None])
                right[quieter] += int((logits.argmax(dim=1) == truth[features.clip[part]]).sum())
    accuracy = {str(quieter): correct / heard for quieter, correct in right.items()}
    preset = classifier.card.training["config"]["preset"]
    files.write_json(HERE / "loudness.json", {"preset": preset, "clips": heard, "accuracy_quieter_db": accuracy})
    for quieter, share in accuracy.items():
        print(f"{quieter:>3} dB quieter: {100 * share:.2f} %")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
