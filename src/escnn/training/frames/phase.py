"""The last phase of a training as the pipeline runs it: begun or gone on with, saved after each of its epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from escnn.training.frames.trainer import FrameTrainer
from escnn.training.trainer import Trainer

KEY = "frames"  # of its state in that of the training


def train_frame_head(
    trainer: Trainer,
    began: dict[str, Any],
    save: Callable[[dict[str, Any]], None],
    on_step: Callable[[int, int], None],
) -> tuple[FrameTrainer | None, list[str]]:
    """Teach the head of a finished training.

    Args:
        trainer: the training.
        began: the state that it was resumed from; empty if it was not.
        save: called with the state of the training after each epoch of the head.
        on_step: called with (steps done, steps of the phase).

    Returns:
        The phase, None where the settings want no head; and why it does not end bit for bit as it would have.
    """
    if not trainer.config.frames.epochs:
        return None, []
    phase = trainer.frame_trainer()
    notes = phase.restore(began[KEY]) if began.get(KEY) else []
    while len(phase.losses) < trainer.config.frames.epochs:
        phase.epoch(on_step)
        save({**trainer.state(), KEY: phase.state()})
    return phase, notes
