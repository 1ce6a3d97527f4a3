"""The files that an evaluation and a training leave agree with each other and with what they left in 0.1.0."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from report.evaluation.made_up import evaluation_of, history, large, small

from escnn.errors import OutputError
from escnn.report.evaluation.folder import save_curves, save_evaluation, save_page

TABLES = {"predictions.csv", "per_class.csv", "confused.csv", "confusion.png"}


def test_the_files_of_one_fold(tmp_path: Path) -> None:
    evaluation = small()
    save_evaluation(evaluation, tmp_path / "new")
    folder = tmp_path / "new"
    assert {path.name for path in folder.iterdir()} == {*TABLES, "evaluation.json"}
    assert (folder / "predictions.csv").read_text().splitlines()[:4] == [
        "clip,true,predicted,score,true_score,correct",
        "5-0.wav,dog,dog,0.500000,0.500000,True",
        "5-1.wav,dog,dog,0.540000,0.540000,True",
        "5-2.wav,dog,sea_waves,0.580000,0.100000,False",
    ]
    assert (folder / "per_class.csv").read_text().splitlines()[:2] == [
        "label,precision,recall,f1,clips,predicted",
        "dog,0.666667,0.500000,0.571429,4,3",
    ]
    assert (folder / "confused.csv").read_text() == "true,predicted,clips\ndog,sea_waves,2\nhen,dog,1\n"
    document = json.loads((folder / "evaluation.json").read_text())
    assert list(document) == [
        "schema", "fold", "seen_in_training", "clips", "views", "accuracy", "balanced_accuracy", "top5_accuracy",
        "macro_f1", "log_loss", "calibration_error", "most_confused", "per_class", "model",
    ]  # fmt: skip
    assert (document["schema"], document["fold"], document["clips"]) == ("escnn.evaluation/1", 5, 10)
    assert document["accuracy"] == pytest.approx(pd.read_csv(folder / "predictions.csv")["correct"].mean()) == 0.7
    assert [row["label"] for row in document["per_class"]] == list(evaluation.labels)
    assert document["model"]["training"]["trained_on_folds"] == [1, 2, 3, 4]
    assert Image.open(folder / "confusion.png").width > 600


def test_the_files_of_a_cross_validation(tmp_path: Path) -> None:
    evaluation = large(3, 120)
    save_evaluation(evaluation, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*TABLES, "cross-validation.json"}
    document = json.loads((tmp_path / "cross-validation.json").read_text())
    assert list(document) == [
        "schema", "clips", "accuracy", "balanced_accuracy", "top5_accuracy", "macro_f1", "folds",
        "mean_accuracy", "std_accuracy", "mean_log_loss", "mean_calibration_error",
        "mean_top5_accuracy",
    ]  # fmt: skip
    assert [row["fold"] for row in document["folds"]] == [1, 2, 3, 4]
    accuracies = pd.Series([row["accuracy"] for row in document["folds"]])
    assert document["mean_accuracy"] == pytest.approx(accuracies.mean()) == pytest.approx(evaluation.accuracy)
    assert document["std_accuracy"] == pytest.approx(accuracies.std())
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 120


def test_figures_come_last_so_that_a_run_that_was_stopped_counts_as_not_evaluated(tmp_path: Path) -> None:
    (tmp_path / "confusion.png").mkdir()
    with pytest.raises(OutputError):
        save_evaluation(small(), tmp_path)
    assert not (tmp_path / "evaluation.json").exists()


def test_without_mistakes_the_table_of_confusions_has_its_heading(tmp_path: Path) -> None:
    save_evaluation(evaluation_of(["a", "b"], [(0, 0, 0.9, 0.9), (1, 1, 0.9, 0.9)]), tmp_path)
    assert (tmp_path / "confused.csv").read_text() == "true,predicted,clips\n"


def test_the_page_and_the_curves(tmp_path: Path) -> None:
    path = save_page(small(), tmp_path / "run", history=history(), command=["train"])
    assert path == tmp_path / "run" / "report.html"
    html = path.read_text("utf-8")
    assert 'id="training"' in html
    assert "escnn train" in html
    save_curves(history(), tmp_path / "run")
    assert Image.open(tmp_path / "run" / "curves.png").width == 1500
