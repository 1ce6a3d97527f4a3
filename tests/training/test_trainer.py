"""One training: what it learns from, what decides its weights, how it goes on."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, SMALL_MODEL, SMALL_TRAINING

from escnn.audio.log_mel import AudioConfig
from escnn.data.dataset import Dataset
from escnn.data.features import Features, load_features
from escnn.data.sources import open_dataset
from escnn.errors import ModelError, UsageError
from escnn.files import sha256_file
from escnn.model.model_file import Weights
from escnn.network.log_mel import TorchLogMel
from escnn.runs.settings import TrainConfig
from escnn.training import trainer as module
from escnn.training.trainer import Trainer
from escnn.training.windows import draw_windows, measure_normalization

CPU = torch.device("cpu")


@pytest.fixture
def dataset(class_folders: Path) -> Dataset:
    return open_dataset(class_folders)


def log_mels(dataset: Dataset, audio: AudioConfig) -> Features:
    log_mel = TorchLogMel(audio)
    return load_features(dataset, audio, lambda windows: log_mel(torch.from_numpy(windows))[:, 0].numpy())


@pytest.fixture
def features(dataset: Dataset) -> Features:
    return log_mels(dataset, SMALL_AUDIO)


def of(**changes: object) -> TrainConfig:
    return msgspec.structs.replace(SMALL_TRAINING, **changes)


def trained(config: TrainConfig, dataset: Dataset, features: Features) -> Trainer:
    trainer = Trainer(config, dataset, features, CPU)
    for _ in range(config.epochs):
        trainer.epoch()
    return trainer


def weights(trainer: Trainer) -> Weights:
    return trainer.final_model("run").weights


def same(first: Weights, second: Weights) -> bool:
    """Whether two networks are equal, bit for bit."""
    assert first.keys() == second.keys()
    return all(np.array_equal(first[name], second[name]) for name in first)


def seed_decides(dataset: Dataset, features: Features) -> bool:
    """Whether one epoch twice with one seed gives the same weights, and with another seed others."""
    first, again, other = (weights(trained(of(epochs=1, seed=seed), dataset, features)) for seed in (0, 0, 1))
    return same(first, again) and not same(first, other)


def test_it_learns_what_can_be_learnt(dataset: Dataset, features: Features) -> None:
    history = trained(of(epochs=20), dataset, features).history
    assert history[-1].held_out_accuracy == 1.0  # three tones, far apart
    assert history[-1].loss < history[0].loss


def test_the_seed_decides_the_weights(dataset: Dataset, features: Features) -> None:
    assert seed_decides(dataset, features)


def test_the_seed_decides_order_and_augmentation_too(
    dataset: Dataset, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def same_start(*_: int) -> Iterator[None]:
        """In place of the seeded start of weights and dropout: the same for every seed."""
        torch.manual_seed(0)
        yield

    monkeypatch.setattr(module, "seeded", same_start)
    assert seed_decides(dataset, features)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_precision_and_optimizer_learns(
    dataset: Dataset, features: Features, precision: str, optimizer: str
) -> None:
    trainer = trained(of(epochs=8, precision=precision, optimizer=optimizer), dataset, features)
    assert trainer.history[-1].loss < 0.8 * trainer.history[0].loss
    assert {array.dtype for array in weights(trainer).values()} == {np.dtype("float32"), np.dtype("int64")}
    assert trainer.final_model("run").card.training["precision"] == precision


def test_augmentation_is_told_how_far_the_training_is(
    dataset: Dataset, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    augment = module.augment

    def listening(*args: Any, progress: float, **kwargs: Any) -> Any:
        told.append(progress)
        return augment(*args, progress=progress, **kwargs)

    monkeypatch.setattr(module, "augment", listening)
    trained(SMALL_TRAINING, dataset, features)
    assert told == pytest.approx([step / len(told) for step in range(len(told))])


def test_training_leaves_the_callers_random_numbers_alone(dataset: Dataset, features: Features) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    trained(of(epochs=1), dataset, features)
    assert torch.equal(torch.rand(4), expected)


def with_long_clip(features: Features, windows: int) -> Features:
    """The first clip so long that it has so many windows; all others have one."""
    chosen = np.concatenate([np.zeros(windows, dtype=np.int64), np.arange(1, len(features.clip))])
    return Features(features.decibels[chosen], features.clip[chosen])


def test_a_long_clip_counts_no_more_than_a_short_one(
    dataset: Dataset, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    augment = module.augment

    def counting(decibels: torch.Tensor, targets: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(targets)
        return augment(decibels, targets, *args, **kwargs)

    monkeypatch.setattr(module, "augment", counting)
    trained(of(epochs=2, fold=0), dataset, with_long_clip(features, 120))
    assert torch.cat(seen).sum(0).tolist() == [20.0, 20.0, 20.0]  # two epochs of ten clips a class


def test_every_window_of_equally_long_clips_is_learnt_from_once_an_epoch() -> None:
    owner = torch.tensor([0] * 5 + [2] * 5 + [3] * 5)
    drawn = [draw_windows(owner, torch.Generator().manual_seed(seed)).tolist() for seed in (0, 0, 1)]
    assert sorted(drawn[0]) == list(range(15))
    assert drawn[0] == drawn[1] != drawn[2]


def test_in_the_course_of_epochs_all_of_a_long_clip_is_drawn() -> None:
    owner = torch.tensor([0] * 40 + [1, 2])
    drawn = [draw_windows(owner, torch.Generator().manual_seed(seed)).tolist() for seed in range(400)]
    assert {len(windows) for windows in drawn} == {3}
    assert {window for windows in drawn for window in windows} == set(range(42))


def test_a_run_begun_when_an_epoch_had_other_steps_follows_the_schedule_to_its_end(
    dataset: Dataset, features: Features
) -> None:
    config = of(epochs=4, ema_decay=0.0)
    trainer, restored = (Trainer(config, dataset, features, CPU) for _ in range(2))
    trainer.epoch()
    trainer.epoch()
    restored.restore({**trainer.state(), "step": 500})  # of windows: there was a long clip
    restored.epoch()
    assert restored.epoch().learning_rate == pytest.approx(0.01 / 25 / 1e4)


def test_the_card_holds_the_hashes_of_the_clips_that_were_learnt_from(dataset: Dataset, features: Features) -> None:
    card = Trainer(of(fold=2, validation_fold=4), dataset, features, CPU).final_model("run").card
    hashes = {fold: sorted(sha256_file(clip.path) for clip in dataset.fold(fold)) for fold in (1, 3, 4, 5)}
    assert {int(fold): sorted(found) for fold, found in card.training["clips"].items()} == hashes
    assert card.training_summary["clips"] == 18


def test_the_test_fold_changes_nothing(dataset: Dataset, features: Features) -> None:
    """With wrong labels on the test fold, the same weights come out: nothing is learnt from it or chosen by it."""
    wrong = dataclasses.replace(
        dataset,
        clips=tuple(
            dataclasses.replace(clip, class_id=(clip.class_id + 1) % 3) if clip.fold == 3 else clip
            for clip in dataset.clips
        ),
    )
    right, other = (trained(of(fold=3), data, features) for data in (dataset, wrong))
    assert same(weights(right), weights(other))
    assert right.history[-1].held_out_accuracy != other.history[-1].held_out_accuracy


def test_with_a_validation_fold_the_best_epoch_on_it_is_kept(dataset: Dataset, features: Features) -> None:
    trainer = trained(of(epochs=8, validation_fold=1), dataset, features)
    accuracies = [row.validation_accuracy or 0.0 for row in trainer.history]
    best = accuracies.index(max(accuracies)) + 1
    record = trainer.final_model("run").card.training
    assert record["weights"] == f"epoch {best}, the best on validation fold 1"
    assert record["trained_on_folds"] == [2, 3, 4]
    until_best = Trainer(of(epochs=8, validation_fold=1), dataset, features, CPU)
    for _ in range(best):
        until_best.epoch()
    assert same(weights(trainer), weights(until_best))


def test_the_best_epoch_so_far_is_part_of_the_state(dataset: Dataset, features: Features) -> None:
    config = of(validation_fold=1)
    trainer, restored = (Trainer(config, dataset, features, CPU) for _ in range(2))
    trainer.epoch()
    restored.restore(trainer.state())
    assert restored.final_model("run").card == trainer.final_model("run").card
    assert same(weights(restored), weights(trainer))


def test_without_a_validation_fold_the_last_epoch_is_kept(dataset: Dataset, features: Features) -> None:
    trainer = trained(of(epochs=2, ema_decay=0.0), dataset, features)
    last = {name: tensor.numpy() for name, tensor in trainer.network.state_dict().items()}
    assert same(weights(trainer), last)
    assert trainer.final_model("run").card.training["weights"] == "weights after the last epoch"
    averaged = trained(of(epochs=2), dataset, features).final_model("run").card
    assert averaged.training["weights"] == "moving average of the weights after the last epoch"


def test_fold_zero_learns_from_everything(dataset: Dataset, features: Features) -> None:
    trainer = trained(of(epochs=1, fold=0), dataset, features)
    assert trainer.history[0].held_out_accuracy is None
    card = trainer.final_model("run").card
    assert card.training["trained_on_folds"] == [1, 2, 3, 4, 5]
    assert card.training_summary["clips"] == 30
    assert card.training["fold"] is None


def test_the_learning_rate_of_an_epoch_is_that_of_its_last_step(dataset: Dataset, features: Features) -> None:
    """24 windows in batches of 8: of 6 steps the third is the last of the first epoch, the sixth that of all."""
    trainer = trained(of(epochs=2, warmup=0.0), dataset, features)
    first, last = (row.learning_rate for row in trainer.history)
    assert first == pytest.approx(0.01 * (1 + math.cos(math.pi / 2)) / 2, rel=1e-3)
    assert last == pytest.approx(0.01 / 25 / 1e4)


@pytest.mark.parametrize(
    ("epochs", "batch_size", "warmup"),
    [(10, 32, 0.1), (5, 16, 0.1), (1, 32, 0.1), (1, 32, 0.0), (1, 32, 0.9), (2, 32, 0.5), (1, 2, 0.0), (3, 7, 0.25)],
)
def test_any_small_number_of_steps_learns(
    dataset: Dataset, features: Features, epochs: int, batch_size: int, warmup: float
) -> None:
    config = of(epochs=epochs, batch_size=batch_size, warmup=warmup, ema_decay=0.0)
    start = weights(Trainer(config, dataset, features, CPU))
    end = weights(trained(config, dataset, features))
    moved = np.abs(end["classify.weight"] - start["classify.weight"]).max()
    assert moved > 1e-3


@pytest.mark.parametrize("clips", [1, 2])
def test_two_classes_of_a_clip_or_two_train(dataset: Dataset, features: Features, clips: int) -> None:
    first = [clip for clip in dataset.clips if clip.class_id < 2 and clip.name.split("/")[1] < f"{clips}.wav"]
    clips_of_fold_1 = tuple(dataclasses.replace(clip, fold=1) for clip in first)
    few = dataclasses.replace(dataset, labels=dataset.labels[:2], clips=clips_of_fold_1, has_own_folds=True)
    position = {clip.name: index for index, clip in enumerate(dataset.clips)}
    chosen = features.windows_of(np.array([position[clip.name] for clip in few.clips]))
    log_mel = Features(features.decibels[chosen], np.arange(len(chosen), dtype=np.int32))
    trainer = trained(of(epochs=2, fold=0, batch_size=2), few, log_mel)
    assert len(few.clips) == len(chosen) == 2 * clips
    assert all(math.isfinite(row.loss) for row in trainer.history)


def test_windows_that_end_in_a_single_cell_train_in_any_number(dataset: Dataset) -> None:
    """23 windows in batches of 2 would leave one alone, whose batch norm has no deviation."""
    audio = msgspec.structs.replace(SMALL_AUDIO, clip_seconds=0.1, n_mels=8)
    odd = dataclasses.replace(dataset, clips=dataset.clips[1:])
    cut = log_mels(dataset, audio)  # five windows of each clip
    one_each = np.array([np.flatnonzero(cut.clip == index)[0] for index in range(1, 30)])
    features = Features(cut.decibels[one_each], np.arange(29, dtype=np.int32))
    trainer = trained(of(epochs=1, batch_size=2, fold=0, audio=audio), odd, features)
    assert math.isfinite(trainer.history[0].loss)


def test_short_windows_train_the_same_twice(dataset: Dataset) -> None:
    """Where a feature map is one frame wide, bfloat16 would learn from whatever is in memory."""
    audio = msgspec.structs.replace(SMALL_AUDIO, clip_seconds=0.1)
    model = msgspec.structs.replace(SMALL_MODEL, widths=(8, 16, 16), depths=(1, 1, 1))
    config = of(epochs=2, audio=audio, model=model)
    features = log_mels(dataset, audio)
    first, *others = (weights(trained(config, dataset, features)) for _ in range(3))
    assert all(same(first, other) for other in others)
    assert all(np.isfinite(array).all() for array in first.values())


def test_a_loss_that_is_no_number_stops_with_its_place(dataset: Dataset, features: Features) -> None:
    broken = Features(np.full_like(features.decibels, np.nan), features.clip)
    with pytest.raises(UsageError, match="epoch 1, batch 1"):
        Trainer(SMALL_TRAINING, dataset, broken, CPU).epoch()


def test_normalization_is_measured_on_the_windows_given_only(features: Features) -> None:
    measured = measure_normalization(features, torch.arange(10))
    chosen = features.decibels[:10].astype(np.float64)
    assert measured.mean_db == pytest.approx(chosen.mean(), abs=1e-6)
    assert measured.std_db == pytest.approx(chosen.std(), abs=1e-6)


def test_a_model_is_normalized_by_its_training_clips(dataset: Dataset, features: Features) -> None:
    trainer = Trainer(of(fold=2, validation_fold=4), dataset, features, CPU)
    learnt = [index for index, clip in enumerate(dataset.clips) if clip.fold in (1, 3, 5)]
    expected = measure_normalization(features, torch.from_numpy(features.windows_of(np.array(learnt))))
    assert trainer.final_model("run").card.normalization == expected


def test_a_state_of_another_network_is_refused(dataset: Dataset, features: Features) -> None:
    trainer = Trainer(SMALL_TRAINING, dataset, features, CPU)
    state = trainer.state()
    state["network"].pop("classify.bias")
    with pytest.raises(ModelError, match="not a state of this run"):
        trainer.restore(state)
