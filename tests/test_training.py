import dataclasses
import json
import math
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import SMALL_AUDIO, SMALL_TRAINING

from escnn import checkpoint, optimization, runs, training
from escnn.config import TrainConfig
from escnn.dataset import Dataset, Features, load_features, open_dataset, split
from escnn.errors import DatasetError, EscnnError, ModelError, OutputError, UsageError
from escnn.model import ResNet
from escnn.muon import Muon
from escnn.runs import Run
from escnn.training import EpochMetrics

CPU = torch.device("cpu")


@pytest.fixture
def dataset(class_folders: Path) -> Dataset:
    return open_dataset(class_folders)


@pytest.fixture
def features(dataset: Dataset) -> Features:
    return load_features(dataset, SMALL_AUDIO)


def start(folder: Path, dataset: Dataset, features: Features, config: TrainConfig) -> Iterator[EpochMetrics]:
    return training.train(runs.create(folder, config, dataset.root), dataset, features, device=CPU)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load_model(folder)[0].state_dict()


def assert_equal_weights(first: Path, second: Path) -> None:
    mine, other = weights(first), weights(second)
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def assert_seed_decides(folder: Path, dataset: Dataset, features: Features) -> None:
    """One epoch twice with one seed gives the same weights, with another seed others."""
    config = dataclasses.replace(SMALL_TRAINING, epochs=1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        list(start(folder / name, dataset, features, dataclasses.replace(config, seed=seed)))
    assert_equal_weights(folder / "a", folder / "b")
    with pytest.raises(AssertionError):
        assert_equal_weights(folder / "a", folder / "c")


def test_it_learns_what_can_be_learnt(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    config = dataclasses.replace(SMALL_TRAINING, epochs=20)
    rows = list(start(tmp_path / "run", dataset, features, config))
    assert rows[-1].held_out_accuracy == 1.0  # three tones, far apart
    assert rows[-1].loss < rows[0].loss


def test_six_epochs_are_three_and_three_resumed_bit_for_bit(
    tmp_path: Path, dataset: Dataset, features: Features
) -> None:
    list(start(tmp_path / "straight", dataset, features, SMALL_TRAINING))
    stopped = start(tmp_path / "resumed", dataset, features, SMALL_TRAINING)
    for _ in range(3):
        next(stopped)
    stopped.close()
    assert json.loads((tmp_path / "resumed" / "run.json").read_text())["status"] == "interrupted"
    torch.manual_seed(12345)  # whatever else the process has drawn meanwhile
    _, (run,) = runs.reopen(tmp_path / "resumed")
    epochs = [row.epoch for row in training.train(run, dataset, features, device=CPU)]
    assert epochs == [1, 2, 3, 4, 5, 6]
    assert_equal_weights(tmp_path / "straight", tmp_path / "resumed")
    columns = ["epoch", "loss", "train_accuracy", "held_out_accuracy", "learning_rate"]
    straight, resumed = (pd.read_csv(tmp_path / name / "metrics.csv")[columns] for name in ("straight", "resumed"))
    pd.testing.assert_frame_equal(straight, resumed, check_exact=True)


def test_a_disk_that_fills_up_leaves_the_last_state_whole(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    resource = pytest.importorskip("resource")
    list(start(tmp_path / "straight", dataset, features, SMALL_TRAINING))
    stopped = start(tmp_path / "resumed", dataset, features, SMALL_TRAINING)
    next(stopped)
    stopped.close()
    state = tmp_path / "resumed" / "last.pt"
    kept = state.read_bytes()
    _, (run,) = runs.reopen(tmp_path / "resumed")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) // 2, limits[1]))  # EFBIG, as on a full disk ENOSPC
    try:
        with pytest.raises(OutputError, match=r"last\.pt: cannot be written") as caught:
            list(training.train(run, dataset, features, device=CPU))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.exit_code == 7
    assert state.read_bytes() == kept
    assert not list(state.parent.glob(".*.part"))
    assert json.loads((state.parent / "run.json").read_text())["status"] == "failed"
    list(training.train(run, dataset, features, device=CPU))
    assert_equal_weights(tmp_path / "straight", tmp_path / "resumed")


def test_the_seed_decides_the_weights(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    assert_seed_decides(tmp_path, dataset, features)


def test_the_seed_decides_order_and_augmentation_too(
    tmp_path: Path, dataset: Dataset, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SameStart:
        """In place of the seeded start of weights and dropout: the same for every seed."""

        def __init__(self, *_: int) -> None:
            torch.manual_seed(0)

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(training, "_seeded", SameStart)
    assert_seed_decides(tmp_path, dataset, features)


def test_muon_moves_convolutions_adamw_the_rest_and_nothing_is_left_out() -> None:
    network = ResNet(SMALL_TRAINING.model, 3)
    muon, adamw = optimization.make_optimizers(network, dataclasses.replace(SMALL_TRAINING, optimizer="muon"))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    by_muon, by_adamw = (
        {names[id(weight)] for group in optimizer.param_groups for weight in group["params"]}
        for optimizer in (muon, adamw)
    )
    assert isinstance(muon, Muon)
    assert {"layer1.block0.conv1.weight", "layer1.block0.conv2.weight"} <= by_muon
    assert {"conv1.conv.weight", "classify.weight", "classify.bias", "conv1.norm.weight"} <= by_adamw
    assert by_muon.isdisjoint(by_adamw)
    assert by_muon | by_adamw == set(names.values())
    no_decay = {names[id(weight)] for weight in adamw.param_groups[1]["params"]}
    assert adamw.param_groups[1]["weight_decay"] == 0.0
    assert {"classify.bias", "conv1.norm.weight"} <= no_decay
    assert "classify.weight" not in no_decay
    assert len(optimization.make_optimizers(network, dataclasses.replace(SMALL_TRAINING, optimizer="adamw"))) == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_precision_and_optimizer_learns(
    tmp_path: Path, dataset: Dataset, features: Features, precision: str, optimizer: str
) -> None:
    config = dataclasses.replace(SMALL_TRAINING, epochs=8, precision=precision, optimizer=optimizer)
    rows = list(start(tmp_path / "run", dataset, features, config))
    assert rows[-1].loss < 0.8 * rows[0].loss
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights(tmp_path / "run").values())


def test_augmentation_is_told_how_far_the_training_is(
    tmp_path: Path, dataset: Dataset, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    augment = training.augment

    def listening(*args: Any, progress: float, **kwargs: Any) -> Any:
        told.append(progress)
        return augment(*args, progress=progress, **kwargs)

    monkeypatch.setattr(training, "augment", listening)
    list(start(tmp_path / "run", dataset, features, SMALL_TRAINING))
    assert told == pytest.approx([step / len(told) for step in range(len(told))])


def test_precision_is_what_was_asked_for_and_auto_is_one_that_the_machine_has() -> None:
    assert optimization.choose_precision("float32", CPU) is torch.float32
    assert optimization.choose_precision("bfloat16", CPU) is torch.bfloat16
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert optimization.choose_precision("auto", CPU) is (torch.bfloat16 if fast else torch.float32)


def test_training_leaves_the_callers_random_numbers_alone(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    list(start(tmp_path / "run", dataset, features, dataclasses.replace(SMALL_TRAINING, epochs=1)))
    assert torch.equal(torch.rand(4), expected)


def test_the_parts_share_no_clip_and_the_held_out_fold_is_never_learnt(dataset: Dataset) -> None:
    parts = split(dataset, 2, 4)
    names = [{clip.name for clip in part} for part in (parts.train, parts.validation, parts.held_out)]
    assert len(set().union(*names)) == sum(map(len, names)) == 30
    assert {clip.fold for clip in parts.train} == {1, 3, 5}
    assert {clip.fold for clip in parts.held_out} == {2}
    assert {clip.fold for clip in parts.validation} == {4}


def test_the_held_out_fold_changes_nothing(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    """With wrong labels on the held-out fold, the same weights come out: nothing is learnt from it or chosen by it."""
    config = dataclasses.replace(SMALL_TRAINING, fold=3)
    wrong = dataclasses.replace(
        dataset,
        clips=tuple(
            dataclasses.replace(clip, class_id=(clip.class_id + 1) % 3) if clip.fold == 3 else clip
            for clip in dataset.clips
        ),
    )
    list(start(tmp_path / "right", dataset, features, config))
    list(start(tmp_path / "wrong", wrong, features, config))
    assert_equal_weights(tmp_path / "right", tmp_path / "wrong")


def test_with_a_validation_fold_the_best_epoch_on_it_is_kept(
    tmp_path: Path, dataset: Dataset, features: Features
) -> None:
    config = dataclasses.replace(SMALL_TRAINING, epochs=8, validation_fold=1)
    rows = list(start(tmp_path / "run", dataset, features, config))
    accuracies = [row.validation_accuracy or 0.0 for row in rows]
    best = accuracies.index(max(accuracies)) + 1
    training_card = checkpoint.load_model(tmp_path / "run")[1].training
    assert training_card["weights"] == f"epoch {best}, the best on validation fold 1"
    assert training_card["trained_on_folds"] == [2, 3, 4]


def test_without_a_validation_fold_the_last_epoch_is_kept(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    config = dataclasses.replace(SMALL_TRAINING, epochs=2, ema_decay=0.0)
    list(start(tmp_path / "run", dataset, features, config))
    state = checkpoint.load_state(tmp_path / "run" / "last.pt")
    kept = weights(tmp_path / "run")
    assert all(torch.equal(kept[name], state["network"][name]) for name in kept)
    assert checkpoint.load_model(tmp_path / "run")[1].training["weights"] == "weights after the last epoch"


def test_fold_zero_learns_from_everything(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    config = dataclasses.replace(SMALL_TRAINING, epochs=1, fold=0)
    (row,) = start(tmp_path / "run", dataset, features, config)
    assert row.held_out_accuracy is None
    card = checkpoint.load_model(tmp_path / "run")[1]
    assert card.training["trained_on_folds"] == [1, 2, 3, 4, 5]
    assert card.training["fold"] is None


def test_a_run_folder_holds_what_the_documentation_says(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    config = dataclasses.replace(SMALL_TRAINING, epochs=2)
    list(start(tmp_path / "run", dataset, features, config))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"config.json", "run.json", "metrics.csv", "last.pt", "model.safetensors", "curves.png"}
    status = json.loads((tmp_path / "run" / "run.json").read_text())
    assert status["status"] == "complete"
    assert status["epochs_done"] == 2
    assert status["data_digest"] == dataset.digest
    assert runs.read_config(tmp_path / "run" / "config.json") == config
    assert len(pd.read_csv(tmp_path / "run" / "metrics.csv")) == 2


def test_resuming_with_other_data_or_settings_is_refused(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    stopped = start(tmp_path / "run", dataset, features, SMALL_TRAINING)
    next(stopped)
    stopped.close()
    _, (run,) = runs.reopen(tmp_path / "run")
    other_seed = open_dataset(dataset.root, seed=5)  # other folds
    with pytest.raises(DatasetError, match="not the data set"):
        next(training.train(run, other_seed, features, device=CPU))
    gain = dataclasses.replace(run.config.augment, gain_db=1.5)
    changed = Run(run.folder, dataclasses.replace(run.config, learning_rate=0.5, augment=gain), run.data)
    with pytest.raises(UsageError, match=r"learning_rate was 0\.01, is 0\.5, augment\.gain_db was 8\.0, is 1\.5$"):
        next(training.train(changed, dataset, features, device=CPU))


def test_resuming_with_another_version_is_refused_by_its_name(
    tmp_path: Path, dataset: Dataset, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = start(tmp_path / "run", dataset, features, SMALL_TRAINING)
    next(stopped)
    stopped.close()
    _, (run,) = runs.reopen(tmp_path / "run")
    now = checkpoint.versions()
    monkeypatch.setattr(checkpoint, "versions", lambda: {**now, "torch": "9.9"})
    with pytest.raises(UsageError, match=rf'torch was "{re.escape(now["torch"])}", is "9\.9"$'):
        next(training.train(run, dataset, features, device=CPU))


def test_differences_are_named_value_by_value() -> None:
    old = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": "x"}
    assert training.differences(old, old) == []
    new = {"a": 1, "b": {"c": [1], "d": None}, "f": True}
    assert training.differences(old, new) == [
        "b.c was [1, 2], is [1]", 'e was "x", is null', "f was null, is true",
    ]  # fmt: skip


def test_a_state_of_another_network_is_refused(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    stopped = start(tmp_path / "run", dataset, features, SMALL_TRAINING)
    next(stopped)
    stopped.close()
    state = checkpoint.load_state(tmp_path / "run" / "last.pt")
    state["network"].pop("classify.bias")
    checkpoint.save_state(tmp_path / "run" / "last.pt", state)
    _, (run,) = runs.reopen(tmp_path / "run")
    with pytest.raises(ModelError, match="not a state of this run"):
        next(training.train(run, dataset, features, device=CPU))


def test_a_loss_that_is_no_number_stops_with_its_place(tmp_path: Path, dataset: Dataset, features: Features) -> None:
    broken = Features(features.decibels.clone(), features.clip)
    broken.decibels[:] = math.nan
    with pytest.raises(EscnnError, match="epoch 1, batch 1"):
        list(start(tmp_path / "run", dataset, broken, SMALL_TRAINING))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_normalisation_is_measured_on_training_clips_only(dataset: Dataset, features: Features) -> None:
    windows = torch.arange(10)
    measured = training.measure_normalization(features, windows)
    chosen = features.decibels[:10].double()
    assert measured.mean_db == pytest.approx(chosen.mean().item(), abs=1e-6)
    assert measured.std_db == pytest.approx(chosen.std(correction=0).item(), abs=1e-6)


def test_the_running_mean_is_the_textbook_formula_after_its_start() -> None:
    mean, now = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        mean.weight.fill_(1.0)
        now.weight.fill_(0.0)
    optimization.update_mean(mean, now, decay=0.9, step=10_000)
    assert mean.weight.item() == pytest.approx(0.9)
