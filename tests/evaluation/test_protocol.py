"""A model is evaluated on the fold that it was not trained on, and a run of 0.1.0 as 0.1.0 evaluated it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from escnn.data.sources import open_dataset
from escnn.errors import DatasetError, UsageError
from escnn.evaluation.evaluation import Evaluation
from escnn.evaluation.protocol import choose_fold, evaluate, evaluate_fold, evaluate_runs
from escnn.inference.classifier import Classifier
from escnn.model.model_file import ModelCard, ModelFile, read_model, write_model

OLD_RUN = Path(__file__).parents[1] / "data" / "run-0.1.0"


@pytest.fixture(scope="module")
def evaluated(class_folders: Path) -> Evaluation:
    """The run of 0.1.0 on its test fold."""
    return evaluate(OLD_RUN, class_folders, device="cpu")


def test_a_run_of_0_1_0_is_evaluated_as_0_1_0_did(evaluated: Evaluation) -> None:
    document, old = evaluated.to_json(), json.loads((OLD_RUN / "evaluation" / "evaluation.json").read_text())
    for name in ("log_loss", "calibration_error"):  # of the scores' last digits
        assert document.pop(name) == pytest.approx(old.pop(name), abs=1e-5)
    assert document == old
    table = pd.read_csv(OLD_RUN / "evaluation" / "predictions.csv")
    pd.testing.assert_frame_equal(evaluated.predictions(), table, check_dtype=False, atol=1e-5)
    assert evaluated.tta == 1
    assert evaluated.data_digest == json.loads((OLD_RUN / "run.json").read_text())["data_digest"]
    assert evaluated.model.record.fold == 5


def test_clips_are_scored_as_predict_does(evaluated: Evaluation) -> None:
    classifier = Classifier.load(OLD_RUN, device="cpu")
    for clip, scores in zip(evaluated.clips, evaluated.scores, strict=True):
        np.testing.assert_allclose(classifier.predict(clip.path).scores, scores, atol=1e-5)
    assert [evaluated.labels[index] for index in evaluated.truth] == [
        clip.name.split("/")[0] for clip in evaluated.clips
    ]


def test_the_fold_that_was_not_trained_on_is_chosen(class_folders: Path) -> None:
    dataset, card = open_dataset(class_folders), read_model(OLD_RUN).card

    def trained(**changes: Any) -> ModelCard:
        return dataclasses.replace(card, training={**card.training, **changes})

    assert choose_fold(card, dataset, None) == 5
    assert choose_fold(card, dataset, 2) == 2
    assert choose_fold(trained(fold=2, validation_fold=4, trained_on_folds=[1, 5]), dataset, None) == 2
    assert choose_fold(trained(fold=None, validation_fold=4, trained_on_folds=[1, 5]), dataset, None) == 3
    with pytest.raises(UsageError, match="trained on every fold"):
        choose_fold(trained(fold=None, trained_on_folds=[1, 2, 3, 4, 5]), dataset, None)


def test_progress_counts_the_clips(class_folders: Path) -> None:
    calls: list[tuple[str, int, int | None]] = []
    evaluate(
        Classifier.load(OLD_RUN, device="cpu"), class_folders, fold=1, on_progress=lambda *call: calls.append(call)
    )
    assert calls == [("evaluating fold 1", done, 6) for done in range(1, 7)]


def test_test_time_augmentation_reaches_the_scores(evaluated: Evaluation, class_folders: Path) -> None:
    several = evaluate(OLD_RUN, class_folders, tta=3, device="cpu")
    assert several.to_json()["views"] == 3
    assert not np.allclose(several.scores, evaluated.scores, atol=1e-3)


def test_classes_that_the_model_does_not_know_are_named(tmp_path: Path, class_folders: Path) -> None:
    for label in ("low", "strange"):
        (tmp_path / label).symlink_to(class_folders / "low")
    dataset = open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not know the class 'strange'"):
        evaluate_fold(Classifier.load(OLD_RUN, device="cpu"), dataset, 5)


def test_a_clip_that_cannot_be_read_ends_the_evaluation(tmp_path: Path) -> None:
    for label in ("low", "high"):
        (tmp_path / label).mkdir()
        for number in range(2):
            (tmp_path / label / f"{number}.wav").write_bytes(b"no sound")
    with pytest.raises(DatasetError, match="not an audio file"):
        evaluate(OLD_RUN, tmp_path, device="cpu")


def a_run(folder: Path, test_fold: int) -> None:
    """A finished run with another test fold."""
    model = read_model(OLD_RUN)
    training = {**model.card.training, "fold": test_fold, "trained_on_folds": sorted({1, 2, 3, 4, 5} - {test_fold})}
    write_model(
        folder / "model.safetensors", ModelFile(dataclasses.replace(model.card, training=training), model.weights)
    )


def test_a_cross_validation_scores_every_fold_by_its_own_model(
    tmp_path: Path, class_folders: Path, evaluated: Evaluation
) -> None:
    for fold in (1, 5):
        a_run(tmp_path / f"fold{fold}", fold)
    (tmp_path / "fold3").mkdir()  # not finished
    both = evaluate_runs(tmp_path, class_folders, device="cpu")
    assert both.folds == (1, 5)
    assert {fold: card.record.fold for fold, card in both.models.items()} == {1: 1, 5: 5}
    assert both.folds_trained_on == ()
    first, last = both.by_fold()
    np.testing.assert_array_equal(last.scores, evaluated.scores)
    assert {clip.fold for clip in first.clips} == {1}
    assert len(both.truth) == 12


def test_two_runs_of_the_same_fold_are_refused(tmp_path: Path, class_folders: Path) -> None:
    for fold in (1, 2):
        a_run(tmp_path / f"fold{fold}", 1)
    with pytest.raises(UsageError, match="fold2: its test fold, 1, is that of another run"):
        evaluate_runs(tmp_path, class_folders, device="cpu")


def test_a_cross_validation_needs_runs(tmp_path: Path, class_folders: Path) -> None:
    a_run(tmp_path / "fold1", 1)
    with pytest.raises(UsageError, match="1 finished runs"):
        evaluate_runs(tmp_path, class_folders)
