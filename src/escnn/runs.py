"""Run folders: where a training keeps its settings, its state, its metrics and its model."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from escnn import checkpoint, files
from escnn.config import TrainConfig, from_json, to_json
from escnn.errors import UsageError, reason

CONFIG_FILE, STATUS_FILE, METRICS_FILE = "config.json", "run.json", "metrics.csv"


@dataclass(frozen=True, slots=True)
class Run:
    """One training: its folder, its settings, and the data set that it learns from."""

    folder: Path
    config: TrainConfig
    data: Path

    @property
    def trained(self) -> bool:
        """Whether its model is there."""
        return (self.folder / checkpoint.MODEL_FILE).is_file()

    @property
    def evaluated(self) -> bool:
        """Whether its held-out fold was evaluated, or there is none."""
        return not self.config.fold or (self.folder / "evaluation" / "evaluation.json").is_file()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from training in the folder; sweeps away what a stopped one had half written.

        Raises:
            UsageError: another process trains in it.
        """
        busy = UsageError(f"{self.folder}: another process is training in it", hint="wait for it, or stop it")
        with files.exclusive(self.folder / ".lock", busy):
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def _sweep(self) -> None:
        for part in self.folder.glob(".*.part"):
            with suppress(OSError):
                part.unlink()

    def write_status(self, status: str, **details: Any) -> None:
        """Write ``run.json``: how far the run is, and what it runs with."""
        files.write_json(
            self.folder / STATUS_FILE,
            {
                "status": status,
                "updated": datetime.now(UTC).isoformat(timespec="seconds"),
                "data": str(self.data.resolve()),
                "epochs": self.config.epochs,
                "seed": self.config.seed,
                **details,
                "versions": checkpoint.versions(),
            },
        )

    def write_metrics(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write ``metrics.csv``: a row an epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        files.write_text(self.folder / METRICS_FILE, text.getvalue())

    def read_metrics(self) -> list[dict[str, str]]:
        """The rows of ``metrics.csv``; an empty cell is what was not measured."""
        with (self.folder / METRICS_FILE).open(newline="", encoding="utf-8") as table:
            return list(csv.DictReader(table))


def create(out: Path | None, config: TrainConfig, data: Path) -> Run:
    """Make the folder of a new run: `out`, or the next free ``runs/fold<n>-<number>``.

    Raises:
        OutputError: `out` holds something already, or cannot be written.
    """
    stem = f"fold{config.fold}" if config.fold else "all"
    folder = files.claim_run_folder(Path("runs"), stem) if out is None else files.output_folder(out, force=False)
    return _start(folder, config, data)


def create_cross_validation(
    out: Path | None, config: TrainConfig, data: Path, folds: Sequence[int]
) -> tuple[Path, list[Run]]:
    """Make a folder with a run for each of `folds`: `out`, or the next free ``runs/cross-validation-<number>``."""
    if out is None:
        folder = files.claim_run_folder(Path("runs"), "cross-validation")
    else:
        folder = files.output_folder(out, force=False)
    return folder, [
        _start(files.output_folder(folder / f"fold{fold}", force=False), dataclasses.replace(config, fold=fold), data)
        for fold in folds
    ]


def reopen(folder: Path) -> tuple[Path, list[Run]]:
    """The run in `folder`, or the runs of the cross-validation in it, for `--resume`.

    Raises:
        UsageError: it is no run folder, or its files cannot be understood.
    """
    if (folder / CONFIG_FILE).is_file():
        return folder, [_read(folder)]
    children = [child for child in sorted(folder.glob("fold[1-5]")) if (child / CONFIG_FILE).is_file()]
    if not children:
        raise UsageError(
            f"{folder}: not a run folder (no {CONFIG_FILE})", hint="--resume takes the folder of a started run"
        )
    return folder, [_read(child) for child in children]


def read_config(path: Path) -> TrainConfig:
    """Settings from a JSON file, such as a run's ``config.json``.

    Raises:
        UsageError: it is not there, no JSON, or a setting is unknown or out of range.
    """
    return from_json(TrainConfig, _read_json(path), path.name)


def _start(folder: Path, config: TrainConfig, data: Path) -> Run:
    run = Run(folder, config, data)
    run.write_status("created")
    files.write_json(folder / CONFIG_FILE, to_json(config))  # last: a folder with settings in it can be resumed
    return run


def _read(folder: Path) -> Run:
    config = read_config(folder / CONFIG_FILE)
    status = _read_json(folder / STATUS_FILE)
    data = status.get("data") if isinstance(status, dict) else None
    if not isinstance(data, str):
        raise UsageError(f"{folder / STATUS_FILE}: does not say which data the run began with", hint="start a new run")
    return Run(folder, config, Path(data))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({reason(error)})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({reason(error)})") from error
