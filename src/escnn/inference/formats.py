"""How a prediction is written: its JSON document, the schema of that, and its rows in a CSV table."""

from __future__ import annotations

import csv
import inspect
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from escnn.errors import ErrorCode

SCHEMA: Literal["escnn.prediction/1"] = "escnn.prediction/1"
WINDOW_COLUMNS = ("start_seconds", "end_seconds")
Score = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
LINE_END = "\r\n"  # of CSV: what writes it puts a cell that holds one of the two in quotes, and no name ends a row
CSV_COLUMNS = ("path", "status", "duration_seconds", "rank", "label", "class_id", "score", "error")


class ClassScore(msgspec.Struct, frozen=True):
    """One answer."""

    label: str
    class_id: Annotated[int, msgspec.Meta(ge=0)]
    score: Score
    max_score: Annotated[
        Score | msgspec.UnsetType,
        msgspec.Meta(description="The highest of the sound's windows; not in the answers of a window."),
    ] = msgspec.UNSET


class WindowScores(msgspec.Struct, frozen=True):
    """The answers of one window of a sound."""

    start_seconds: Annotated[float, msgspec.Meta(ge=0)]
    end_seconds: Annotated[float, msgspec.Meta(gt=0, description="Of the sound: silence added after it is left out.")]
    predictions: list[ClassScore]


class ModelReference(msgspec.Struct, frozen=True):
    """The model that was asked."""

    name: str
    sha256: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$", description="Of the model file.")]
    classes: Annotated[int, msgspec.Meta(ge=2)]


class ErrorDetail(msgspec.Struct, frozen=True):
    """Why a sound could not be read."""

    code: ErrorCode
    message: Annotated[str, msgspec.Meta(description="The reason in a line, for people.")]
    hint: Annotated[str | None, msgspec.Meta(description="How to mend it.")] = None


class ScoringSettings(msgspec.Struct, frozen=True):
    """What decides a line beside its sound."""

    weights_sha256: Annotated[str, msgspec.Meta(description="Of the model's weights and settings.")]
    tta: Annotated[int, msgspec.Meta(ge=1)]
    top_k: Annotated[int, msgspec.Meta(ge=1)]
    min_score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
    windows: bool
    runtime: Literal["onnx", "torch"]
    hop_seconds: float | None = None


class PredictionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One sound and what the network made of it; a line each where there are several.

    Fields may be added within escnn.prediction/1; none is taken away or changes its meaning.
    """

    schema: Literal["escnn.prediction/1"] = SCHEMA
    path: Annotated[
        str,
        msgspec.Meta(
            description="The sound as it was named; - is stdin. Bytes of a name that are not UTF-8 are lone surrogates."
        ),
    ]
    status: Literal["ok", "error"]
    duration_seconds: Annotated[float, msgspec.Meta(gt=0.0)] | None
    windows: Annotated[int, msgspec.Meta(ge=0, description="Windows whose scores were averaged.")]
    predictions: Annotated[list[ClassScore], msgspec.Meta(description="Best first.")]
    model: ModelReference
    warnings: list[str] = []
    error: ErrorDetail | None = None
    window_scores: Annotated[
        list[WindowScores] | msgspec.UnsetType, msgspec.Meta(description="In order of time; with --windows only.")
    ] = msgspec.UNSET
    settings: Annotated[
        ScoringSettings | msgspec.UnsetType,
        msgspec.Meta(description="With --resume only, which goes on in the same way or not at all."),
    ] = msgspec.UNSET


def document(**fields: Any) -> dict[str, Any]:
    """The fields of a `PredictionDocument` as JSON types."""
    built: dict[str, Any] = msgspec.to_builtins(PredictionDocument(**fields))
    return built


def schema() -> dict[str, Any]:
    """The JSON Schema of what `escnn predict` writes, made from the type that is written."""
    definitions = msgspec.json.schema(PredictionDocument)["$defs"]
    for struct in (ClassScore, WindowScores, ScoringSettings, ModelReference, ErrorDetail, PredictionDocument):
        asked_for = [field.name for field in msgspec.structs.fields(struct) if field.default is msgspec.UNSET]
        written = [name for name in struct.__struct_fields__ if name not in asked_for]
        definitions[struct.__name__]["required"] = written  # defaults are written, too
    status_is_ok = {"properties": {"status": {"const": "ok"}}}
    of_predictions = {"error": {"type": "null"}, "windows": {"minimum": 1}, "duration_seconds": {"type": "number"}}
    of_failures = {"error": {"type": "object"}, "predictions": {"maxItems": 0}, "duration_seconds": {"type": "null"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        **definitions.pop(PredictionDocument.__name__),
        "title": "A result of escnn predict",
        "description": inspect.getdoc(PredictionDocument),
        "if": status_is_ok,
        "then": {"properties": of_predictions},
        "else": {"properties": of_failures},
        "$defs": definitions,
    }


def csv_header(*, windows: bool = False) -> str:
    """The names of the columns; with `windows`, those of when a window starts and ends as well."""
    return csv_line((*CSV_COLUMNS[:3], *(WINDOW_COLUMNS if windows else ()), *CSV_COLUMNS[3:]))


def csv_lines(document: Mapping[str, Any], *, windows: bool = False) -> Iterator[str]:
    """A prediction as lines of CSV, one an answer; a sound without an answer has one line all the same.

    With `windows` it is the answers of each window, which the document must hold.
    """
    about: tuple[Any, ...] = (path_cell(document["path"]), document["status"], document["duration_seconds"])
    for window in document.get("window_scores", ()):
        yield from _answers((*about, window["start_seconds"], window["end_seconds"]), window["predictions"], "")
    if windows and "window_scores" in document:
        return
    about += ("", "") if windows else ()
    yield from _answers(
        about, document["predictions"], path_cell(document["error"]["message"]) if document["error"] else ""
    )


def _answers(about: Sequence[Any], predictions: Sequence[Mapping[str, Any]], error: str) -> Iterator[str]:
    if not predictions:
        yield csv_line((*about, "", "", "", "", error))
    for rank, item in enumerate(predictions, start=1):
        yield csv_line((*about, rank, item["label"], item["class_id"], item["score"], ""))


def csv_line(cells: Sequence[Any]) -> str:
    """Cells as a line of CSV without its end; bytes of names that are not UTF-8 are escaped."""
    text = io.StringIO()
    csv.writer(text, lineterminator=LINE_END).writerow(cells)
    return utf8(text.getvalue()[:-2])


def path_cell(path: str) -> str:
    """A path, or what begins with one, as a cell of CSV. Spreadsheets run what begins as a formula does: before such a
    name stands ``./``, with which it means the same file. ``-``, which is stdin, stays.
    """
    return f"./{path}" if path.startswith(_FORMULA) and path != "-" else path


def utf8(text: str) -> str:
    """Text in which bytes of names that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
