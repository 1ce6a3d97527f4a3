"""An evaluation of one fold or of several: what follows from its scores, and the JSON and tables that 0.1.0 wrote."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL_AUDIO, SMALL_MODEL

from escnn.audio.log_mel import Normalization
from escnn.cli.tables import cross_validation_lines, evaluation_lines
from escnn.data.dataset import Clip
from escnn.evaluation import metrics
from escnn.evaluation.evaluation import Evaluation, first_warnings
from escnn.evaluation.protocol import pool
from escnn.model.card import ModelCard

LABELS = ("low", "middle", "high")


def card(fold: int, *, seen: tuple[int, ...] = ()) -> ModelCard:
    """A model with `fold` as its test fold."""
    training = {"fold": fold, "trained_on_folds": [*seen] or [n for n in range(1, 6) if n != fold]}
    return ModelCard(f"of fold {fold}", LABELS, SMALL_AUDIO, SMALL_MODEL, Normalization(-60.0, 25.0), training)


def evaluation(fold: int, clips: int = 30, *, seen: tuple[int, ...] = ()) -> Evaluation:
    """Random scores of a fold, right more often than not."""
    rng = np.random.default_rng(fold)
    truth = rng.integers(0, 3, clips)
    scores = rng.dirichlet(np.ones(3), clips).astype(np.float32)
    scores[np.arange(clips), truth] += 0.2
    return Evaluation(
        labels=LABELS,
        clips=tuple(Clip(f"{fold}/{n}.wav", Path(f"{n}.wav"), int(truth[n]), fold) for n in range(clips)),
        truth=truth,
        scores=scores / scores.sum(axis=1, keepdims=True),
        models={fold: card(fold, seen=seen)},
        data_name="sounds",
        data_digest="ab" * 32,
        tta=2,
        versions={"escnn": "0.2.0"},
    )


def test_figures_are_the_metrics_of_its_scores() -> None:
    one = evaluation(5)
    figures = one.figures()
    assert list(figures) == [
        "fold", "clips", "views", "accuracy", "balanced_accuracy", "top5_accuracy", "macro_f1", "log_loss",
        "calibration_error",
    ]  # fmt: skip
    assert (figures["fold"], figures["clips"], figures["views"], one.folds) == (5, 30, 2, (5,))
    assert figures["accuracy"] == one.accuracy == metrics.accuracy(one.truth, one.scores)
    assert figures["top5_accuracy"] == 1.0 > one.top_k_accuracy(2)
    assert figures["macro_f1"] == one.macro_f1 == metrics.macro_f1(metrics.per_class(one.confusion_matrix, LABELS))
    assert figures["log_loss"] == one.log_loss == metrics.log_loss(one.truth, one.scores)
    assert figures["calibration_error"] == one.calibration_error == metrics.calibration_error(one.calibration_bins)
    assert one.most_confused() == metrics.most_confused(one.confusion_matrix, LABELS)


def test_a_row_of_predictions_a_clip() -> None:
    one = evaluation(5)
    table = one.predictions()
    assert list(table.columns) == ["clip", "true", "predicted", "score", "true_score", "correct"]
    assert table["clip"].tolist() == [f"5/{number}.wav" for number in range(30)]
    assert table["correct"].mean() == one.accuracy
    assert ((table["true"] == table["predicted"]) == table["correct"]).all()
    assert (table["score"] >= table["true_score"]).all()
    assert (table["score"][table["correct"]] == table["true_score"][table["correct"]]).all()


def test_the_json_of_one_fold_has_the_keys_of_0_1_0() -> None:
    document = evaluation(5).to_json()
    old = json.loads((Path(__file__).parents[1] / "data/run-0.1.0/evaluation/evaluation.json").read_text())
    assert [key for key in document if key != "balanced_accuracy"] == list(old)
    assert list(document["per_class"][0]) == list(old["per_class"][0])
    assert list(document["model"]) == list(old["model"])
    assert document["seen_in_training"] is False
    assert evaluation(5, seen=(4, 5)).to_json()["seen_in_training"] is True
    assert json.loads(json.dumps(document)) == document


def test_several_folds_are_pooled_and_taken_apart_again() -> None:
    parts = [evaluation(1, 20), evaluation(2, 40), evaluation(4, 30)]
    together = pool(parts)
    assert together.folds == (1, 2, 4)
    assert together.accuracy == pytest.approx(np.average([part.accuracy for part in parts], weights=(20, 40, 30)))
    assert together.confusion_matrix.sum() == 90
    for part, again in zip(parts, together.by_fold(), strict=True):
        assert again.clips == part.clips
        assert again.models == part.models
        np.testing.assert_array_equal(again.truth, part.truth)
        np.testing.assert_array_equal(again.scores, part.scores)
    assert parts[0].by_fold() == [parts[0]]


def test_a_cross_validation_is_mean_and_sample_deviation_with_the_keys_of_0_1_0() -> None:
    parts = [evaluation(1), evaluation(2, seen=(2, 3)), evaluation(3)]
    together = pool(parts)
    document = together.to_json()
    assert list(document) == [
        "schema", "clips", "accuracy", "balanced_accuracy", "top5_accuracy", "macro_f1", "folds",
        "mean_accuracy", "std_accuracy", "mean_log_loss", "mean_calibration_error",
        "mean_top5_accuracy",
    ]  # fmt: skip
    assert document["schema"] == "escnn.cross-validation/1"
    assert document["folds"] == [
        {**part.figures(), "seen_in_training": seen} for part, seen in zip(parts, (False, True, False), strict=True)
    ]
    assert together.folds_trained_on == (2,)
    for name in ("accuracy", "top5_accuracy", "log_loss", "calibration_error"):
        values = [part.figures()[name] for part in parts]
        assert document[f"mean_{name}"] == pytest.approx(np.mean(values))
    accuracies = [part.accuracy for part in parts]
    assert document["std_accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    spread = together.spread()
    assert spread["accuracy"] == (document["mean_accuracy"], document["std_accuracy"])
    assert spread["macro_f1"] == pytest.approx(
        (np.mean([part.macro_f1 for part in parts]), np.std([part.macro_f1 for part in parts], ddof=1))
    )
    assert list(spread) == ["accuracy", "top5_accuracy", "macro_f1"]


def of_small_classes() -> Evaluation:
    """A cross-validation whose first folds hold one class only, which is always named; "high" is in no fold."""
    parts = []
    for fold, truth in ((1, [0]), (2, [0, 0]), (5, [0, 1, 1, 1])):
        part = evaluation(fold, len(truth))
        scores = np.tile(np.array([[0.9, 0.06, 0.04]], dtype=np.float32), (len(truth), 1))
        clips = tuple(dataclasses.replace(clip, class_id=t) for clip, t in zip(part.clips, truth, strict=True))
        parts.append(dataclasses.replace(part, truth=np.array(truth), scores=scores, clips=clips))
    return pool(parts)


def test_one_figure_is_told_in_all_places_pooled_over_clips(tmp_path: Path) -> None:
    together = of_small_classes()
    document = together.to_json()
    assert document["accuracy"] == together.accuracy == pytest.approx(4 / 7)  # the mean over folds is 75 %
    assert document["mean_accuracy"] == pytest.approx(0.75)
    assert document["balanced_accuracy"] == together.balanced_accuracy == 0.5  # of two classes, one always right
    console = "\n".join(cross_validation_lines(document, classes=3, terminal=False))
    page = re.sub(r"<[^>]+>|\u00a0", " ", together.to_html().split("</head>")[1])
    assert "57.14 % of 7 clips" in console
    assert "balanced accuracy 50.00 %" in console
    assert "75" not in console
    assert page.count("57.1 %") >= 3  # headline, its picture, the row of all folds
    assert "75.0 %" not in page
    together.save(tmp_path)
    assert pd.read_csv(tmp_path / "predictions.csv")["correct"].mean() == pytest.approx(document["accuracy"])


def test_a_class_without_clips_is_empty_and_warned_of(tmp_path: Path) -> None:
    *_, last = of_small_classes().by_fold()
    assert last.caveats == ["fold 5 holds no clip of high: how well they are told is not measured there"]
    assert of_small_classes().by_fold()[0].caveats[0].startswith("fold 1 holds no clip of 2 of 3 classes: ")
    last.save(tmp_path)
    high = last.to_json()["per_class"][2]
    assert high == {"label": "high", "precision": None, "recall": None, "f1": None, "clips": 0, "predicted": 0}
    assert (tmp_path / "per_class.csv").read_text().splitlines()[3] == "high,,,,0,0"
    assert "high" not in "\n".join(evaluation_lines(last.to_json(), terminal=False)).split("most confused")[0]
    assert "fold 5 holds no clip of high" in last.to_html()


def test_folds_that_no_finished_run_tests_on_are_named() -> None:
    both = pool([evaluation(1), evaluation(4)])
    assert both.caveats == ["no finished run tests on folds 2, 3, 5: these clips are not among the figures"]
    assert pool([evaluation(fold) for fold in range(1, 6)]).caveats == []
    assert evaluation(1).caveats == []


def test_warnings_of_clips_are_kept_and_the_first_are_said(tmp_path: Path) -> None:
    told = [(f"{n}.wav", "the sound lasts 0.3 s: ...") for n in range(2)]
    told += [("9.wav", "ends early"), ("9.wav", "is noisy, \nreally"), ("8.wav", "ends early")]
    one = dataclasses.replace(evaluation(5), sound_warnings=tuple(told))
    assert first_warnings(one.sound_warnings, "here") == [
        "9.wav: ends early; is noisy, \nreally", "8.wav: ends early", "0.wav: the sound lasts 0.3 s: ...",
        "warnings about 1 more clip, all of them in warnings.csv of here",
    ]  # fmt: skip
    one.save(tmp_path)
    assert pd.read_csv(tmp_path / "warnings.csv").to_numpy().tolist() == [list(pair) for pair in told]
    evaluation(5).save(tmp_path)
    assert not (tmp_path / "warnings.csv").exists()


def test_the_model_is_the_first_of_several() -> None:
    assert pool([evaluation(2), evaluation(3)]).model == card(2)
