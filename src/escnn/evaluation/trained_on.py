"""Which clips a model was trained on, and a data set in the folds that it had then."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from escnn.data import esc50
from escnn.data.dataset import Clip, Dataset, same_label
from escnn.data.folds import with_folds_dealt
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError
from escnn.model.card import ModelCard

ESC50_CLASSES = 50


def open_as_trained(root: Path, cards: Sequence[ModelCard], *, keeps_folds: bool = False) -> Dataset:
    """Open a data set for models that may have been trained on it, and say what changed since then.

    Clips that a model was trained on are in the folds that they had. Others, where the data set has no folds of its
    own, are in the test fold of the one model, or dealt to those of several. A data set that no model was trained on
    is in no fold: all of it is to be measured.

    Args:
        root: the data set.
        cards: of the models: one, or those of a cross-validation.
        keeps_folds: a data set's own folds stay, whether or not it was trained on.

    Raises:
        DatasetError: there is none, or it cannot be used.
    """
    card = cards[0]
    fold_of = {content: fold for card in cards for content, fold in _folds_by_content(card).items()}
    if not fold_of:
        with suppress(DatasetError):
            old = open_dataset(root, seed=card.seed, dealing="0.1.0")
            if old.digest == card.training.get("data_digest"):
                return old
    dataset = open_dataset(root, seed=card.seed)
    if fold_of.keys() & set(dataset.hashes.values()):
        if not dataset.has_own_folds:
            tested = sorted({card.record.fold or 0 for card in cards})
            dataset = with_folds_dealt(dataset, card.seed, fold_of, tested)
        _say_what_changed(dataset, cards)
        return dataset
    if not fold_of and _may_be_its_own(dataset, card):
        if not _is_of_esc50(card) and card.folds_seen:
            warnings.warn(
                "the data set is not as it was when the model was trained, by an escnn that did not note on which "
                "clips: it may have been trained on some of those measured",
                stacklevel=3,
            )
        return open_dataset(root, seed=card.seed, dealing="0.1.0")
    official = {clip.name: _official_fold(card, dataset, clip) for clip in dataset.clips}
    if dataset.has_own_folds and (keeps_folds or any(official.values())):
        return dataset
    return dataset.with_folds(official)


def clips_seen(card: ModelCard, dataset: Dataset) -> frozenset[str]:
    """Names of the clips of an open data set that a model was trained on, or that chose its epoch.

    They are known by what they hold, and those of ESC-50 by their names as well, since copies of it differ in the last
    bit. Of models that do not tell their clips, by their folds.
    """

    def is_seen(clip: Clip) -> bool:
        if official := _official_fold(card, dataset, clip):
            return official in card.folds_seen or dataset.hashes[clip.name] in card.clips_seen
        return dataset.hashes[clip.name] in contents if contents else clip.fold in card.folds_seen

    contents = card.clips_seen
    return frozenset(clip.name for clip in dataset.clips if is_seen(clip))


def _folds_by_content(card: ModelCard) -> dict[str, int]:
    """The folds of the clips that a model was trained on, by their hashes; none where it does not tell."""
    clips = card.record.clips
    if isinstance(clips, int):
        return {}
    return {content: int(fold) for fold, contents in clips.items() for content in contents}


def _official_fold(card: ModelCard, dataset: Dataset, clip: Clip) -> int:
    """The fold of an official clip of ESC-50 in whatever folder, for a model that knows ESC-50; 0 for other clips."""
    found = esc50.CLIP_NAME.fullmatch(f"{clip.path.stem}.wav")
    if found is None or len(card.labels) != ESC50_CLASSES:
        return 0
    # ESC-50 numbers its classes, and so do models of it.
    category = card.labels[int(found["target"])]
    return int(found["fold"]) if same_label(category) == same_label(dataset.labels[clip.class_id]) else 0


def _is_of_esc50(card: ModelCard) -> bool:
    return card.training.get("data_digest") == esc50.DIGEST_OF_0_1_0


def _may_be_its_own(dataset: Dataset, card: ModelCard) -> bool:
    """Whether a model that does not tell its clips may have been trained on some of these."""
    if _is_of_esc50(card) and not dataset.has_own_folds:
        return False
    return set(map(same_label, dataset.labels)) == set(map(same_label, card.labels))


def _say_what_changed(dataset: Dataset, cards: Sequence[ModelCard]) -> None:
    """Warn of clips that are gone, or new, since training."""
    if all(card.training.get("data_digest") == dataset.digest for card in cards):
        return
    trained_on = {content for card in cards for content in card.clips_seen}
    there = Counter(dataset.hashes.values())
    gone = len(trained_on - there.keys())
    others = sum(count for content, count in there.items() if content not in trained_on)
    text = f"the data set changed since training: {gone} clips that the model was trained on are gone"
    if len(cards) == 1 and cards[0].score:  # its test clips are not noted, but counted
        others -= cards[0].score.get("clips", 0)
    text += f", {others} are new" if others >= 0 else f", and {-others} of those that were tested"
    warnings.warn(text, stacklevel=4)
