"""Run folders: where a training keeps its settings, its state, its metrics and its model."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from escnn import files
from escnn.config import from_json, to_json
from escnn.errors import UsageError, is_plain, reason, refused_as
from escnn.model.model_file import MODEL_FILE
from escnn.names import folder_name
from escnn.runs.settings import TrainConfig

CONFIG_FILE, STATUS_FILE, METRICS_FILE = "config.json", "run.json", "metrics.csv"


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """What an epoch did: a row of ``metrics.csv``. Accuracies are shares of clips, 0..1; None: not looked at."""

    epoch: int  # from 1
    loss: float  # nats
    train_accuracy: float  # on augmented, mixed clips, against the stronger of two labels: lower than it sounds
    validation_accuracy: float | None
    held_out_accuracy: float | None  # of the test fold: to look at; nothing is ever chosen by it
    learning_rate: float
    seconds: float
    cpu_seconds: float  # of all cores together
    clips_per_second: float


@dataclass(frozen=True, slots=True)
class Run:
    """One training: its folder, its settings, and the data set that it trains on."""

    folder: Path
    config: TrainConfig
    data: Path

    @property
    def name(self) -> str:
        """That of its folder, as it can be written into a model."""
        name = self.folder.resolve().name
        return name if is_plain(name) else folder_name(name)

    @property
    def trained(self) -> bool:
        """Whether its model is there."""
        return (self.folder / MODEL_FILE).is_file()

    @property
    def evaluated(self) -> bool:
        """Whether its test fold was evaluated, or there is none."""
        return not self.config.fold or (self.folder / "evaluation" / "evaluation.json").is_file()

    def exclusive(self) -> AbstractContextManager[None]:
        """As the function of that name, for its folder and what lies below."""
        return exclusive(self.folder, "**/.*.part")

    @property
    def details(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        return _read_status(self.folder)

    @property
    def status(self) -> str | None:
        """How it stands: created, running, interrupted, failed or complete."""
        return self.details.get("status")

    def with_data(self, data: Path) -> Run:
        """The run with its data set at another place, which ``run.json`` says from now on."""
        moved = replace(self, data=data)
        document = {**self.details, "data": str(data.resolve())}
        if document != self.details:
            files.write_json(self.folder / STATUS_FILE, document)
        return moved

    def write_status(self, status: str, *, versions: Mapping[str, str], **details: Any) -> None:
        """Write ``run.json``: how far the run is, and what it runs with. Earlier details stay unless given anew."""
        document = {
            "status": status,
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": str(self.data.resolve()),
            "epochs": self.config.epochs,
            "seed": self.config.seed,
        }
        kept = _read_status(self.folder) if (self.folder / STATUS_FILE).is_file() else {}
        for name in (*document, "error", "versions"):
            kept.pop(name, None)
        files.write_json(self.folder / STATUS_FILE, {**document, **kept, **details, "versions": dict(versions)})

    def write_history(self, history: Sequence[EpochMetrics]) -> None:
        """Write ``metrics.csv``: a row an epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [column.name for column in fields(EpochMetrics)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, history))
        files.write_text(self.folder / METRICS_FILE, text.getvalue())

    def history(self) -> list[EpochMetrics]:
        """The rows of ``metrics.csv``; an empty cell is what was not measured.

        Raises:
            UsageError: it is not the table of a training.
        """
        path = self.folder / METRICS_FILE
        try:
            with path.open(newline="", encoding="utf-8") as table:
                rows = [{key: cell or None for key, cell in row.items()} for row in csv.DictReader(table, strict=True)]
            return msgspec.convert(rows, list[EpochMetrics], strict=False)  # cells are text
        except (OSError, ValueError, TypeError, csv.Error) as error:
            hint = "if it was edited, put it back as it was; otherwise train again"
            raise UsageError(f"{path}: not the table of a training ({reason(error)})", hint=hint) from error


def create(out: Path | None, config: TrainConfig, data: Path, versions: Mapping[str, str]) -> Run:
    """Make the folder of a new run: `out`, or the next free ``runs/fold<n>-<number>``.

    Raises:
        OutputError: `out` holds something already, or cannot be written.
    """
    stem = f"fold{config.fold}" if config.fold else "all"
    folder = claim_run_folder(Path("runs"), stem) if out is None else files.output_folder(out, force=None)
    return _start(folder, config, data, versions)


def create_cross_validation(
    out: Path | None, config: TrainConfig, data: Path, folds: Sequence[int], versions: Mapping[str, str]
) -> tuple[Path, list[Run]]:
    """Make a folder with a run for each of `folds`: `out`, or the next free ``runs/cross-validation-<number>``.

    Raises:
        UsageError: a fold cannot be the test fold, as epochs are chosen on it; no folder is made.
        OutputError: `out` holds something already, or cannot be written.
    """
    configs = {fold: msgspec.structs.replace(config, fold=fold) for fold in folds}
    folder = claim_run_folder(Path("runs"), "cross-validation") if out is None else files.output_folder(out, force=None)
    return folder, [
        _start(files.output_folder(folder / f"fold{fold}", force=None), changed, data, versions)
        for fold, changed in configs.items()
    ]


