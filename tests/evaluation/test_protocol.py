"""A model is evaluated on the fold that it was not trained on, and a run of 0.1.0 as 0.1.0 evaluated it."""

import dataclasses
import hashlib
import json
import os
import shutil
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import tone

from escnn.data.dataset import Dataset
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError, UsageError
from escnn.evaluation.evaluation import Evaluation
from escnn.evaluation.protocol import choose_fold, evaluate, evaluate_fold, evaluate_runs
from escnn.inference.classifier import Classifier
from escnn.model.card import ModelCard
from escnn.model.model_file import ModelFile, read_model, write_model

OLD_RUN = Path(__file__).parents[1] / "data" / "run-0.1.0"


@pytest.fixture(scope="module")
def evaluated(class_folders: Path) -> Evaluation:
    """The run of 0.1.0 on its test fold."""
    return evaluate(OLD_RUN, class_folders, device="cpu")


def test_a_run_of_0_1_0_is_evaluated_as_0_1_0_did(evaluated: Evaluation) -> None:
    document, old = evaluated.to_json(), json.loads((OLD_RUN / "evaluation" / "evaluation.json").read_text())
    for name in ("log_loss", "calibration_error"):  # of the scores' last digits
        assert document.pop(name) == pytest.approx(old.pop(name), abs=1e-5)
    assert document.pop("balanced_accuracy") == pytest.approx(old["accuracy"])  # two clips of each class
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
        (tmp_path / label).symlink_to(class_folders / ("low" if label == "low" else "high"))
    dataset = open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not know the class 'strange'"):
        evaluate_fold(Classifier.load(OLD_RUN, device="cpu"), dataset, 5)


def test_a_clip_that_cannot_be_read_ends_the_evaluation(tmp_path: Path) -> None:
    for label in ("low", "high"):
        (tmp_path / label).mkdir()
        for number in range(2):
            (tmp_path / label / f"{number}.wav").write_text(f"no sound {label} {number}")
    with pytest.raises(DatasetError, match="not an audio file"):
        evaluate(OLD_RUN, tmp_path, device="cpu")


# What the model was trained on, and what it was not


def trained(folder: Path, dataset: Dataset, fold: int | None, **training: Any) -> Path:
    """A finished run on all folds of `dataset` but `fold`, as the model file tells it."""
    model = read_model(OLD_RUN)
    folds = [number for number in dataset.folds if number != fold]
    training = {
        **model.card.training,
        "fold": fold,
        "trained_on_folds": folds,
        "clips": dataset.hashes_by_fold(folds),
        "data_digest": dataset.digest,
        **training,
    }
    score = {"accuracy": 0.5, "clips": len(dataset.fold(fold)), "fold": fold} if fold else None
    card = dataclasses.replace(model.card, training=training, score=score)
    write_model(folder / "model.safetensors", ModelFile(card, model.weights))
    return folder


def more_sounds(root: Path, *names: str) -> None:
    """Sounds that no other is like."""
    for name in names:
        noise = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.1, 4_000)
        soundfile.write(root / name, noise, 8_000)


def learnt(dataset: Dataset, fold: int) -> set[str]:
    return {dataset.hashes[clip.name] for clip in dataset.clips if clip.fold != fold}


@pytest.mark.parametrize("fold", [5, 2])
def test_a_folder_that_has_grown_is_measured_on_what_was_not_learnt(
    tmp_path: Path, class_folders: Path, fold: int
) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    before = open_dataset(root)
    run = trained(tmp_path / "run", before, fold)
    more_sounds(root, *(f"{label}/a{number}.wav" for label in ("low", "high") for number in range(7)))
    (root / "middle" / "3.wav").rename(root / "middle" / "renamed.wav")
    with pytest.warns(UserWarning, match="0 clips that the model was trained on are gone, 14 are new"):
        grown = evaluate(run, root, device="cpu")
    contents = {hashlib.sha256(clip.path.read_bytes()).hexdigest() for clip in grown.clips}
    assert len(contents) == 6 + 14
    assert not contents & learnt(before, fold)
    assert grown.folds == (fold,)
    assert grown.to_json()["seen_in_training"] is False
    other = evaluate(run, root, fold=1 if fold != 1 else 2, device="cpu")
    assert other.to_json()["seen_in_training"] is True
    assert other.folds_trained_on == other.folds


def test_a_folder_as_it_was_is_measured_as_after_training(tmp_path: Path, class_folders: Path) -> None:
    dataset = open_dataset(class_folders)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured = evaluate(trained(tmp_path / "run", dataset, 3), class_folders, device="cpu")
    assert measured.clips == dataset.fold(3)
    assert measured.data_digest == dataset.digest
    assert measured.folds_trained_on == ()


