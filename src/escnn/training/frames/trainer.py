"""The last phase of a training: a frame head on the finished network, taught on mixtures of the training clips.

The network is frozen, so that what it says of a window stays what it was to the last digit. Every draw is a function of
(seed, epoch): a phase that was stopped and resumed ends with the same head, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.typing import NDArray
from torch import Tensor

from escnn.audio.log_mel import Normalization, normalize
from escnn.errors import ModelError, UsageError, reason
from escnn.model.frames import EventSettings, FrameRecord, geometry
from escnn.network.frame_head import FrameHead, last_stages
from escnn.network.resnet import ResNet
from escnn.runs.settings import FramesConfig, TrainConfig
from escnn.training.frames.mixtures import Mixtures, Windows
from escnn.training.frames.other_sounds import COUNT, OTHER_SECONDS, other_sounds
from escnn.training.muon import Muon
from escnn.training.optimizers import follow_schedule
from escnn.training.state import STATE_FILE, seed_of, seeded

AT_ONCE = 16  # mixtures that the network is shown together
DRAWING_THREADS = 2
MIXING = ("fine.weight", "coarse.weight", "mix.weight")
MOST_MIXTURES = 2048  # in an epoch, so that memory suffices

Array = NDArray[np.float32]


class FrameTrainer:
    """A frame head that learns, on a network that does not."""

    def __init__(
        self,
        config: TrainConfig,
        network: ResNet,
        normalization: Normalization,
        windows: Windows,
        labels: Sequence[str],
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        """Begin the phase.

        Args:
            config: the settings of the whole training.
            network: as it will be kept, on `device`.
            normalization: of its input.
            windows: those that it was trained on, to mix.
            labels: of the classes.
            device: where to compute.
            precision: in which the network computes.
        """
        self.config, self.network, self.device, self.precision = config, network.eval(), device, precision
        self._normalization = normalization
        settings = config.frames
        self._mixtures = Mixtures(windows, len(labels), config.audio)
        self._others = other_sounds(config.audio, OTHER_SECONDS, tuple(labels), config.seed)
        with seeded(config.seed, "frame head"):
            self.head = FrameHead(config.model, settings.head, len(labels), config.audio.n_mels, settings.dropout)
        self.head.to(device)
        self.optimizers = _optimizers(self.head, settings)
        self.epoch_steps = max(1, math.ceil(min(MOST_MIXTURES, len(windows)) / settings.batch_size)) * settings.passes
        self.steps = settings.epochs * self.epoch_steps
        self.losses: list[float] = []  # an epoch, a frame, summed over classes, in nats
        self.seconds = 0.0

    def epoch(self, on_step: Callable[[int, int], None] | None = None) -> float:
        """Draw mixtures, see what the network makes of them, and teach the head on that; gives the mean loss.

        Args:
            on_step: called with (steps done, steps of the whole phase).

        Raises:
            UsageError: the loss is no number.
        """
        began, number, settings = time.perf_counter(), len(self.losses) + 1, self.config.frames
        shown = self._shown(number)
        generator = torch.Generator().manual_seed(seed_of(self.config.seed, f"frames {number}"))
        step = (number - 1) * self.epoch_steps
        total = 0.0
        self.head.train()
        with seeded(self.config.seed, f"frames {number}"):  # for dropout
            for _ in range(settings.passes):
                order = torch.randperm(len(shown.targets), generator=generator)
                for chosen in torch.tensor_split(order, self.epoch_steps // settings.passes):
                    follow_schedule(self.optimizers, settings.learning_rate, self.config.warmup, step, self.steps)
                    loss = self._step(shown, chosen)
                    if not math.isfinite(loss):
                        raise UsageError(
                            f"the loss of the frame head became {loss}", hint="try a lower frames.learning_rate"
                        )
                    total, step = total + loss, step + 1
                    if on_step:
                        on_step(step, self.steps)
        self.losses.append(total / self.epoch_steps)
        self.seconds += time.perf_counter() - began
        return self.losses[-1]

    def _step(self, shown: _Shown, chosen: Tensor) -> float:
        """Learn from some of the mixtures; gives their loss."""
        rows, mean, targets = (part[chosen].to(self.device).float() for part in (shown.rows, shown.mean, shown.targets))
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            logits = self.head(rows, mean)  # (batch, classes, frames)
        losses = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
        loss = losses.sum(dim=1).mean()
        self.head.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()
        return float(loss.item())

    @torch.inference_mode()
    def _shown(self, epoch: int) -> _Shown:
        """What the network makes of the mixtures of an epoch."""
        count = min(MOST_MIXTURES, len(self._mixtures.windows))
        parts = []
        for decibels, targets in self._drawn(epoch, count):
            x = normalize(torch.from_numpy(decibels).to(self.device), self._normalization)[:, None]
            with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                rows, mean = last_stages(self.network, x.contiguous(memory_format=torch.channels_last))
            parts.append((rows.half().cpu(), mean.half().cpu(), torch.from_numpy(targets)))
        return _Shown(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _drawn(self, epoch: int, count: int) -> Iterator[tuple[Array, Array]]:
        """The mixtures of an epoch, some at once: log-mels (batch, mels, frames), targets (batch, classes, frames of
        the head). Drawn in threads, ahead of the network.
        """
        stride = geometry(self.config.model, self.config.frames.head).stride

        def draw(number: int) -> tuple[Array, Array]:
            rng = np.random.default_rng([seed_of(self.config.seed, f"mixtures {epoch}"), number])
            decibels, targets = self._mixtures.draw(rng, self._others, self.config.frames.nothing)
            return decibels, averaged(targets, stride)

        with ThreadPoolExecutor(DRAWING_THREADS) as pool:
            waiting = deque(pool.submit(draw, number) for number in range(min(count, 2 * AT_ONCE)))
            for start in range(0, count, AT_ONCE):
                drawn = [waiting.popleft().result() for _ in range(min(AT_ONCE, count - start))]
                later = range(count)[start + 2 * AT_ONCE : start + 3 * AT_ONCE]
                waiting.extend(pool.submit(draw, number) for number in later)
                decibels, targets = zip(*drawn, strict=True)
                yield np.stack(decibels), np.stack(targets)

    def record(self) -> FrameRecord:
        """What the model file says of the head."""
        settings = self.config.frames
        training = {
            "epochs": settings.epochs,
            "mixtures": settings.epochs * min(MOST_MIXTURES, len(self._mixtures.windows)),
            "seconds": round(self.seconds, 1),
            "loss": self.losses[-1],
            "speech": len(self._others) > COUNT,
        }
        return FrameRecord(settings.head, EventSettings(), training)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as types that `weights_only` loading allows."""
        return {
            "head": self.head.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "losses": self.losses,
            "seconds": self.seconds,
            "others": len(self._others),
        }

    def restore(self, state: dict[str, Any]) -> list[str]:
        """Take up where `state` was written.

        Returns:
            Why it will not end bit for bit as it would have.

        Raises:
            ModelError: it is not a state of this phase.
        """
        try:
            self.head.load_state_dict(state["head"])
            for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
            self.losses, self.seconds = [float(loss) for loss in state["losses"]], float(state["seconds"])
            if state["others"] == len(self._others):
                return []
            return ["speech to leave unnamed was synthesised on one of the machines only"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"{STATE_FILE}: not a state of this run ({reason(error)})", hint="start a new run"
            ) from error


def _optimizers(head: FrameHead, settings: FramesConfig) -> list[torch.optim.Optimizer]:
    """Muon for what mixes many values, AdamW for the last layer and for biases."""
    mixing = [weight for name, weight in head.named_parameters() if name in MIXING]
    others = [weight for weight in head.parameters() if not any(weight is mixed for mixed in mixing)]
    adamw = torch.optim.AdamW(others, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    return [Muon(mixing, settings.learning_rate, settings.weight_decay), adamw]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the network made of some mixtures, in half precision, and what should be said of them."""

    rows: Tensor  # (mixtures, channels of every mel row of the last stage but one, frames)
    mean: Tensor  # (mixtures, channels of the last stage, frames)
    targets: Tensor  # (mixtures, classes, frames): the share of a frame in which a class sounds


def averaged(targets: Array, stride: int) -> Array:
    """The mean over the log-mel's frames that are nearest to each of the head's: (classes, frames) to fewer."""
    frames, before = -(-targets.shape[1] // stride), stride // 2
    after = frames * stride - before - targets.shape[1]
    edged = np.pad(targets, ((0, 0), (before, max(0, after))), mode="edge")[:, : frames * stride]
    mean: Array = edged.reshape(len(targets), frames, stride).mean(axis=2)
    return mean
