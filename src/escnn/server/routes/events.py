"""Send a sound, get what sounds when in it, an event as soon as it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.types import Receive, Scope, Send

from escnn.errors import UsageError
from escnn.server.detection import EventsWanted
from escnn.server.edge.problems import ProblemError
from escnn.server.engine import Engine
from escnn.server.routes.sounds import PROBLEMS, SOUND, Name, sound_of, taken_on, unless_gone

router = APIRouter(tags=["sounds"])
LINES = "application/x-ndjson"
Classes = Annotated[
    list[str], Query(alias="class", max_length=1_000, description="Tell of this class only; again for more.")
]
MinScore = Annotated[
    float | None, Query(ge=0, le=1, description="That a frame of an event reaches; default: the model's.")
]
Seconds = Annotated[float | None, Query(ge=0, le=60)]


def events_wanted(
    engine: Engine, classes: list[str], min_score: float | None, min_seconds: float | None, merge_seconds: float | None
) -> EventsWanted:
    """What was asked for; a `ProblemError` if the model has no such class."""
    changes = {"onset_score": min_score, "min_seconds": min_seconds, "merge_seconds": merge_seconds}
    try:
        return EventsWanted(engine.classifier, classes, changes)
    except UsageError as error:
        raise ProblemError(422, error.message, hint=error.hint) from error


class LinesResponse(Response):
    """JSON Lines, each sent as soon as it is there, and no more once the client has gone. `held` is let go at the end.

    Starlette's own runs in a task of its own, where what the request holds cannot be given back.
    """

    media_type = LINES

    def __init__(self, lines: AsyncIterator[dict[str, Any]], held: AsyncExitStack) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._lines, self._held = lines, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        leaving = asyncio.ensure_future(gone())
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                async with self._held:
                    async for line in self._lines:
                        if leaving.done():
                            return
                        await send(_piece(line))
            except ProblemError as problem:  # it took too long: a line of its own is all that can still be said
                await send(_piece(problem.body()))
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            with suppress(asyncio.CancelledError):
                await leaving


def _piece(line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "http.response.body", "body": msgspec.json.encode(line) + b"\n", "more_body": True}


@router.post(
    "/v1/detect",
    summary="Find what sounds when.",
    response_class=Response,
    responses={
        200: {
            "description": "A line of JSON an event, as it is found, and one that ends the recording, or an `error`.",
            "content": {LINES: {"schema": {"$ref": "#/components/schemas/DetectionLine"}}},
        },
        **PROBLEMS,
    },
    openapi_extra=SOUND,
)
async def detect(
    request: Request,
    classes: Classes = [],  # noqa: B006 - FastAPI copies it
    min_score: MinScore = None,
    min_seconds: Seconds = None,
    merge_seconds: Seconds = None,
    name: Name = "sound",
) -> Response:
    """The lines that `escnn detect` writes."""
    wanted = events_wanted(request.app.state.engine, classes, min_score, min_seconds, merge_seconds)
    async with AsyncExitStack() as stack:
        share = stack.enter_context(request.app.state.budget.share())
        content, told = await sound_of(request, share)
        engine = await stack.enter_async_context(taken_on(request))
        await unless_gone(request, stack.enter_async_context(engine.detecting))
        recording, lines = await unless_gone(request, engine.detect(content, told, wanted))
        held = stack.pop_all()
    request.app.state.metrics.sound_seconds.inc(recording.seconds)
    return LinesResponse(lines, held)
