"""One training, readable top to bottom.

Every random draw is a function of (seed, epoch), so a run that was stopped after any epoch and resumed ends with the
same weights, bit for bit, as one that went straight through on the same machine.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from escnn.audio.log_mel import normalize
from escnn.config import to_json
from escnn.data.dataset import Clip, Dataset
from escnn.data.features import FEATURES_VERSION, Features
from escnn.data.folds import split
from escnn.errors import ModelError, UsageError, reason
from escnn.model import architecture
from escnn.model.card import ModelCard
from escnn.model.model_file import ModelFile
from escnn.network.resnet import ResNet
from escnn.network.runtime import network_weights, versions
from escnn.runs.run import EpochMetrics
from escnn.runs.settings import TrainConfig
from escnn.training.augmentation import augment
from escnn.training.frames.mixtures import Windows
from escnn.training.frames.trainer import FrameTrainer
from escnn.training.optimizers import choose_precision, follow_schedule, make_optimizers, update_ema
from escnn.training.state import STATE_FILE, check_unchanged, seed_of, seeded
from escnn.training.windows import draw_windows, measure_normalization

FOLLOWED_EPOCHS = 20  # how often in a run, at most, the test fold is looked at to draw its curve


class Trainer:
    """A training under way: network, moving average of its weights, optimizers, and what happened so far."""

    def __init__(self, config: TrainConfig, dataset: Dataset, features: Features, device: torch.device) -> None:
        """Begin a training.

        Args:
            config: its settings.
            dataset: clips and folds.
            features: the data set's log-mels, made with ``config.audio``.
            device: where to compute.
        """
        self.config, self.dataset, self.features, self.device = config, dataset, features, device
        self.precision = choose_precision(config, device)
        self.split = split(dataset, config.fold, config.validation_fold)
        self.class_ids = torch.tensor([clip.class_id for clip in dataset.clips])
        self.owner = torch.from_numpy(features.clip.astype(np.int64))  # (windows,), the clip that each is from
        self.train_windows, self.validation_windows, self.test_windows = map(
            self._windows_of, (self.split.train, self.split.validation, self.split.test)
        )
        learned = {clip.fold for clip in (*self.split.train, *self.split.validation)}
        hashes = getattr(dataset, "hashes_by_fold", None)  # taken now: clips may go away meanwhile
        self.clips = (
            {str(fold): list(found) for fold, found in hashes(sorted(learned)).items()}
            if hashes
            else len(self.split.train)
        )
        self.normalization = measure_normalization(features, self.train_windows)
        with seeded(config.seed, 0):
            self.network = ResNet(config.model, len(dataset.labels))
        self.network.to(device).to(memory_format=torch.channels_last)
        self.ema_model = copy.deepcopy(self.network) if config.ema_decay else None
        self.optimizers = make_optimizers(self.network, config)
        drawn = len(draw_windows(self.owner[self.train_windows], torch.Generator()))
        self.epoch_steps = math.ceil(drawn / config.batch_size)
        *_, last = architecture.convolutions(config.model)
        if last.map_size(config.audio.n_mels, config.audio.frames) == (1, 1):
            # Batch norm needs two values of a channel, so that no batch may be a single window.
            self.epoch_steps = min(self.epoch_steps, drawn // 2)
        self.steps = config.epochs * self.epoch_steps
        self.step = 0
        self.history: list[EpochMetrics] = []
        self.best: dict[str, Any] | None = None  # {"epoch", "accuracy", "weights"} on the validation fold

    def epoch(self, on_step: Callable[[int, int], None] | None = None) -> EpochMetrics:
        """One more pass over the training clips, see `draw_windows`; its metrics are added to `history`.

        Args:
            on_step: called with (steps done, steps of the whole training).

        Raises:
            EscnnError: the loss is no number.
        """
        config, number = self.config, len(self.history) + 1
        started, cpu_started = time.perf_counter(), time.process_time()
        seed = seed_of(config.seed, number)
        generator = torch.Generator(self.device).manual_seed(seed)
        drawn = draw_windows(self.owner[self.train_windows], torch.Generator().manual_seed(seed))
        self.network.train()
        loss_sum = hits = rate = 0.0
        with seeded(config.seed, number):  # for dropout, which only knows the global generator
            for done, windows in enumerate(torch.tensor_split(self.train_windows[drawn], self.epoch_steps), start=1):
                rate = follow_schedule(self.optimizers, config.learning_rate, config.warmup, self.step, self.steps)
                loss, correct = self._step(windows, generator)
                if not math.isfinite(loss):
                    raise UsageError(
                        f"the loss became {loss} in epoch {number}, batch {done}",
                        hint="try a lower --learning-rate; the state of the last epoch is kept",
                    )
                loss_sum, hits = loss_sum + loss * len(windows), hits + correct
                if on_step:
                    on_step(self.step, self.steps)
        clips_per_second = len(drawn) / (time.perf_counter() - started)
        validation = self._accuracy(self.validation_windows)
        if validation is not None and (self.best is None or validation > self.best["accuracy"]):
            weights = {name: tensor.cpu().clone() for name, tensor in self._reported().state_dict().items()}
            self.best = {"epoch": number, "accuracy": validation, "weights": weights}
        follow = number % max(1, round(config.epochs / FOLLOWED_EPOCHS)) == 0 or number == config.epochs
        metrics = EpochMetrics(
            epoch=number,
            loss=loss_sum / len(drawn),
            train_accuracy=hits / len(drawn),
            validation_accuracy=validation,
            held_out_accuracy=self._accuracy(self.test_windows) if follow else None,
            learning_rate=rate,
            seconds=time.perf_counter() - started,
            cpu_seconds=time.process_time() - cpu_started,
            clips_per_second=clips_per_second,
        )
        self.history.append(metrics)
        return metrics

    def _step(self, windows: Tensor, generator: torch.Generator) -> tuple[float, int]:
        """Learn from one batch of windows; its loss and how many of its stronger labels were named."""
        config = self.config
        targets = F.one_hot(self.class_ids[self.owner[windows]], len(self.dataset.labels)).float().to(self.device)
        decibels, targets = augment(
            self._decibels(windows),
            targets,
            config.augment,
            floor_db=config.audio.floor_db,
            fill_db=self.normalization.mean_db,
            generator=generator,
            progress=self.step / self.steps,
        )
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            logits = self.network(self._input(decibels))  # (batch, classes)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        if self.ema_model is not None:
            update_ema(self.ema_model, self.network, config.ema_decay, self.step)
        return loss.item(), int((logits.argmax(1) == targets.argmax(1)).sum())

    def _windows_of(self, clips: tuple[Clip, ...]) -> Tensor:
        """Indices of the windows of some clips, (windows,)."""
        names = {clip.name for clip in clips}
        chosen = [index for index, clip in enumerate(self.dataset.clips) if clip.name in names]
        return torch.from_numpy(self.features.windows_of(np.array(chosen, dtype=np.int32)))

    def _decibels(self, windows: Tensor) -> Tensor:
        """Log-mels of some windows, (batch, mels, frames)."""
        return torch.from_numpy(self.features.decibels[windows.numpy()]).to(self.device).float()

    def _input(self, decibels: Tensor) -> Tensor:
        x = normalize(decibels, self.normalization)[:, None]  # (batch, 1, mels, frames)
        return x.contiguous(memory_format=torch.channels_last)

    def _reported(self) -> ResNet:
        """The network whose weights count: the moving average, or without one the last."""
        return self.network if self.ema_model is None else self.ema_model

    @torch.inference_mode()
    def _accuracy(self, windows: Tensor) -> float | None:
        """Share of clips named right, scores averaged over a clip's windows; None without clips."""
        if not len(windows):
            return None
        network = self._reported().eval()
        scores = [network(self._input(self._decibels(part))).softmax(1).cpu() for part in torch.split(windows, 64)]
        owner = self.owner[windows]
        total = torch.zeros(len(self.class_ids), len(self.dataset.labels)).index_add_(0, owner, torch.cat(scores))
        clips = torch.unique(owner)
        return float((total[clips].argmax(1) == self.class_ids[clips]).float().mean())

    def final_network(self) -> ResNet:
        """The network to keep: of the best epoch on the validation fold, or without one of the last."""
        network = self._reported()
        if self.best is not None:
            network.load_state_dict(self.best["weights"])
        return network

    def final_model(self, name: str, head: FrameTrainer | None = None) -> ModelFile:
        """The model to keep, called `name`, with the frame head that was trained on it."""
        if self.best is not None:
            chosen = f"epoch {self.best['epoch']}, the best on validation fold {self.config.validation_fold}"
        else:
            chosen = f"{'weights' if self.ema_model is None else 'moving average of the weights'} after the last epoch"
        card = ModelCard(
            name=name,
            labels=self.dataset.labels,
            audio=self.config.audio,
            model=self.config.model,
            normalization=self.normalization,
            training={
                "fold": self.config.fold or None,
                "validation_fold": self.config.validation_fold,
                "trained_on_folds": sorted({clip.fold for clip in self.split.train}),
                "clips": self.clips,
                "epochs": self.config.epochs,
                "weights": chosen,
                "seed": self.config.seed,
                "precision": self.precision_name,
                **self.cost(),
                "data_digest": self.dataset.digest,
                "config": to_json(self.config),
            },
            versions=versions(),
            frames=None if head is None else head.record(),
        )
        return ModelFile(card, network_weights(self.final_network(), None if head is None else head.head))

    def frame_trainer(self) -> FrameTrainer:
        """The phase that follows: a frame head on the network to keep, on the clips that it was trained on."""
        windows = self.train_windows.numpy()
        return FrameTrainer(
            self.config,
            self.final_network(),
            self.normalization,
            Windows(self.features.decibels, windows, self.class_ids.numpy()[self.features.clip[windows]]),
            self.dataset.labels,
            self.device,
            self.precision,
        )

    @property
    def precision_name(self) -> str:
        """In what convolutions are computed, such as ``bfloat16``."""
        return str(self.precision).removeprefix("torch.")

    @property
    def machine(self) -> dict[str, Any]:
        """What of the machine decides the last digits."""
        return {"precision": self.precision_name, "threads": torch.get_num_threads()}

    def cost(self) -> dict[str, Any]:
        """What it took so far, and what one pass over one clip takes."""
        audio, model, classes = self.config.audio, self.config.model, len(self.dataset.labels)
        return {
            "seconds": round(sum(row.seconds for row in self.history), 1),
            "cpu_seconds": round(sum(row.cpu_seconds for row in self.history), 1),
            "parameters": architecture.parameter_count(model, classes),
            "multiply_adds": architecture.multiply_adds(model, classes, audio.n_mels, audio.frames),
        }

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as types that `weights_only` loading allows; keys are those of 0.1.0."""
        return {
            "config": to_json(self.config),
            "data_digest": self.dataset.digest,
            "versions": versions(),
            "features_version": FEATURES_VERSION,
            "network": self.network.state_dict(),
            "mean_network": None if self.ema_model is None else self.ema_model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "best": self.best,
            "history": [dataclasses.asdict(row) for row in self.history],
        }

    def restore(self, state: dict[str, Any], *, allow_other_versions: bool = False) -> list[str]:
        """Take up where `state` was written; refuses another data set, other settings and another torch.

        Returns:
            Why it will not end bit for bit as it would have; see `check_unchanged`.

        Raises:
            DatasetError, UsageError: see `check_unchanged`.
            ModelError: it is not a state of this training.
        """
        try:
            notes = check_unchanged(state, self.config, self.dataset, allow_other_versions=allow_other_versions)
            self.network.load_state_dict(state["network"])
            if self.ema_model is not None:
                self.ema_model.load_state_dict(state["mean_network"])
            for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
            self.best = state["best"]
            self.history = [EpochMetrics(**row) for row in state["history"]]
            self.step = len(self.history) * self.epoch_steps  # 0.1.0 had more steps an epoch where clips were long
            return notes
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"{STATE_FILE}: not a state of this run ({reason(error)})", hint="start a new run"
            ) from error
