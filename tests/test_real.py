"""The main job on real clips. Runs when ESCNN_TEST_DATA names a built ESC-50; `.ci/run` builds one."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import archive_server
import numpy as np
import pytest

from escnn.analysis.analysis import analyze
from escnn.data.download import download
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError
from escnn.evaluation.protocol import evaluate_fold
from escnn.inference.classifier import Classifier

pytestmark = pytest.mark.real
ESCNN = [sys.executable, "-m", "escnn"]


def test_the_bundled_model_knows_what_it_was_trained_on(real_data: Path) -> None:
    """Not a measure of accuracy on new sounds: it shows that file, preprocessing and labels still go together."""
    dataset = open_dataset(real_data)
    some = dataclasses.replace(dataset, clips=dataset.fold(3)[::3])
    assert evaluate_fold(Classifier.load(device="cpu"), some, 3).accuracy > 0.9


def test_an_archive_comes_whole_over_a_connection_that_drops_twice(real_data: Path, tmp_path: Path) -> None:
    archive = real_data.parent / "ESC-50-master.zip"
    if not archive.is_file():
        pytest.skip("there is no archive beside the data set (build_esc50.py --zip)")
    with archive_server.running() as server:
        server.body = archive.read_bytes()
        half = len(server.body) // 2
        server.answers = [archive_server.good(cut_after=half), archive_server.good(cut_after=half // 2)]
        with pytest.raises(DatasetError, match="1,600 of 2,000 clips; fold 5 lacks 400"):
            download(tmp_path / "ESC-50", source=server.url)
        assert not (tmp_path / "ESC-50").exists()
        server.answers = [archive_server.good(cut_after=half), archive_server.good(cut_after=half // 2)]
        found = download(tmp_path / "ESC-50", source=server.url, allow_missing=True)
        assert len([asked for asked in server.ranges if asked]) == 4
    assert found.clips == 1_600
    for clip in sorted((tmp_path / "ESC-50" / "audio").iterdir())[::100]:
        assert clip.read_bytes() == (real_data / "audio" / clip.name).read_bytes()


def test_a_stopped_training_ends_as_one_that_was_not(real_data: Path, tmp_path: Path) -> None:
    """The default network on real clips: two epochs straight, and two with a stop after the first."""
    common = ["train", "--data", str(real_data), "--fold", "4", "--validation-fold", "3", "--epochs", "2"]
    common += ["--set", "frames.epochs=1"]
    subprocess.run([*ESCNN, *common, "--out", str(tmp_path / "straight")], check=True, capture_output=True)
    command = [*ESCNN, *common, "--out", str(tmp_path / "stopped")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 1/2"):
            process.kill()
    process.wait()
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    subprocess.run([*ESCNN, "train", "--resume", str(tmp_path / "stopped")], check=True, capture_output=True)
    first, second = (tmp_path / name / "evaluation" / "predictions.csv" for name in ("straight", "stopped"))
    assert first.read_bytes() == second.read_bytes()
    document = json.loads((tmp_path / "stopped" / "evaluation" / "evaluation.json").read_text())
    assert document["clips"] == 400
    assert document["model"]["training"]["trained_on_folds"] == [1, 2]


def test_what_is_shown_as_evidence_matters(real_data: Path) -> None:
    """Blanking it costs far more than blanking as much at random; benchmarks/deletion.py has the figures."""
    dataset, classifier = open_dataset(real_data), Classifier.load(device="cpu")
    blanked = []
    for clip in dataset.clips[::80]:
        seen = analyze(clip.path, classifier, name=clip.name, top_k=1)
        blanked.append((seen.prediction.scores.max(), seen.score_without_saliency, seen.score_without_random))
    before, without, at_random = np.mean(blanked, axis=0)
    assert before - without > 0.25  # though these are clips that it was trained on, and is sure of
    assert before - without > 10 * (before - at_random)
