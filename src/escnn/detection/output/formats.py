"""How detections are written: a line of JSON an event, one that ends a recording, and the schemas of both."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal

import msgspec

from escnn.detection.detector import Event
from escnn.detection.frame_scores import Recording
from escnn.inference.formats import ErrorDetail, ModelReference
from escnn.model.card import ModelCard

EVENT: Literal["escnn.event/1"] = "escnn.event/1"
RECORDING: Literal["escnn.recording/1"] = "escnn.recording/1"
Seconds = Annotated[float, msgspec.Meta(ge=0.0)]
Clock = Annotated[
    str | msgspec.UnsetType,
    msgspec.Meta(description="As ISO 8601, where the clock time of the recording is known; local unless it says more."),
]


class EventDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A sound of a known class in a recording. They come in the order in which they end.

    Fields may be added within escnn.event/1; none is taken away or changes its meaning.
    """

    schema: Literal["escnn.event/1"] = EVENT
    path: Annotated[str, msgspec.Meta(description="The recording as it was named; - is stdin.")]
    start_seconds: Seconds
    end_seconds: Seconds
    peak_seconds: Annotated[float, msgspec.Meta(ge=0.0, description="Where its score is highest.")]
    label: str
    class_id: Annotated[int, msgspec.Meta(ge=0)]
    score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0, description="The highest of its frames.")]
    start_time: Clock = msgspec.UNSET
    end_time: Clock = msgspec.UNSET


class DetectionSettings(msgspec.Struct, frozen=True):
    """What decides the events of a recording beside its sound."""

    weights_sha256: Annotated[str, msgspec.Meta(description="Of the model's weights and settings.")]
    runtime: Literal["onnx", "torch"]
    onset_score: float
    offset_share: float
    min_seconds: float
    merge_seconds: float
    median_frames: int
    classes: Annotated[list[str], msgspec.Meta(description="Those that were asked for; empty: all.")] = []
    start_time: str | None = None
    time_pattern: str | None = None
    time_zone: str | None = None
    thresholds: Annotated[
        dict[str, Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]],
        msgspec.Meta(description="Onset scores of classes for which that above does not hold."),
    ] = {}


class RecordingDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a recording: that it was read to its end and how many events were found, or why it was not.

    Fields may be added within escnn.recording/1; none is taken away or changes its meaning.
    """

    schema: Literal["escnn.recording/1"] = RECORDING
    path: str
    status: Literal["ok", "error"]
    duration_seconds: Annotated[float, msgspec.Meta(gt=0.0)] | None
    events: Annotated[int, msgspec.Meta(ge=0, description="That were told before this line.")]
    warnings: list[str] = []
    error: ErrorDetail | None = None
    model: ModelReference
    settings: DetectionSettings
    start_time: Clock = msgspec.UNSET


def event_document(path: str, event: Event, start_time: str | None, end_time: str | None) -> dict[str, Any]:
    """An event as JSON types, with the clock times of its start and end if they are known."""
    document: dict[str, Any] = msgspec.to_builtins(
        EventDocument(
            path=path,
            start_seconds=event.start,
            end_seconds=event.end,
            peak_seconds=event.peak,
            label=event.label,
            class_id=event.class_id,
            score=round(event.score, 4),
            start_time=start_time or msgspec.UNSET,
            end_time=end_time or msgspec.UNSET,
        )
    )
    return document


def recording_document(
    recording: Recording, events: int, card: ModelCard, settings: DetectionSettings, start_time: str | None
) -> dict[str, Any]:
    """The end of a recording as JSON types."""
    error = recording.error
    document: dict[str, Any] = msgspec.to_builtins(
        RecordingDocument(
            path=recording.name,
            status="ok" if error is None else "error",
            duration_seconds=recording.seconds or None,
            events=events,
            warnings=list(recording.warnings),
            error=None if error is None else ErrorDetail(error.code, error.message, error.hint),
            model=msgspec.convert(card.describe(), ModelReference),
            settings=settings,
            start_time=start_time or msgspec.UNSET,
        )
    )
    return document


def schema() -> dict[str, Any]:
    """The JSON Schema of a line that `escnn detect` writes, made from the types that are written."""
    _, definitions = msgspec.json.schema_components([EventDocument, RecordingDocument], ref_template="#/$defs/{name}")
    for struct in (EventDocument, RecordingDocument, DetectionSettings, ModelReference, ErrorDetail):
        required = [field.name for field in msgspec.structs.fields(struct) if field.default is not msgspec.UNSET]
        definitions[struct.__name__]["required"] = required  # defaults are written, too
    for struct in (EventDocument, RecordingDocument):
        definitions[struct.__name__]["description"] = inspect.getdoc(struct)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "escnn.detection/1",
        "title": "A line of escnn detect",
        "anyOf": [{"$ref": "#/$defs/EventDocument"}, {"$ref": "#/$defs/RecordingDocument"}],
        "$defs": definitions,
    }