def test_what_came_after_a_training_on_everything_is_measured(tmp_path: Path, class_folders: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    run = trained(tmp_path / "run", open_dataset(root), None)
    with pytest.raises(UsageError, match="trained on every fold"):
        evaluate(run, root, device="cpu")
    more_sounds(root, "low/new.wav", "high/new.wav")
    (root / "low" / "1.wav").unlink()
    with pytest.warns(UserWarning, match="1 clips that the model was trained on are gone"):
        measured = evaluate(run, root, device="cpu")
    assert [clip.name for clip in measured.clips] == ["high/new.wav", "low/new.wav"]
    assert measured.to_json()["fold"] is None


def test_a_data_set_that_was_not_trained_on_is_measured_whole(tmp_path: Path, class_folders: Path) -> None:
    for label, number in (("low", 1), ("high", 2)):  # fewer than a training would need
        (tmp_path / "own" / label).mkdir(parents=True)
        more_sounds(tmp_path / "own", *(f"{label}/{n + 10 * number}.wav" for n in range(number)))
    run = trained(tmp_path / "run", open_dataset(class_folders), 5)
    for model in (run, OLD_RUN):
        measured = evaluate(model, tmp_path / "own", device="cpu")
        assert len(measured.clips) == 3
        assert measured.to_json()["fold"] is None
        assert measured.to_json()["seen_in_training"] is False
        assert measured.folds_trained_on == ()
        assert "fold" not in measured.measured_on
        measured.save(tmp_path / "saved")
        assert "fold 0" not in measured.to_html()
    with pytest.raises(UsageError, match="was trained on none of it"):
        evaluate(run, tmp_path / "own", fold=3, device="cpu")
    for fold in (1, 2):
        trained(tmp_path / "cv" / f"fold{fold}", open_dataset(class_folders), fold)
    with pytest.raises(UsageError, match="trained on none of"):
        evaluate_runs(tmp_path / "cv", tmp_path / "own", device="cpu")


def test_even_one_class_can_be_measured(tmp_path: Path) -> None:
    (tmp_path / "own" / "low").mkdir(parents=True)
    more_sounds(tmp_path / "own", "low/a.wav")
    assert len(evaluate(OLD_RUN, tmp_path / "own", device="cpu").clips) == 1


def test_the_bundled_model_knows_official_clips_by_their_names_in_any_folder(tmp_path: Path) -> None:
    """Copies of ESC-50 differ in a last bit, so that hashes alone would not do."""
    for number, name in enumerate(("1-100032-A-0.wav", "5-203128-A-0.wav", "5-203128-B-0.wav")):
        (tmp_path / "dog").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "dog" / name, tone(300 + number, 1, 44_100), 44_100)
    measured = evaluate(None, tmp_path, device="cpu")
    assert [clip.path.name[0] for clip in measured.clips] == ["5", "5"]
    assert measured.folds == (5,)
    assert measured.to_json()["seen_in_training"] is False
    assert evaluate(None, tmp_path, fold=1, device="cpu").to_json()["seen_in_training"] is True
    (tmp_path / "dog").rename(tmp_path / "rooster")  # no official clips, then: those are dogs
    assert len(evaluate(None, tmp_path, device="cpu").clips) == 3


def test_a_cross_validation_deals_newcomers_only(tmp_path: Path, class_folders: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    before = open_dataset(root)
    for fold in (1, 3, 5):
        trained(tmp_path / "cv" / f"fold{fold}", before, fold)
    more_sounds(root, *(f"low/a{number}.wav" for number in range(6)))
    with pytest.warns(UserWarning, match="0 clips that the model was trained on are gone, 6 are new"):
        both = evaluate_runs(tmp_path / "cv", root, device="cpu")
    fold_of = {clip.name: clip.fold for clip in before.clips}
    assert all(clip.fold == fold_of.get(clip.name, clip.fold) for clip in both.clips)
    assert len(both.clips) == 3 * 6 + 6
    assert both.folds == (1, 3, 5)
    assert both.folds_trained_on == ()


def test_classes_are_matched_however_they_are_spelt(tmp_path: Path, class_folders: Path) -> None:
    (tmp_path / "LOW").symlink_to(class_folders / "low")
    (tmp_path / "high").symlink_to(class_folders / "high")
    measured = evaluate(OLD_RUN, tmp_path, device="cpu")
    assert {measured.labels[index] for index in measured.truth} == {"low", "high"}


def test_a_run_is_evaluated_on_its_own_data(
    tmp_path: Path, class_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(OLD_RUN, tmp_path / "fold5")
    with pytest.raises(DatasetError, match="/home/user/sounds") as caught:
        evaluate(run, device="cpu")
    assert "--data" in (caught.value.hint or "")
    document = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**document, "data": str(class_folders)}))
    for model in (run, run / "model.safetensors"):
        assert evaluate(model, device="cpu").accuracy == evaluate(OLD_RUN, class_folders, device="cpu").accuracy
    shutil.copytree(run, tmp_path / "fold4")
    a_run(tmp_path / "fold4", 4)
    assert len(evaluate_runs(tmp_path, device="cpu").clips) == 12
    monkeypatch.setenv("ESCNN_DATA", str(tmp_path / "nothing here"))
    assert len(evaluate(run, device="cpu").clips) == 6


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_clip_whose_name_is_not_utf_8_can_be_evaluated(tmp_path: Path) -> None:
    (tmp_path / "own" / "low").mkdir(parents=True)
    more_sounds(tmp_path / "own", "low/a.wav")
    (tmp_path / "own" / "low" / "a.wav").rename(tmp_path / "own" / "low" / "a\udce9.wav")
    measured = evaluate(OLD_RUN, tmp_path / "own", device="cpu")
    measured.save(tmp_path / "out")
    assert "low/a\\xe9.wav" in (tmp_path / "out" / "predictions.csv").read_text("utf-8")
    assert measured.to_html().encode("utf-8")


# Several runs


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
