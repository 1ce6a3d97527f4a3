"""Go on with a file of predictions that was stopped: which sounds it holds, and which are still to be named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from escnn.audio.decoding import Source
from escnn.errors import OutputError, UsageError
from escnn.files import claimed, output_error
from escnn.inference.formats import PredictionDocument, ScoringSettings
from escnn.model.card import ModelCard

FIRST_BYTES = b'{"schema": "escnn.prediction/'  # of every line
_WHAT_RESUMES = "--resume goes on with what `escnn predict --out` wrote; name another file"


@dataclass(frozen=True, slots=True)
class ResumeState:
    """What a file of JSON Lines holds already: the names of its sounds, in order, and how many could not be read."""

    names: tuple[str, ...] = ()
    failures: int = 0


@contextmanager
def going_on(path: Path, card: ModelCard, settings: ScoringSettings) -> Iterator[ResumeState]:
    """Give what `path` holds already, and keep other processes from writing it while the block runs. A line that was
    cut off is removed, once all of the file is known to be ours: nothing is changed in a file of anything else.

    Raises:
        OutputError: it cannot be read or mended, does not hold predictions, or another process is writing it.
        UsageError: it was begun with another model or other settings.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file", hint="--resume goes on with a file; leave it out here")
    with claimed(path):
        yield _reopen(path, card, settings)


def _reopen(path: Path, card: ModelCard, settings: ScoringSettings) -> ResumeState:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ResumeState()
    except OSError as error:
        raise output_error(path, error) from error
    names, failures = [], 0
    *lines, torn = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        document = _prediction(line, f"{path}, line {number}")
        if begun := _difference(document, card, settings):
            raise UsageError(f"{path}: begun {begun}", hint="go on in the same way, or write into another file")
        names.append(document.path)
        failures += document.status == "error"
    if torn:
        if torn[: len(FIRST_BYTES)] != FIRST_BYTES[: len(torn)]:
            raise OutputError(f"{path}, line {len(lines) + 1}: not a prediction", hint=_WHAT_RESUMES)
        try:
            os.truncate(path, len(content) - len(torn))
        except OSError as error:
            raise output_error(path, error) from error
    return ResumeState(tuple(names), failures)


def _difference(line: PredictionDocument, card: ModelCard, settings: ScoringSettings) -> str | None:
    """How `line` was made in another way; None if it was not, as far as it says."""
    before = line.settings
    if isinstance(before, msgspec.UnsetType):  # of 0.1.0
        if line.model.sha256 != card.sha256:
            return f"with another model, {line.model.name}"
        scores = [answer.score for answer in line.predictions]
        most = min(settings.top_k, len(card.labels))
        too_few = line.status == "ok" and len(scores) < most and settings.min_score == 0
        if too_few or len(scores) > most or min(scores, default=1.0) < settings.min_score:
            return "with another --top-k or --min-score"
        return None
    if before.weights_sha256 != settings.weights_sha256:
        return f"with another model, {line.model.name}"
    if before.windows != settings.windows:
        return "with --windows" if before.windows else "without --windows"
    for name in ("tta", "top_k", "min_score", "runtime", "hop_seconds"):
        then, now = getattr(before, name), getattr(settings, name)
        if then != now:
            option = f"--{name.replace('_', '-')}"
            return f"without {option}" if then is None else f"with {option} {then}, not {now or 'without it'}"
    return None


def remaining(sounds: Iterable[tuple[Source, str]], done: Sequence[str], path: Path) -> Iterator[tuple[Source, str]]:
    """Those of `sounds`, as (source, name), that come after those whose names the file `path` holds as `done`.

    Raises:
        UsageError: other sounds, or the same in another order, were named before.
    """
    coming = iter(sounds)
    for number, name in enumerate(done, start=1):
        _, found = next(coming, (None, None))
        if found != name:
            now = f"is {found} now" if found else "is not there any more"
            raise UsageError(
                f"{path}: sound {number} in it is {name}, but that {now}",
                hint="--resume needs the same sounds in the same order; write into another file",
            )
    yield from coming


def _prediction(line: bytes, where: str) -> PredictionDocument:
    try:
        return msgspec.convert(json.loads(line), PredictionDocument)  # json reads lone surrogates, msgspec does not
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{where}: not a prediction", hint=_WHAT_RESUMES) from error
