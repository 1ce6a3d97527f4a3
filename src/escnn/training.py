"""Training, readable top to bottom. `train` yields `EpochMetrics` and leaves a run folder that can be resumed.

Every random draw is a function of (seed, epoch), so a run that was stopped after any epoch and resumed ends with the
same weights, bit for bit, as one that went straight through on the same machine.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from escnn import checkpoint, files, images, plots
from escnn.augment import augment
from escnn.checkpoint import MODEL_FILE, STATE_FILE, ModelCard
from escnn.config import TrainConfig, to_json
from escnn.dataset import Dataset, Features, split
from escnn.errors import DatasetError, EscnnError, ModelError, OutputError, UsageError, reason
from escnn.features import Normalization, normalize
from escnn.model import ResNet, multiply_adds, parameter_count
from escnn.optimization import choose_precision, make_optimizers, update_mean
from escnn.runs import Run

FOLLOWED_EPOCHS = 20  # how often in a run, at most, the held-out fold is looked at to draw its curve


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """What an epoch did: a row of ``metrics.csv``. Accuracies are shares of clips, 0..1; None: not looked at."""

    epoch: int
    loss: float
    train_accuracy: float  # on augmented, mixed clips, against the stronger of two labels: lower than it sounds
    validation_accuracy: float | None
    held_out_accuracy: float | None  # to look at; nothing is ever chosen by it
    learning_rate: float
    seconds: float
    cpu_seconds: float  # of all cores together
    clips_per_second: float


def train(
    run: Run,
    dataset: Dataset,
    features: Features,
    *,
    device: torch.device,
    command: Sequence[str] = (),
    on_batch: Callable[[int, int, int, float], None] | None = None,
) -> Iterator[EpochMetrics]:
    """Train in the folder of `run`, going on from its ``last.pt`` if there is one; at the end write the model.

    Args:
        run: folder and settings.
        dataset: clips and folds.
        features: the data set's log-mels, made with ``run.config.audio``.
        device: where to compute.
        command: as typed, for ``run.json``.
        on_batch: called with (epoch, steps done in it, steps in it, loss).

    Yields:
        The metrics of each epoch, once its state is safe on disk; first those of epochs that were done before.
    """
    learner = _Learner(run.config, dataset, features, device)
    state_path = run.folder / STATE_FILE
    if state_path.exists():
        learner.restore(checkpoint.load_state(state_path))
        yield from learner.history

    def write_status(status: str) -> None:
        details = {
            "device": str(device),
            "precision": _name(learner.precision),
            "threads": torch.get_num_threads(),
            "command": list(command),
        }
        run.write_status(status, data_digest=dataset.digest, **learner.progress(), **details)

    write_status("running")
    try:
        while len(learner.history) < run.config.epochs:
            metrics = learner.epoch(len(learner.history) + 1, on_batch)
            learner.history.append(metrics)
            checkpoint.save_state(state_path, learner.state())
            run.write_metrics([dataclasses.asdict(row) for row in learner.history])
            yield metrics
        network, chosen = learner.chosen()
        curves = plots.curves([dataclasses.asdict(row) for row in learner.history])
        files.write_bytes(run.folder / "curves.png", images.png_bytes(curves))
        checkpoint.save_model(run.folder / MODEL_FILE, network, learner.card(run.folder.name, chosen))
    except (GeneratorExit, KeyboardInterrupt):
        write_status("interrupted")
        raise
    except EscnnError:
        with suppress(OutputError):  # on a full disk the first failure is the one to tell
            write_status("failed")
        raise
    write_status("complete")


class _Learner:
    """A training under way: network, running mean of its weights, optimizer, schedule, and what happened so far."""

    def __init__(self, config: TrainConfig, dataset: Dataset, features: Features, device: torch.device) -> None:
        self.config, self.dataset, self.features, self.device = config, dataset, features, device
        self.split = split(dataset, config.fold, config.validation_fold)
        self.class_ids = torch.tensor([clip.class_id for clip in dataset.clips])
        position = {clip.name: index for index, clip in enumerate(dataset.clips)}
        self.train_windows, self.validation_windows, self.held_out_windows = (
            features.windows_of(torch.tensor([position[clip.name] for clip in part], dtype=torch.int32))
            for part in (self.split.train, self.split.validation, self.split.held_out)
        )
        self.normalization = measure_normalization(features, self.train_windows)
        with _seeded(config.seed, 0):
            self.network = ResNet(config.model, len(dataset.labels))
        self.network.to(device).to(memory_format=torch.channels_last)
        self.mean_network = copy.deepcopy(self.network) if config.ema_decay else None
        self.steps = math.ceil(len(self.train_windows) / config.batch_size)  # an epoch
        self.precision = choose_precision(config.precision, device)
        self.optimizers = make_optimizers(self.network, config)
        self.schedules = [
            torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                config.learning_rate,
                total_steps=config.epochs * self.steps,
                pct_start=config.warmup,
                cycle_momentum=isinstance(optimizer, torch.optim.AdamW),
            )
            for optimizer in self.optimizers
        ]
        self.step = 0
        self.history: list[EpochMetrics] = []
        self.best: dict[str, Any] | None = None  # {"epoch", "accuracy", "weights"} on the validation fold

    def epoch(self, number: int, on_batch: Callable[[int, int, int, float], None] | None) -> EpochMetrics:
        """One pass over the training clips."""
        started, cpu_started = time.perf_counter(), time.process_time()
        generator = torch.Generator(self.device).manual_seed(_seed(self.config.seed, number))
        order = self.train_windows[torch.randperm(len(self.train_windows), generator=_cpu_generator(generator))]
        self.network.train()
        loss_sum = hits = 0.0
        with _seeded(self.config.seed, number):  # for dropout, which only knows the global generator
            for done, windows in enumerate(torch.tensor_split(order, self.steps), start=1):
                loss, correct = self._step(windows, generator)
                if not math.isfinite(loss):
                    raise EscnnError(
                        f"the loss became {loss} in epoch {number}, batch {done}",
                        hint="try a lower --learning-rate; the state of the last epoch is kept",
                    )
                loss_sum, hits = loss_sum + loss * len(windows), hits + correct
                if on_batch:
                    on_batch(number, done, self.steps, loss)
        learned = time.perf_counter() - started
        validation = self._accuracy(self.validation_windows)
        if validation is not None and (self.best is None or validation > self.best["accuracy"]):
            weights = {name: tensor.cpu().clone() for name, tensor in self._reported().state_dict().items()}
            self.best = {"epoch": number, "accuracy": validation, "weights": weights}
        every = max(1, round(self.config.epochs / FOLLOWED_EPOCHS))
        follow = number % every == 0 or number == self.config.epochs
        return EpochMetrics(
            epoch=number,
            loss=loss_sum / len(order),
            train_accuracy=hits / len(order),
            validation_accuracy=validation,
            held_out_accuracy=self._accuracy(self.held_out_windows) if follow else None,
            learning_rate=float(self.schedules[0].get_last_lr()[0]),
            seconds=time.perf_counter() - started,
            cpu_seconds=time.process_time() - cpu_started,
            clips_per_second=len(order) / learned,
        )

    def _step(self, windows: Tensor, generator: torch.Generator) -> tuple[float, int]:
        """Learn from one batch; its loss and how many of its stronger labels were named."""
        config = self.config
        decibels = self.features.decibels[windows].to(self.device).float()  # (batch, mels, frames)
        targets = F.one_hot(self._targets(windows), len(self.dataset.labels)).float().to(self.device)
        decibels, targets = augment(
            decibels,
            targets,
            config.augment,
            floor_db=config.audio.floor_db,
            fill_db=self.normalization.mean_db,
            generator=generator,
            progress=self.step / (config.epochs * self.steps),
        )
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            logits = self.network(self._input(decibels))
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
        self.step += 1
        if self.mean_network is not None:
            update_mean(self.mean_network, self.network, config.ema_decay, self.step)
        return loss.item(), int((logits.argmax(1) == targets.argmax(1)).sum())

    def _targets(self, windows: Tensor) -> Tensor:
        return self.class_ids[self.features.clip[windows].long()]

    def _input(self, decibels: Tensor) -> Tensor:
        x = normalize(decibels, self.normalization)[:, None]  # (batch, 1, mels, frames)
        return x.contiguous(memory_format=torch.channels_last)

    def _reported(self) -> ResNet:
        """The network whose weights count: the running mean, or without one the last."""
        return self.network if self.mean_network is None else self.mean_network

    @torch.inference_mode()
    def _accuracy(self, windows: Tensor) -> float | None:
        """Share of clips named right, scores averaged over a clip's windows; None without clips."""
        if not len(windows):
            return None
        network = self._reported().eval()
        scores = [
            network(self._input(self.features.decibels[part].to(self.device).float())).softmax(1).cpu()
            for part in torch.split(windows, 64)
        ]
        owner = self.features.clip[windows].long()
        total = torch.zeros(len(self.class_ids), len(self.dataset.labels)).index_add_(0, owner, torch.cat(scores))
        clips = torch.unique(owner)
        return float((total[clips].argmax(1) == self.class_ids[clips]).float().mean())

    def chosen(self) -> tuple[ResNet, str]:
        """The network to keep, and in words how its epoch was chosen."""
        network = self._reported()
        if self.best is not None:
            network.load_state_dict(self.best["weights"])
            fold = self.config.validation_fold
            return network, f"epoch {self.best['epoch']}, the best on validation fold {fold}"
        kind = "running mean of the weights" if self.mean_network is not None else "weights"
        return network, f"{kind} after the last epoch"

    def card(self, name: str, chosen: str) -> ModelCard:
        """What the model file says of itself."""
        return ModelCard(
            name=name,
            labels=self.dataset.labels,
            audio=self.config.audio,
            model=self.config.model,
            normalization=self.normalization,
            training={
                "fold": self.config.fold or None,
                "validation_fold": self.config.validation_fold,
                "trained_on_folds": sorted({clip.fold for clip in self.split.train}),
                "clips": len(self.split.train),
                "epochs": self.config.epochs,
                "weights": chosen,
                "seed": self.config.seed,
                "precision": _name(self.precision),
                **self.cost(),
                "data_digest": self.dataset.digest,
                "config": to_json(self.config),
            },
        )

    def progress(self) -> dict[str, Any]:
        """How far it is, for ``run.json``."""
        return {"epochs_done": len(self.history), **self.cost()}

    def cost(self) -> dict[str, Any]:
        """What it took so far, and what one pass over one clip takes."""
        audio = self.config.audio
        return {
            "seconds": round(sum(row.seconds for row in self.history), 1),
            "cpu_seconds": round(sum(row.cpu_seconds for row in self.history), 1),
            "parameters": parameter_count(self.network),
            "multiply_adds": multiply_adds(self.network, audio.n_mels, audio.frames),
        }

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as types that `weights_only` loading allows."""
        return {
            "config": to_json(self.config),
            "data_digest": self.dataset.digest,
            "versions": checkpoint.versions(),
            "network": self.network.state_dict(),
            "mean_network": None if self.mean_network is None else self.mean_network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "step": self.step,
            "best": self.best,
            "history": [dataclasses.asdict(row) for row in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up where `state` was written; refuses another data set, other settings and other versions."""
        try:
            if state["data_digest"] != self.dataset.digest:
                raise DatasetError(
                    f"{self.dataset.root}: not the data set that this run began with",
                    hint="clips, classes or folds changed: point --data at the old one, or start a new run",
                )
            if changed := differences(state["config"], to_json(self.config)):
                raise UsageError(
                    f"config.json of the run was changed since it began: {', '.join(changed)}",
                    hint="put the old values back, or start a new run with --config",
                )
            if changed := differences(state["versions"], checkpoint.versions()):
                raise UsageError(
                    f"the run began with other versions: {', '.join(changed)}",
                    hint="install the old ones to end it as it began, or start a new run",
                )
            self.network.load_state_dict(state["network"])
            if self.mean_network is not None:
                self.mean_network.load_state_dict(state["mean_network"])
            for mine, kept in zip(self.optimizers, state["optimizers"], strict=True):
                mine.load_state_dict(kept)
            for schedule, kept in zip(self.schedules, state["schedules"], strict=True):
                schedule.load_state_dict(kept)
            self.step, self.best = int(state["step"]), state["best"]
            self.history = [EpochMetrics(**row) for row in state["history"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"{STATE_FILE}: not a state of this run ({reason(error)})", hint="start a new run"
            ) from error


def measure_normalization(features: Features, windows: Tensor) -> Normalization:
    """Mean and standard deviation, in dB, over the given windows."""
    total = squares = 0.0
    for part in torch.split(windows, 64):
        decibels = features.decibels[part].double()
        total, squares = total + float(decibels.sum()), squares + float(decibels.square().sum())
    count = len(windows) * features.decibels[0].numel()
    mean = total / count
    return Normalization(mean, max(1e-3, math.sqrt(max(0.0, squares / count - mean**2))))


def differences(old: Mapping[str, Any], new: Mapping[str, Any], within: str = "") -> list[str]:
    """What changed between two JSON objects, value by value: ``augment.gain_db was 8.0, is 6.0``."""
    found = []
    for key in [*old, *(key for key in new if key not in old)]:
        was, now = old.get(key), new.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            found += differences(was, now, f"{within}{key}.")
        elif was != now:
            found.append(f"{within}{key} was {json.dumps(was)}, is {json.dumps(now)}")
    return found


def _seed(seed: int, epoch: int) -> int:
    """A seed of its own for every epoch of every run."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:7], "big")


def _name(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")


def _cpu_generator(generator: torch.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(generator.initial_seed())


class _seeded:  # noqa: N801 - reads as a statement
    """While the block runs, torch's global generators start from (seed, epoch); then they are as they were."""

    def __init__(self, seed: int, epoch: int) -> None:
        self._seed = _seed(seed, epoch)
        self._fork = torch.random.fork_rng()

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error: Any) -> None:
        self._fork.__exit__(*error)
