"""Training state, ``last.pt``: saved, loaded without trusting it, compared with what a resumed run is given; and the
seeds thanks to which no random state is part of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from escnn.config import from_json, to_json
from escnn.data.dataset import Dataset
from escnn.data.features import FEATURES_VERSION
from escnn.errors import DatasetError, EscnnError, ModelError, UsageError, reason
from escnn.files import write_bytes
from escnn.network.runtime import versions
from escnn.runs.settings import TrainConfig

STATE_FILE = "last.pt"


@contextmanager
def seeded(seed: int, what: int | str) -> Iterator[None]:
    """While the block runs, torch's global generators start from (seed, what); then they are as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, what))
        yield


def seed_of(seed: int, what: int | str) -> int:
    """A seed of its own for every use that a run makes of chance, such as the number of an epoch."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{what}".encode()).digest()[:7], "big")


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write training state (tensors, numbers, strings, lists and dictionaries of them) whole or not at all."""
    buffer = io.BytesIO()  # as torch says of a full disk only that it could not write
    torch.save(state, buffer)
    write_bytes(path, buffer.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Read training state; pickled code is refused (`weights_only`), damage is found by the file's own checksums.

    It takes no more memory than the file is long: what is compressed is refused, and tensors that claim more elements
    than the file holds.

    Raises:
        ModelError: missing or damaged.
    """
    hint = "start the training again"
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # `torch.save` packs nothing. What is packed, or stands there twice, could unfold to any size.
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            if packed or sum(member.file_size for member in members) > path.stat().st_size:
                raise ModelError(f"{path}: not a training state of escnn (packed)", hint=hint)
            damaged = archive.testzip()  # torch.load itself does not look at the checksums
        if damaged:
            raise ModelError(f"{path}: damaged training state ({damaged:.100})", hint=hint)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if any(tensor.nbytes > tensor.untyped_storage().nbytes() for tensor in _tensors(state)):
            raise ValueError("a tensor claims more elements than there are")
    except EscnnError:
        raise
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no training state here", hint="--resume takes the folder of a started run"
        ) from error
    except pickle.UnpicklingError as error:  # in many lines, with advice on how to run the code after all
        raise ModelError(f"{path}: damaged training state, or one that would run code; refused", hint=hint) from error
    except Exception as error:  # the unpickler trusts its input to be well formed: it raises whatever its steps raise
        raise ModelError(f"{path}: damaged training state ({reason(error)})", hint=hint) from error
    if not isinstance(state, dict):
        raise ModelError(f"{path}: not a training state of escnn")
    return state


def check_same_data(digest: str, dataset: Dataset) -> None:
    """Refuse another data set than the one of this digest; `DatasetError`."""
    if digest != dataset.digest:
        raise DatasetError(
            f"{dataset.root}: not the data set that this run began with",
            hint="clips, classes or folds changed: point --data at the old one, or start a new run",
        )


def check_unchanged(
    state: Mapping[str, Any], config: TrainConfig, dataset: Dataset, *, allow_other_versions: bool = False
) -> list[str]:
    """Refuse to go on where data, settings, or torch, which makes the numbers, are not those of `state`.

    Returns:
        What changed that may change the last digits: another build of the same torch, another way of making log-mels,
        or, where it is allowed, another version of torch.

    Raises:
        DatasetError: it is another data set.
        UsageError: settings changed, or the version of torch.
    """
    check_same_data(state["data_digest"], dataset)
    began = to_json(from_json(TrainConfig, state["config"], STATE_FILE))  # with settings that came later
    if changed := differences(began, to_json(config)):
        raise UsageError(
            f"config.json of the run was changed since it began: {', '.join(changed)}",
            hint="put the old values back, or start a new run with --config",
        )
    was, now = str(state["versions"]["torch"]), versions()["torch"]
    notes = differences({"torch": was}, {"torch": now})
    if was.partition("+")[0] != now.partition("+")[0] and not allow_other_versions:
        raise UsageError(
            f"the run began with another version: {notes[0]}",
            hint="install the old one to end it as it began, or add --allow-other-versions",
        )
    made = state.get("features_version", 1)
    if made != FEATURES_VERSION:
        notes.append(f"log-mels of version {made} then, of version {FEATURES_VERSION} now")
    return notes


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


def _tensors(state: Any) -> Iterator[Tensor]:
    """All tensors in nested dictionaries, lists and tuples."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict | list | tuple):
        for value in state.values() if isinstance(state, dict) else state:
            yield from _tensors(value)