@refused_as(UsageError)
def reopen(folder: Path) -> tuple[Path, list[Run]]:
    """The run in `folder`, or the runs of the cross-validation in it, for `--resume`.

    Raises:
        UsageError: it is no run folder, or its files cannot be understood.
    """
    if (folder / CONFIG_FILE).is_file():
        return folder, [_read(folder)]
    children = [child for child in _fold_folders(folder) if (child / CONFIG_FILE).is_file()]
    if not children:
        raise UsageError(
            f"{folder}: not a run folder (no {CONFIG_FILE})", hint="--resume takes the folder of a started run"
        )
    return folder, [_read(child) for child in children]


def with_all_folds(folder: Path, todo: Sequence[Run], folds: Sequence[int], versions: Mapping[str, str]) -> list[Run]:
    """The runs of a cross-validation in the order of `folds`; those that it was stopped before are made."""
    made = {run.config.fold: run for run in todo}
    first = todo[0]
    for fold in folds:
        if fold not in made:
            config = msgspec.structs.replace(first.config, fold=fold)
            place = files.output_folder(folder / f"fold{fold}", force=True)
            made[fold] = _start(place, config, first.data, versions)
    return [made[fold] for fold in sorted(made)]


def data_beside(config: Path) -> Path | None:
    """The data set of the run whose ``config.json`` this is; None if it is no run's."""
    if not (config.parent / STATUS_FILE).is_file():
        return None
    data = _read_status(config.parent).get("data")
    return Path(data) if isinstance(data, str) else None


@refused_as(UsageError)
def find_fold_runs(folder: Path) -> list[Path]:
    """The finished runs of a cross-validation, ``fold1``, ``fold2`` and so on.

    Raises:
        UsageError: fewer than two are there.
    """
    runs = [run for run in _fold_folders(folder) if (run / MODEL_FILE).is_file()]
    if len(runs) < 2:
        raise UsageError(
            f"{folder}: {len(runs)} finished runs of a cross-validation (fold1, fold2, ...), need two at least",
            hint="`escnn train --cross-validate` makes them",
        )
    return runs


def read_config(path: Path) -> TrainConfig:
    """Settings from a JSON file, such as a run's ``config.json``.

    Raises:
        UsageError: it is not there, no JSON, or a setting is unknown or out of range.
    """
    return from_json(TrainConfig, _read_json(path), path.name)


def _fold_folders(folder: Path) -> list[Path]:
    numbers = [(path.name.removeprefix("fold"), path) for path in folder.glob("fold*")]
    return [path for _, path in sorted((int(number), path) for number, path in numbers if number.isdecimal())]


def _start(folder: Path, config: TrainConfig, data: Path, versions: Mapping[str, str]) -> Run:
    run = Run(folder, config, data)
    run.write_status("created", versions=versions)
    files.write_json(folder / CONFIG_FILE, to_json(config))  # last: a folder with settings in it can be resumed
    return run


def claim_run_folder(parent: Path, stem: str) -> Path:
    """Make and return the first of ``parent/stem-1``, ``parent/stem-2``, ... that nobody has yet.

    The name is taken with a single `mkdir`, so two trainings started at once never share a folder.
    """
    numbered = (parent / f"{stem}-{number}" for number in itertools.count(1))
    with files.writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = next(folder for folder in numbered if _made(folder))
    return folder  # noqa: RET504 - mypy sees no return inside of the block


def _made(folder: Path) -> bool:
    """Make the folder unless something has its name: whether nothing had."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _read(folder: Path) -> Run:
    config = read_config(folder / CONFIG_FILE)
    data = _read_status(folder).get("data")
    if not isinstance(data, str):
        raise UsageError(f"{folder / STATUS_FILE}: does not say which data the run began with", hint="start a new run")
    return Run(folder, config, Path(data))


@contextmanager
def exclusive(folder: Path, parts: str = ".*.part") -> Iterator[None]:
    """Keep other processes from training in a folder; sweeps away the `parts` that a stopped one had half written.

    Raises:
        UsageError: another process trains in it.
    """

    def sweep() -> None:
        for part in folder.glob(parts):
            with suppress(OSError):
                part.unlink()

    busy = UsageError(f"{folder}: another process is training in it", hint="wait for it, or stop it")
    with files.exclusive(folder / ".lock", busy):
        sweep()
        try:
            yield
        finally:
            sweep()


def _read_status(folder: Path) -> dict[str, Any]:
    status = _read_json(folder / STATUS_FILE)
    return status if isinstance(status, dict) else {}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({reason(error)})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({reason(error)})") from error
