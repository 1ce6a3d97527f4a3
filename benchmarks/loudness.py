"""What a quiet recording costs: the test clips of a cross-validation, as they are and made quieter.

    python benchmarks/loudness.py runs/cv ESC-50

Every clip of every fold is scored by the model that was not trained on it. A clip that is so many decibels quieter has
log-mels that are as many lower, down to the floor. Writes ``loudness.json``, prints a table.
"""

import sys
from pathlib import Path

import numpy as np

from escnn import files
from escnn.audio.log_mel import LogMel
from escnn.data.features import load_features
from escnn.data.sources import open_dataset
from escnn.inference.classifier import Classifier
from escnn.runs.run import find_fold_runs

HERE = Path(__file__).parent
QUIETER_DB = (0, 10, 20, 30)


def main(cross_validation: Path, data: Path) -> None:
    """Measure, write and print."""
    dataset = open_dataset(data)
    truth = np.array([clip.class_id for clip in dataset.clips])
    right = dict.fromkeys(QUIETER_DB, 0)
    windows_scored = 0
    for run in find_fold_runs(cross_validation):
        classifier = Classifier.load(run, device="cpu")
        fold = classifier.card.training["fold"]
        features = load_features(dataset, classifier.card.audio, LogMel(classifier.card.audio))
        windows = features.windows_of(np.array([i for i, clip in enumerate(dataset.clips) if clip.fold == fold]))
        windows_scored += len(windows)
        for part in np.array_split(windows, -(-len(windows) // 4)):
            decibels = features.decibels[part].astype(np.float32)
            for quieter in QUIETER_DB:
                lowered = np.maximum(decibels - quieter, np.float32(classifier.card.audio.floor_db))
                best = classifier.runtime.scores(lowered).argmax(axis=1)
                right[quieter] += int((best == truth[features.clip[part]]).sum())
    accuracy = {str(quieter): correct / windows_scored for quieter, correct in right.items()}
    preset = classifier.card.training["config"]["preset"]
    files.write_json(
        HERE / "loudness.json", {"preset": preset, "clips": windows_scored, "accuracy_quieter_db": accuracy}
    )
    for quieter, share in accuracy.items():
        print(f"{quieter:>3} dB quieter: {100 * share:.2f} %")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
