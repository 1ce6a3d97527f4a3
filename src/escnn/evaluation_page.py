"""Fill the page about a whole fold, or about a cross-validation, with what was measured."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from escnn import checkpoint
from escnn.audio import encode, load_audio
from escnn.dataset import Clip, Dataset
from escnn.measures import Evaluation
from escnn.report.calibration import CalibrationBin
from escnn.report.confusion import EvaluatedClip
from escnn.report.curves import EpochScore
from escnn.report.evaluation import EvaluatedData, EvaluatedModel, EvaluationPage, FoldScore


def evaluation_page(
    evaluation: Evaluation,
    documents: Sequence[dict[str, Any]],
    dataset: Dataset,
    *,
    curves: Sequence[EpochScore] = (),
    embed_audio: bool = False,
    command: Sequence[str] = (),
) -> EvaluationPage:
    """The page about one model on one fold, or about several models, each on the fold that it held out.

    Args:
        evaluation: of all clips.
        documents: `escnn.evaluation.summary` of every fold.
        dataset: the clips belong to it.
        curves: of the training, if there was one training.
        embed_audio: put every clip into the page, to be listened to.
        command: as typed.
    """
    folds = [int(document["fold"]) for document in documents]
    clips = {clip.name: clip for clip in dataset.clips}
    right = evaluation.predicted
    return EvaluationPage(
        title=f"{dataset.root.name}, fold{'s' if len(folds) > 1 else ''} {_listed(folds)}",
        labels=evaluation.labels,
        clips=[
            EvaluatedClip(
                name=name,
                true=int(true),
                predicted=int(predicted),
                score=float(scores[predicted]),
                true_score=float(scores[true]),
                fold=clips[name].fold,
                mp3=_sound(clips[name]) if embed_audio else None,
            )
            for name, true, predicted, scores in zip(
                evaluation.names, evaluation.truth, right, evaluation.scores, strict=True
            )
        ],
        top5=evaluation.top_k_accuracy(5),
        log_loss=evaluation.log_loss,
        bins=[
            CalibrationBin(scores / max(count, 1), hits / max(count, 1), int(count))
            for scores, hits, count in evaluation.reliability().tolist()
        ],
        data=EvaluatedData(dataset.root.name, dataset.digest, folds),
        model=_one_model(documents[0]) if len(documents) == 1 else _one_a_fold(documents),
        versions=list(checkpoint.versions().items()),
        command=shlex.join(["escnn", *command]),
        created=datetime.now(UTC).replace(microsecond=0),
        folds=[
            FoldScore(fold, document["clips"], document["accuracy"], document["top5_accuracy"], document["macro_f1"])
            for fold, document in zip(folds, documents, strict=True)
            if len(documents) > 1
        ],
        curves=curves,
        warnings=[
            f"fold {document['fold']} was learnt from: this says little about sounds that the model has not heard"
            for document in documents
            if document["seen_in_training"]
        ],
    )


def _one_model(document: dict[str, Any]) -> EvaluatedModel:
    training = document["model"]["training"]
    learnt = training.get("trained_on_folds", ())
    return EvaluatedModel(
        name=document["model"]["name"],
        parameters=document["model"]["parameters"],
        measured=f"Measured on the {document['clips']} clips of fold {document['fold']}{_views(document)}.",
        sha256=document["model"]["sha256"],
        trained_on_folds=learnt,
        epochs=training.get("epochs"),
        seed=training.get("seed"),
        seconds=training.get("seconds"),
    )


def _one_a_fold(documents: Sequence[dict[str, Any]]) -> EvaluatedModel:
    first = documents[0]["model"]
    return EvaluatedModel(
        name=f"{len(documents)} models, one a fold",
        parameters=first["parameters"],
        measured=f"Every clip was heard by the model that had not learnt from its fold{_views(documents[0])}.",
        epochs=first["training"].get("epochs"),
        seed=first["training"].get("seed"),
    )


def _views(document: dict[str, Any]) -> str:
    return f", each clip heard in {document['views']} ways" if document["views"] > 1 else ""


def _listed(folds: Sequence[int]) -> str:
    """``5``; ``1 to 4``; ``1, 3``."""
    if len(folds) > 2 and list(folds) == list(range(folds[0], folds[-1] + 1)):
        return f"{folds[0]} to {folds[-1]}"
    return ", ".join(map(str, folds))


def _sound(clip: Clip) -> bytes:
    sound = load_audio(clip.path)
    return encode(sound.samples, sound.sample_rate, "MP3")
