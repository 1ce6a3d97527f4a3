"""Go on with a file of predictions that was stopped: which sounds it holds, and which are still to be named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from escnn.audio.decoding import Source
from escnn.errors import OutputError, UsageError
from escnn.files import output_error

FIRST_BYTES = b'{"schema": "escnn.prediction/'  # of every line
_WHAT_RESUMES = "--resume goes on with what `escnn predict --out` wrote; name another file"


@dataclass(frozen=True, slots=True)
class ResumeState:
    """What a file of JSON Lines holds already: the names of its sounds, in order, and how many could not be read."""

    names: tuple[str, ...] = ()
    failures: int = 0


def reopen(path: Path, model_sha256: str) -> ResumeState:
    """Read the results in `path`, none if it is not there. A line that was cut off when they were stopped is removed,
    once all of the file is known to be predictions: nothing is changed in a file of anything else.

    Raises:
        OutputError: it cannot be read or mended, or does not hold predictions.
        UsageError: another model made them.
    """
    try:
        if not path.exists():
            return ResumeState()
        if not path.is_file():
            raise OutputError(f"{path}: not a regular file", hint="--resume goes on with a file; leave it out here")
        content = path.read_bytes()
    except OSError as error:
        raise output_error(path, error) from error
    names, failures = [], 0
    *lines, torn = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        document = _prediction(line, f"{path}, line {number}")
        if document["model"]["sha256"] != model_sha256:
            raise UsageError(
                f"{path}: begun with another model, {document['model']['name']}",
                hint="go on with the same --model, or write into another file",
            )
        names.append(document["path"])
        failures += document["status"] == "error"
    if torn:
        if torn[: len(FIRST_BYTES)] != FIRST_BYTES[: len(torn)]:
            raise OutputError(f"{path}, line {len(lines) + 1}: not a prediction", hint=_WHAT_RESUMES)
        try:
            os.truncate(path, len(content) - len(torn))
        except OSError as error:
            raise output_error(path, error) from error
    return ResumeState(tuple(names), failures)


def remaining(sounds: Iterable[tuple[Source, str]], done: ResumeState, path: Path) -> Iterator[tuple[Source, str]]:
    """Those of `sounds`, as (source, name), that come after what is `done` in the file `path`.

    Raises:
        UsageError: other sounds, or the same in another order, were named before.
    """
    coming = iter(sounds)
    for number, name in enumerate(done.names, start=1):
        _, found = next(coming, (None, None))
        if found != name:
            now = f"is {found} now" if found else "is not there any more"
            raise UsageError(
                f"{path}: line {number} is about {name}, but sound {number} {now}",
                hint="--resume needs the same sounds in the same order; write into another file",
            )
    yield from coming


def _prediction(line: bytes, where: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(line)
        texts = (
            document["schema"],
            document["path"],
            document["status"],
            *map(document["model"].get, ("sha256", "name")),
        )
        if all(isinstance(text, str) for text in texts) and document["schema"].startswith("escnn.prediction/"):
            return document
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise OutputError(f"{where}: not a prediction", hint=_WHAT_RESUMES)
