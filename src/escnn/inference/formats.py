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
CSV_COLUMNS = ("path", "status", "duration_seconds", "rank", "label", "class_id", "score", "error")


class ClassScore(msgspec.Struct, frozen=True):
    """One answer."""

    label: str
    class_id: Annotated[int, msgspec.Meta(ge=0)]
    score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


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


def document(**fields: Any) -> dict[str, Any]:
    """The fields of a `PredictionDocument` as JSON types."""
    built: dict[str, Any] = msgspec.to_builtins(PredictionDocument(**fields))
    return built


def schema() -> dict[str, Any]:
    """The JSON Schema of what `escnn predict` writes, made from the type that is written."""
    definitions = msgspec.json.schema(PredictionDocument)["$defs"]
    for struct in (ClassScore, ModelReference, ErrorDetail, PredictionDocument):
        definitions[struct.__name__]["required"] = list(struct.__struct_fields__)  # defaults are written, too
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


def csv_header() -> str:
    """The names of the columns."""
    return csv_line(CSV_COLUMNS)


def csv_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """A prediction as lines of CSV, one an answer; a sound without an answer has one line all the same."""
    path, status, seconds = document["path"], document["status"], document["duration_seconds"]
    if not document["predictions"]:
        message = document["error"]["message"] if status == "error" else ""
        yield csv_line((path, status, seconds, "", "", "", "", message))
    for rank, item in enumerate(document["predictions"], start=1):
        yield csv_line((path, status, seconds, rank, item["label"], item["class_id"], item["score"], ""))


def csv_line(cells: Sequence[Any]) -> str:
    """Cells as a line of CSV without its end; bytes of names that are not UTF-8 are escaped."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)  # without an end of line it quotes no newlines
    return text.getvalue()[:-1].encode("utf-8", "backslashreplace").decode("utf-8")
