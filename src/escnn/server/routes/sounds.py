"""Send a sound, get its names, or all that the network made of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response

from escnn.errors import AudioError
from escnn.inference import formats
from escnn.server.edge.body import Share, read_base64_sound, read_sound
from escnn.server.edge.problems import ProblemError, busy, unreadable
from escnn.server.engine import AnalysisError, BusyError, Engine
from escnn.server.model_project import CLASSES
from escnn.server.workers.analyzer import Kind

Answer = TypeVar("Answer")
router = APIRouter(tags=["sounds"])
TopK = Annotated[int, Query(ge=1, le=1_000, description="How many classes to name.")]
MinScore = Annotated[float, Query(ge=0, le=1, description="Name no class below this score.")]
Windows = Annotated[bool, Query(description="Give the scores of every window as well.")]
Name = Annotated[str, Query(max_length=255, description="What to call a sound that is sent without a form.")]

_PROBLEM = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_MEANINGS = {
    400: "The form is damaged.",
    401: "The token is missing or wrong.",
    408: "The sound came too slowly.",
    413: "The sound is too large or too long.",
    415: "What was sent is no sound.",
    422: "The sound, or a parameter, cannot be read.",
    429: "Too many requests from this address.",
    501: "This needs a package that is not installed.",
    503: "Busy; try again.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, **_PROBLEM} for status, meaning in _MEANINGS.items()
}
_BINARY = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}
SOUND = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": _BINARY}, "multipart/form-data": {"schema": _FORM}},
    }
}
BASE64 = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"audio_data": {"type": "string", "description": "A sound file, in base64."}},
                    "required": ["audio_data"],
                }
            }
        },
    }
}


def answers(schema: str, *others: str) -> dict[int | str, dict[str, Any]]:
    """What a route may answer: JSON of a schema, or text of another type."""
    text = {kind: {"schema": {"type": "string"}} for kind in others}
    return {
        200: {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}, **text}},
        **PROBLEMS,
    }


@asynccontextmanager
async def taken_on(request: Request) -> AsyncIterator[Engine]:
    """A place in the queue; what goes wrong in it becomes the answer."""
    engine: Engine = request.app.state.engine
    try:
        with engine.place(), request.app.state.metrics.in_hand.track_inprogress():
            async with asyncio.timeout(engine.settings.timeout_seconds):
                yield engine
    except (BusyError, TimeoutError) as error:
        raise busy() from error
    except AudioError as error:
        raise unreadable(error) from error
    except AnalysisError as error:
        raise ProblemError(501 if error.is_missing else 503, str(error), hint=error.hint) from error


async def unless_gone(request: Request, answer: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer, unless the client goes away: then what waits is not worked on."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ProblemError(400, "the connection was cut")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def sound_of(request: Request, share: Share) -> tuple[bytes, str]:
    """The sound that was sent, and its name."""
    settings = request.app.state.engine.settings
    return await read_sound(request, settings.max_bytes, settings.timeout_seconds, share)


def wants(request: Request, kind: str) -> bool:
    """Whether the answer shall be of a media type other than JSON."""
    for part in request.headers.get("accept", "").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name == kind:
            return not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return False


@router.post(
    "/v1/predict",
    summary="Name a sound.",
    response_class=Response,
    responses=answers("Prediction", "text/csv"),
    openapi_extra=SOUND,
)
async def predict(
    request: Request, top_k: TopK = 5, min_score: MinScore = 0.0, windows: Windows = False, name: Name = "sound"
) -> Response:
    """The document that `escnn predict` writes; with `Accept: text/csv` its rows."""
    with request.app.state.budget.share() as share:
        content, told = await sound_of(request, share)
        async with taken_on(request) as engine:
            prediction = await unless_gone(request, engine.predict(content, told))
    request.app.state.metrics.sound_seconds.inc(prediction.seconds)
    document = prediction.to_json(top_k=top_k, min_score=min_score, windows=windows)
    if wants(request, "text/csv"):
        lines = [formats.csv_header(windows=windows), *formats.csv_lines(document, windows=windows)]
        return Response("".join(f"{line}\r\n" for line in lines), media_type="text/csv")
    return Response(msgspec.json.encode(document), media_type="application/json")


@router.post(
    "/v1/analyze",
    summary="All that the network made of a sound.",
    response_class=Response,
    responses=answers("Analysis", "text/html"),
    openapi_extra=SOUND,
)
async def analyze(request: Request, top_k: TopK = 5, name: Name = "sound") -> Response:
    """Scores, waveform, spectrogram, feature maps and evidence; with `Accept: text/html` the page of `visualize`."""
    kind: Kind = "page" if wants(request, "text/html") else "analysis"
    with request.app.state.budget.share() as share:
        content, told = await sound_of(request, share)
        async with taken_on(request) as engine:
            answer = await unless_gone(request, engine.analyze(kind, content, told, top_k))
    return Response(answer, media_type="text/html; charset=utf-8" if kind == "page" else "application/json")


@router.post(
    "/inference",
    summary="The endpoint of the project that escnn re-creates.",
    response_class=Response,
    responses=answers("Inference"),
    openapi_extra=BASE64,
)
async def inference(request: Request) -> Response:
    """The three best classes, every feature map, the spectrogram and the waveform of a sound in base64."""
    settings = request.app.state.engine.settings
    with request.app.state.budget.share() as share:
        content = await read_base64_sound(request, settings.max_bytes, settings.timeout_seconds, share)
        async with taken_on(request) as engine:
            answer = await unless_gone(request, engine.analyze("inference", content, "audio_data", CLASSES))
    return Response(answer, media_type="application/json")
