"""From a data set to a finished run: log-mels, training, model file, evaluation, page."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import torch

from escnn.audio.log_mel import AudioConfig, LogMel
from escnn.data.dataset import Dataset
from escnn.data.features import Features, load_features
from escnn.data.folds import split
from escnn.errors import EscnnError, ModelError, UsageError, reason
from escnn.evaluation.evaluation import Evaluation, first_warnings
from escnn.evaluation.protocol import choose_fold, evaluate_fold, pool
from escnn.inference.classifier import Classifier
from escnn.model.architecture import check_size
from escnn.model.model_file import MODEL_FILE, add_score, read_model, write_model
from escnn.names import quoted
from escnn.network.runtime import choose_device, versions
from escnn.report.evaluation.folder import save_curves, save_evaluation, save_page, save_warnings
from escnn.runs import run as runs
from escnn.runs.run import EpochMetrics, Run
from escnn.runs.settings import TrainConfig
from escnn.training.frames.phase import train_frame_head
from escnn.training.inputs import data_of, open_data, reopen_data, settings_of
from escnn.training.optimizers import choose_precision
from escnn.training.state import STATE_FILE, differences, load_state, save_state
from escnn.training.trainer import Trainer

OnProgress = Callable[[str, int, int | None], None]  # (stage, done, total)
OnEpoch = Callable[[Run, EpochMetrics], None]
OnMessage = Callable[[str], None]


def train(  # noqa: PLR0913 - all but `data` by name, and all with a default
    data: Path | str | None = None,
    *,
    preset: str = "default",
    config: Path | str | TrainConfig | None = None,
    out: Path | str | None = None,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    on_epoch: OnEpoch | None = None,
    on_message: OnMessage | None = None,
    command: Sequence[str] = (),
    **settings: Any,
) -> Run:
    """Train a network, evaluate it on the test fold, and leave a run folder with model, figures and page.

    >>> train("sounds/", preset="quick", epochs=30, augment={"gain_db": 6})  # doctest: +SKIP

    Args:
        data: folder of ESC-50, or of a folder per class; by default that of the run whose settings `config` names, or
            ESC-50 as downloaded.
        preset: name of the settings to start from.
        config: settings to start from instead, or a JSON file of them, such as a run's ``config.json``.
        out: the run folder, new or empty; by default the next free ``runs/fold<n>-<number>``.
        device: auto, cpu, cuda or mps.
        on_progress: called with (stage, done, total): "reading sounds" in clips, "training" and "training frames" in
            steps, "evaluating fold 5" in clips.
        on_epoch: called with (run, metrics) after each epoch, once its state is on disk. A KeyboardInterrupt that it
            raises ends the training as Ctrl-C does, and `resume` goes on from there.
        on_message: called with lines for people: how a run begins and ends.
        command: as typed, for ``run.json`` and the page.
        settings: fields of `TrainConfig` to change; nested ones as dictionaries.

    Raises:
        UsageError: settings that cannot be.
        DatasetError: there is no data set, or it cannot be used.
        OutputError: the run folder holds something already, or cannot be written.
    """
    chosen = settings_of(preset, config, settings)
    dataset = open_data(data or data_of(config), chosen.seed)
    pipeline = _Pipeline(dataset, choose_device(device), command, on_progress, on_epoch, on_message)
    pipeline.check(chosen)
    run = runs.create(None if out is None else Path(out), chosen, pipeline.dataset.root, versions())
    pipeline.finish(run.folder, [run])
    return run


def cross_validate(  # noqa: PLR0913 - as `train`
    data: Path | str | None = None,
    *,
    preset: str = "default",
    config: Path | str | TrainConfig | None = None,
    out: Path | str | None = None,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    on_epoch: OnEpoch | None = None,
    on_message: OnMessage | None = None,
    command: Sequence[str] = (),
    **settings: Any,
) -> list[Run]:
    """Train a network for every fold, each tested on that fold, then evaluate all of them together.

    Arguments and errors are those of `train`. The folder, by default the next free ``runs/cross-validation-<number>``,
    gets a run a fold (``fold1`` to ``fold5``), ``cross-validation.json``, tables and a page over all clips.
    """
    if {"fold", "validation_fold"} & set(settings):
        raise UsageError("a cross-validation tests on every fold in turn", hint="leave out fold and validation_fold")
    chosen = settings_of(preset, config, settings)
    dataset = open_data(data or data_of(config), chosen.seed)
    pipeline = _Pipeline(dataset, choose_device(device), command, on_progress, on_epoch, on_message)
    folds, root = pipeline.dataset.folds, pipeline.dataset.root
    for fold in folds:
        pipeline.check(msgspec.structs.replace(chosen, fold=fold))
    parent = None if out is None else Path(out)
    folder, todo = runs.create_cross_validation(parent, chosen, root, folds, versions())
    pipeline.finish(folder, todo)
    return todo


def resume(
    folder: Path | str,
    data: Path | str | None = None,
    *,
    allow_other_versions: bool = False,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    on_epoch: OnEpoch | None = None,
    on_message: OnMessage | None = None,
    command: Sequence[str] = (),
) -> list[Run]:
    """Go on with a run or a cross-validation where it stopped; what is finished already is left alone.

    Args:
        folder: of the run or the cross-validation.
        data: where its data set lies now; by default where it was.
        allow_other_versions: go on with another version of torch, which ends with other weights.
        device: auto, cpu, cuda or mps.
        on_progress: see `train`.
        on_epoch: see `train`; called first for the epochs that were done before.
        on_message: see `train`.
        command: as typed, for ``run.json`` and the page.

    Returns:
        The run, or those of the cross-validation.

    Raises:
        UsageError: it is no run folder, or its settings or the version of torch are not those that it began with.
        DatasetError: the data set is not there, or not the one that it began with.
        ModelError: its state is damaged.
    """
    folder, todo = runs.reopen(Path(folder))
    dataset = reopen_data(data or todo[0].data, todo)
    todo = [run.with_data(dataset.root) for run in todo]
    pipeline = _Pipeline(dataset, choose_device(device), command, on_progress, on_epoch, on_message)
    pipeline.allow_other_versions = allow_other_versions
    if todo[0].folder != folder:
        todo = runs.with_all_folds(folder, todo, dataset.folds, versions())
    pipeline.finish(folder, todo)
    return todo


class _Pipeline:
    """What the runs of one call share: the data set, its log-mels, the device, and who is told."""

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        command: Sequence[str],
        on_progress: OnProgress | None,
        on_epoch: OnEpoch | None,
        on_message: OnMessage | None,
    ) -> None:
        self.dataset, self.device, self.command = dataset, device, list(command)
        self.on_progress = on_progress or (lambda *_: None)
        self.on_epoch = on_epoch or (lambda *_: None)
        self.on_message = on_message or (lambda _: None)
        self.allow_other_versions = False
        self.features = functools.cache(self._load_features)  # once for all runs: clips may go away meanwhile

    def check(self, config: TrainConfig) -> None:
        """Refuse, before there is a folder, what could not be trained."""
        split(self.dataset, config.fold, config.validation_fold)
        choose_precision(config, self.device)
        try:
            check_size(config.audio, config.model, len(self.dataset.labels), "settings")
        except ModelError as error:
            raise UsageError(error.message, hint=error.hint) from error

    def finish(self, folder: Path, todo: Sequence[Run]) -> None:
        """Do what is left of the runs and, if there are several, evaluate them together into `folder`."""
        try:
            done = [self._finish_run(run) for run in todo]
        except KeyboardInterrupt:
            self.on_message(f"every finished epoch is kept; go on with: escnn train --resume {quoted(folder)}")
            raise
        if len(todo) > 1:
            evaluation = pool([part or self._evaluate(run) for run, part in zip(todo, done, strict=True)])
            with runs.exclusive(folder):
                save_evaluation(evaluation, folder)
                save_page(evaluation, folder, command=self.command)

    def _finish_run(self, run: Run) -> Evaluation | None:
        """Train and evaluate one run, or what is left of it; None if there is nothing left, or no test fold."""
        with run.exclusive():
            if run.trained and run.evaluated:
                self.on_message(f"{run.folder}: finished already ({run.config.epochs} epochs)")
                if run.status != "complete":  # killed between its last two files
                    run.write_status("complete", versions=versions())
                return None
            with self._status(run) as details:
                if not run.trained:
                    self._train(run, details)
                return self._test(run) if run.config.fold else None

    @contextmanager
    def _status(self, run: Run) -> Iterator[dict[str, Any]]:
        """When the block ends, ``run.json`` says how, with the details that were put into the dictionary given."""
        details: dict[str, Any] = {}
        try:
            yield details
        except (KeyboardInterrupt, Exception) as error:
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            if isinstance(error, EscnnError):
                details["error"] = error.message
            elif status == "failed":
                details["error"] = f"{type(error).__name__}: {reason(error)}"
            with suppress(EscnnError):  # on a full disk the first failure is the one to tell
                run.write_status(status, versions=versions(), **details)
            raise
        run.write_status("complete", versions=versions(), **details)

    def _train(self, run: Run, details: dict[str, Any]) -> None:
        """Train from the start or from ``last.pt``, which is written after each epoch; at the end write the model."""
        parts = split(self.dataset, run.config.fold, run.config.validation_fold)
        tested = f"test fold {run.config.fold} ({len(parts.test)} clips)" if run.config.fold else "no test fold"
        classes = len(self.dataset.labels)
        self.on_message(f"{run.folder}: training on {len(parts.train)} clips of {classes} classes, {tested}")
        features = self.features(run.config.audio)
        save_warnings([(self.dataset.clips[clip].name, text) for clip, text in features.warnings], run.folder)
        trainer = Trainer(run.config, self.dataset, features, self.device)
        machine = {"device": str(self.device), **trainer.machine}
        began = load_state(state) if (state := run.folder / STATE_FILE).exists() else {}
        if began:
            notes = trainer.restore(began, allow_other_versions=self.allow_other_versions)
            before = run.details
            notes += differences({name: before.get(name, now) for name, now in machine.items()}, machine)
            if notes and len(trainer.history) < run.config.epochs:
                self.on_message(f"{run.folder}: will not end bit for bit as it would have: {', '.join(notes)}")
                details["not_bit_for_bit"] = [*before.get("not_bit_for_bit", ()), *notes]
            run.write_history(trainer.history)  # its last row is missing if the run was killed before writing it
            for metrics in trainer.history:
                self.on_epoch(run, metrics)
        details |= {
            "data_digest": self.dataset.digest,
            "epochs_done": len(trainer.history),
            **trainer.cost(),
            **machine,
            "command": self.command,
        }
        run.write_status("running", versions=versions(), **details)
        while len(trainer.history) < run.config.epochs:
            metrics = trainer.epoch(functools.partial(self.on_progress, "training"))
            save_state(state, trainer.state())
            run.write_history(trainer.history)
            details.update(epochs_done=len(trainer.history), **trainer.cost())
            self.on_epoch(run, metrics)
        save_curves(trainer.history, run.folder)
        save, tell = functools.partial(save_state, state), functools.partial(self.on_progress, "training frames")
        head, notes = train_frame_head(trainer, began, save, tell)
        details |= {"not_bit_for_bit": [*details.get("not_bit_for_bit", ()), *notes]} if notes else {}
        write_model(run.folder / MODEL_FILE, trainer.final_model(run.name, head))

    def _test(self, run: Run) -> Evaluation:
        """Evaluate a trained run on its test fold: the score into the model file, ``report.html``, ``evaluation/``."""
        evaluation = self._evaluate(run)
        add_score(run.folder / MODEL_FILE, evaluation.figures())
        (fold,) = evaluation.folds
        evaluation = dataclasses.replace(evaluation, models={fold: read_model(run.folder).card})  # with its score
        save_page(evaluation, run.folder, history=run.history(), command=self.command)
        save_evaluation(evaluation, run.folder / "evaluation")  # last: with it, a run counts as evaluated
        for text in evaluation.caveats:
            warnings.warn(text, stacklevel=2)
        top5 = f", top-5 {100 * evaluation.top_k_accuracy(5):.2f} %" if len(evaluation.labels) > 5 else ""
        self.on_message(f"{run.folder}: accuracy {100 * evaluation.accuracy:.2f} % on fold {fold}{top5}")
        return evaluation

    def _evaluate(self, run: Run) -> Evaluation:
        classifier = Classifier.load(run.folder, device=self.device.type)
        fold = choose_fold(classifier.card, self.dataset, classifier.card.record.fold)
        return evaluate_fold(classifier, self.dataset, fold, self.on_progress)

    def _load_features(self, audio: AudioConfig) -> Features:
        on_progress = functools.partial(self.on_progress, "reading sounds")
        features = load_features(self.dataset, audio, LogMel(audio), on_progress)
        told = [(self.dataset.clips[clip].name, text) for clip, text in features.warnings]
        for text in first_warnings(told, "the run folder"):
            warnings.warn(text, stacklevel=2)
        return features
