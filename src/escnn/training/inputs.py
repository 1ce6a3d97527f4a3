"""What a training starts from: settings and a data set, as callers name them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from escnn.cache import default_data_folder
from escnn.data.dataset import Dataset
from escnn.data.sources import open_dataset
from escnn.errors import UsageError
from escnn.runs import run as runs
from escnn.runs import settings as presets
from escnn.runs.run import Run
from escnn.runs.settings import TrainConfig
from escnn.training.state import check_same_data


def settings_of(preset: str, config: Path | str | TrainConfig | None, changes: Mapping[str, Any]) -> TrainConfig:
    """The settings to start from, with the changes of a call."""
    if config is not None and preset != "default":
        raise UsageError("preset and config both name settings", hint="give one of them")
    if config is None:
        config = presets.preset(preset)
    return presets.with_changes(config if isinstance(config, TrainConfig) else runs.read_config(Path(config)), changes)


def data_of(config: Path | str | TrainConfig | None) -> Path | None:
    """The data set of the run whose settings are named."""
    return None if config is None or isinstance(config, TrainConfig) else runs.data_beside(Path(config))


def reopen_data(data: Path | str, todo: Sequence[Run]) -> Dataset:
    """The data set that some runs began with; `DatasetError` if it is another one."""
    dataset = open_data(data, todo[0].config.seed)
    for digest in filter(None, (run.details.get("data_digest") for run in todo)):
        if digest != dataset.digest:  # perhaps dealt as 0.1.0 did
            dataset = open_dataset(Path(data), seed=todo[0].config.seed, dealing="0.1.0")
        check_same_data(digest, dataset)
    return dataset


def open_data(data: Path | str | None, seed: int) -> Dataset:
    """The data set that a caller names, by default ESC-50 as downloaded; warns of clips that are not there."""
    dataset = open_dataset(default_data_folder() if data is None else Path(data), seed=seed)
    if dataset.missing:
        text = f"{len(dataset.missing)} clips of the metadata are not there, such as {dataset.missing[0]}"
        warnings.warn(text, stacklevel=3)
    return dataset
