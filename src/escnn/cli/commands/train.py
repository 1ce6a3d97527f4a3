"""`escnn train`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escnn.cli.options import PATH, DataFolder, Device, DeviceName, Fold, Quiet, Verbose, console_of
from escnn.errors import UsageError
from escnn.names import quoted

if TYPE_CHECKING:
    from escnn.cli.console import Console
    from escnn.runs.run import Run
    from escnn.runs.settings import TrainConfig

PRESETS = (
    "default (89.9 % in 51 minutes on two cores), quick (89.2 % in 14), each and a seventh for its frame head; "
    "baseline-resnet34 (to compare with, half a day)"
)


def _presets() -> list[str]:
    from escnn.runs.settings import PRESETS

    return list(PRESETS)


def train(
    ctx: typer.Context,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training clips.")] = None,
    fold: Fold = None,
    validation_fold: Annotated[
        int | None, typer.Option(min=1, help="Fold to choose the epoch on, apart from the test fold.")
    ] = None,
    cross_validate: Annotated[bool, typer.Option("--cross-validate", help="Test on every fold in turn.")] = False,
    preset: Annotated[
        str | None, typer.Option(help=f"Settings to start from: {PRESETS}.", autocompletion=_presets)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings from a JSON file, such as a run's config.json.", **PATH)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Clips in a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any setting by its dotted name: --set augment.gain_db=6."),
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Write all settings as JSON to stdout, and train nothing.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder.", show_default="runs/fold<n>-<number>", **PATH)
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.", **PATH)] = None,
    allow_other_versions: Annotated[
        bool, typer.Option("--allow-other-versions", help="With --resume: go on with another version of torch.")
    ] = False,
    data: DataFolder = None,
    device: Device = DeviceName.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a network on ESC-50, or on any folder that has a folder of sounds per class."""
    named = {
        "epochs": epochs,
        "fold": fold,
        "validation_fold": validation_fold,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    settings = [*(f"{name}={value}" for name, value in named.items() if value is not None), *(changes or ())]
    console = console_of(ctx)
    if resume is not None and (settings or preset or config or out or cross_validate):
        raise UsageError("--resume goes on with a run's own settings", hint="leave out the others, or start a new run")
    if allow_other_versions and resume is None:
        raise UsageError("--allow-other-versions is about going on with a run", hint="add --resume, or leave it out")
    if cross_validate and (fold is not None or validation_fold is not None):
        raise UsageError("--cross-validate tests on every fold in turn", hint="leave out --fold")
    chosen = None if resume is not None else _settings(preset, config, settings)
    if show_config and chosen is not None:
        from escnn.config import to_json

        console.result(json.dumps(to_json(chosen), indent=2))
        return
    _check_out(out)
    with console.working("starting torch"):
        from escnn.cli.progress import EpochLines, stages
        from escnn.runs.run import data_beside
        from escnn.training import pipeline

    if data is None and config is not None:
        data = data_beside(config)
    with stages(console) as advance:
        shown: dict[str, Any] = {
            "device": device,
            "on_progress": advance,
            "on_epoch": EpochLines(console),
            "on_message": console.message,
            "command": sys.argv[1:],
        }
        if resume is not None:
            runs = pipeline.resume(resume, data, allow_other_versions=allow_other_versions, **shown)
        elif cross_validate:
            runs = pipeline.cross_validate(data, config=chosen, out=out, **shown)
        else:
            runs = [pipeline.train(data, config=chosen, out=out, **shown)]
    _show(console, runs)


def _show(console: Console, runs: Sequence[Run]) -> None:
    """What came of it: the figures of a cross-validation, or what to type next."""
    from escnn.cli.tables import cross_validation_lines
    from escnn.model.model_file import read_model

    if len(runs) == 1:
        console.message(f"next: escnn predict --model {quoted(runs[0].folder)} clip.wav")
        return
    document = json.loads((runs[0].folder.parent / "cross-validation.json").read_text("utf-8"))
    classes = len(read_model(runs[0].folder).card.labels)
    for line in cross_validation_lines(document, classes=classes, terminal=console.is_interactive):
        console.result(line)


def _check_out(out: Path | None) -> None:
    """Refuse a folder that holds something before torch is started."""
    if out is None:
        return
    from escnn.errors import OutputError
    from escnn.files import check_output_folder
    from escnn.runs.run import reopen

    try:
        check_output_folder(out, force=None)
    except OutputError:
        with suppress(UsageError):
            reopen(out)
            hint = f"`escnn train --resume {quoted(out)}` goes on with it; another run needs another --out"
            raise OutputError(f"{out}: holds a run already", hint=hint) from None
        raise


def _settings(preset: str | None, config: Path | None, changes: list[str]) -> TrainConfig:
    """The settings that the options add up to."""
    from escnn.config import changed
    from escnn.runs import settings
    from escnn.runs.run import read_config

    if preset and config:
        raise UsageError("--preset and --config both name settings", hint="give one of them")
    return changed(read_config(config) if config else settings.preset(preset or "default"), changes)
