"""How events are written while they sound: a line of JSON each time that something becomes known of one."""

from __future__ import annotations

import inspect
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from escnn.detection.output.formats import Clock, Seconds
from escnn.live.detector import LiveEvent

LIVE: Literal["escnn.live/1"] = "escnn.live/1"


class LiveDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What became known of an event: that one seems to begin (provisional), that there was none after all (withdrawn),
    or that it is over (final). The fields of a final one, from `path` to `score`, are those of `escnn detect`.

    Fields may be added within escnn.live/1; none is taken away or changes its meaning.
    """

    schema: Literal["escnn.live/1"] = LIVE
    id: Annotated[int, msgspec.Meta(ge=1, description="The same in all lines about an event.")]
    state: Literal["provisional", "withdrawn", "final"]
    told_seconds: Annotated[float, msgspec.Meta(ge=0.0, description="Of the sound, when this became known.")]
    path: Annotated[str, msgspec.Meta(description="Where the sound comes from; - is stdin.")]
    start_seconds: Seconds
    end_seconds: Annotated[Seconds | None, msgspec.Meta(description="null where it goes on, or nobody knows.")]
    peak_seconds: Annotated[float, msgspec.Meta(ge=0.0, description="Where its score is highest.")]
    label: str
    class_id: Annotated[int, msgspec.Meta(ge=0)]
    score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0, description="The highest of its frames, so far.")]
    start_time: Clock = msgspec.UNSET
    end_time: Clock = msgspec.UNSET


def live_document(path: str, found: LiveEvent, began: datetime | None = None, offset: float = 0.0) -> dict[str, Any]:
    """What became known, as JSON types.

    Args:
        path: where the sound comes from.
        found: what became known.
        began: when `path` began by the clock.
        offset: seconds from there to the start of the sound that its times are of.
    """
    event, is_over = found.event, found.state == "final"

    def moved(seconds: float) -> float:
        return round(seconds + offset, 3) if offset else seconds

    start, end = moved(event.start), moved(event.end) if is_over else None

    def clock(seconds: float | None) -> str | msgspec.UnsetType:
        if began is None or seconds is None:
            return msgspec.UNSET
        return (began + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")

    document: dict[str, Any] = msgspec.to_builtins(
        LiveDocument(
            id=found.id,
            state=found.state,
            told_seconds=round(found.told_seconds + offset, 3),
            path=path,
            start_seconds=start,
            end_seconds=end,
            peak_seconds=moved(event.peak),
            label=event.label,
            class_id=event.class_id,
            score=round(event.score, 4),
            start_time=clock(start),
            end_time=clock(end),
        )
    )
    return document


def schema() -> dict[str, Any]:
    """The JSON Schema of a line that `escnn listen` writes of an event, made from the type that is written."""
    (reference,), definitions = msgspec.json.schema_components([LiveDocument], ref_template="#/$defs/{name}")
    required = [field.name for field in msgspec.structs.fields(LiveDocument) if field.default is not msgspec.UNSET]
    definitions["LiveDocument"]["required"] = required
    definitions["LiveDocument"]["description"] = inspect.getdoc(LiveDocument)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": LIVE,
        "title": "A line of escnn listen about an event",
        **reference,
        "$defs": definitions,
    }
