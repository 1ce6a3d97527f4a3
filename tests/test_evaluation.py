import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as outside
import torch
from conftest import SMALL_AUDIO, SMALL_TRAINING

from escnn import evaluation, runs, training
from escnn.dataset import load_features, open_dataset
from escnn.errors import DatasetError, UsageError
from escnn.measures import Evaluation, fit_temperature
from escnn.prediction import Classifier


@pytest.fixture
def drawn() -> Evaluation:
    """200 clips of 6 classes with random scores; class 5 is never true, class 4 never predicted."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 200)
    scores = rng.dirichlet(np.ones(6), 200).astype(np.float32)
    scores[np.arange(200), truth] += rng.uniform(0, 0.6, 200).astype(np.float32)
    scores[:, 4] = 0
    return Evaluation(tuple("abcdef"), tuple(map(str, range(200))), truth, scores)


def test_figures_agree_with_scikit_learn(drawn: Evaluation) -> None:
    truth, predicted, classes = drawn.truth, drawn.predicted, range(6)
    assert drawn.accuracy == pytest.approx(outside.accuracy_score(truth, predicted))
    assert drawn.top_k_accuracy(3) == pytest.approx(
        outside.top_k_accuracy_score(truth, drawn.scores, k=3, labels=classes)
    )
    np.testing.assert_array_equal(drawn.confusion, outside.confusion_matrix(truth, predicted, labels=classes))
    expected = outside.precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    table = drawn.per_class()
    for column, values in zip(("precision", "recall", "f1", "clips"), expected, strict=True):
        np.testing.assert_allclose(table[column], values, err_msg=column)


def test_most_confused_pairs_come_first_and_hits_never(drawn: Evaluation) -> None:
    pairs = drawn.most_confused(100)
    counts = [pair["clips"] for pair in pairs]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == int((drawn.predicted != drawn.truth).sum())
    assert all(pair["true"] != pair["predicted"] for pair in pairs)


def test_a_cross_validation_is_mean_and_sample_deviation() -> None:
    same = {"clips": 10, "views": 1, "top5_accuracy": 1.0, "log_loss": 1.0, "calibration_error": 0.1}
    folds = [
        {"fold": n, "accuracy": a, "macro_f1": a, "seen_in_training": False, **same}
        for n, a in enumerate((0.7, 0.8, 0.9), start=1)
    ]
    document = evaluation.cross_validation_summary(folds)
    assert document["mean_accuracy"] == pytest.approx(0.8)
    assert document["std_accuracy"] == pytest.approx(0.1)


def test_calibration_error_and_log_loss_of_scores_worked_out_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.25, 0.75]])
    measured = Evaluation(("a", "b"), tuple("wxyz"), np.array([0, 1, 1, 1]), scores)
    # bin of 0.9: half right, gap 0.4, half of the clips; 0.6 and 0.75: right, gaps 0.4 and 0.25, a quarter each
    assert measured.calibration_error == pytest.approx(0.4 / 2 + 0.4 / 4 + 0.25 / 4)
    assert measured.log_loss == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.75]).mean())
    assert Evaluation(("a", "b"), ("w",), np.array([1]), np.array([[1.0, 0.0]])).log_loss < 20  # finite


@pytest.mark.parametrize("wrong_by", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_scores_too_sure_or_too_modest(wrong_by: float) -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(20_000, 5)) * 2
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (honest.cumsum(axis=1) > draw.random((len(honest), 1))).argmax(axis=1)  # drawn as the scores say
    distorted = np.exp(logits / wrong_by) / np.exp(logits / wrong_by).sum(axis=1, keepdims=True)
    names = tuple(map(str, truth))
    measured = Evaluation(tuple("abcde"), names, truth, distorted)
    assert fit_temperature(measured) == pytest.approx(1 / wrong_by, rel=0.05)
    assert Evaluation(tuple("abcde"), names, truth, honest).calibration_error < 0.02


@pytest.fixture(scope="module")
def trained(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three epochs that held out fold 5."""
    dataset = open_dataset(class_folders)
    run = runs.create(tmp_path_factory.mktemp("runs") / "fold5", SMALL_TRAINING, dataset.root)
    features = load_features(dataset, SMALL_AUDIO)
    last = list(training.train(run, dataset, features, device=torch.device("cpu")))[-1]
    document = evaluation.evaluate_run(run, dataset, device="cpu")
    assert document["accuracy"] == pytest.approx(last.held_out_accuracy)  # float16 cache and file agree here
    return run.folder


def test_a_run_is_evaluated_on_the_fold_that_it_held_out(trained: Path, class_folders: Path) -> None:
    classifier, dataset = Classifier.load(trained, device="cpu"), open_dataset(class_folders)
    assert evaluation.choose_fold(classifier, dataset, None) == 5
    assert evaluation.choose_fold(classifier, dataset, 2) == 2
    assert evaluation.folds_seen(classifier) == {1, 2, 3, 4}
    document = json.loads((trained / "evaluation" / "evaluation.json").read_text())
    assert (document["fold"], document["clips"], document["seen_in_training"]) == (5, 6, False)
    assert document["model"]["sha256"] == classifier.sha256
    assert classifier.card.score is not None
    assert classifier.card.score["accuracy"] == document["accuracy"]


def test_the_written_files_agree_with_each_other(trained: Path) -> None:
    folder = trained / "evaluation"
    assert {path.name for path in folder.iterdir()} == {
        "evaluation.json", "predictions.csv", "per_class.csv", "confused.csv", "confusion.png",
    }  # fmt: skip
    document = json.loads((folder / "evaluation.json").read_text())
    predictions = pd.read_csv(folder / "predictions.csv")
    assert len(predictions) == 6
    assert predictions["correct"].mean() == pytest.approx(document["accuracy"])
    assert pd.read_csv(folder / "per_class.csv")["clips"].sum() == 6


def test_classes_that_the_model_does_not_know_are_named(trained: Path, tmp_path: Path, class_folders: Path) -> None:
    (tmp_path / "sounds").mkdir()
    for label in ("low", "strange"):
        (tmp_path / "sounds" / label).symlink_to(class_folders / "low")
    dataset = open_dataset(tmp_path / "sounds")
    with pytest.raises(DatasetError, match="strange"):
        evaluation.evaluate(Classifier.load(trained, device="cpu"), dataset, dataset.clips)


def test_a_cross_validation_needs_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 finished runs"):
        evaluation.find_fold_runs(tmp_path)
