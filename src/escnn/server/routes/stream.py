"""A sound in, through a socket, and what becomes known of it out, while it sounds."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response, WebSocket, WebSocketDisconnect
from fastapi.exceptions import WebSocketRequestValidationError
from starlette.websockets import WebSocketState

from escnn.live.pcm import PcmFormat
from escnn.server.edge.problems import ProblemError, busy
from escnn.server.edge.sockets import PROTOCOL, close_reason
from escnn.server.routes.events import Classes, MinScore, Seconds, events_wanted
from escnn.server.routes.sounds import PROBLEMS
from escnn.server.streams import FullError, Stream, Streams

router = APIRouter(tags=["sounds"])
MOST_MESSAGE = 262_144  # bytes: 3 s of 16 bits at 44.1 kHz
END = "end"  # the text that asks for what is left
Rate = Annotated[int, Query(ge=1_000, le=384_000, description="Of the samples, in Hz.")]
Encoding = Annotated[
    str, Query(pattern="^(s16le|f32le)$", description="Of the samples, which are mono: s16le or f32le.")
]
Scores = Annotated[int, Query(ge=0, le=100, description="Tell so many of the best classes at every step.")]
# What a socket is closed with (RFC 6455).
_NORMAL, _UNSUPPORTED, _POLICY, _TOO_BIG, _BUG, _AGAIN = 1000, 1003, 1008, 1009, 1011, 1013


@router.get(
    "/v1/stream",
    summary="Events while they sound: a WebSocket.",
    response_class=Response,
    responses={
        101: {"description": "Send PCM as binary messages and `end` as text; get escnn.live/1 lines as text."},
        403: {"description": "A page of another origin asks.", **PROBLEMS[422]},
        426: {"description": "This is no WebSocket.", "content": PROBLEMS[422]["content"]},
        **{status: PROBLEMS[status] for status in (401, 422, 429, 503)},
    },
)
async def stream_without_socket(
    rate: Rate = 44_100,
    encoding: Encoding = "s16le",
    classes: Classes = [],  # noqa: B006 - FastAPI copies it
    min_score: MinScore = None,
    min_seconds: Seconds = None,
    merge_seconds: Seconds = None,
    scores: Scores = 0,
) -> Response:
    """See the README for an example. A token is sent as `Authorization`, or as the subprotocol `token.BASE64URL`."""
    problem = ProblemError(426, "this address is a WebSocket's", hint="connect to ws://, not to http://")
    problem.headers["upgrade"] = "websocket"
    raise problem


@router.websocket("/v1/stream")
async def stream(
    socket: WebSocket,
    rate: Rate = 44_100,
    encoding: Encoding = "s16le",
    classes: Classes = [],  # noqa: B006 - FastAPI copies it
    min_score: MinScore = None,
    min_seconds: Seconds = None,
    merge_seconds: Seconds = None,
    scores: Scores = 0,
) -> None:
    """Hear one client, until it ends, goes away, or is idle for too long."""
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
    engine, streams = socket.app.state.engine, socket.app.state.engine.streams
    try:
        wanted = events_wanted(engine, classes, min_score, min_seconds, merge_seconds)
        with streams.place(), socket.app.state.metrics.streams.track_inprogress():
            one = Stream(engine.classifier, PcmFormat(rate, 1, encoding), wanted, scores)
            try:
                await _hear(socket, streams, one, engine.settings.stream_idle_seconds)
            finally:
                socket.app.state.metrics.sound_seconds.inc(one.seconds)
    except FullError:
        problem = busy()
        problem.message = f"busy: {streams.most} streams are under way, as many as this server takes"
        await _refuse(socket, problem, _AGAIN)
    except ProblemError as problem:
        await _refuse(socket, problem, _POLICY)
    except WebSocketDisconnect:
        pass


async def refuse_parameters(socket: WebSocket, error: Exception) -> None:
    """Tell why a stream cannot be as it was asked for."""
    assert isinstance(error, WebSocketRequestValidationError)  # noqa: S101 - by the table of handlers
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    if socket.client_state is WebSocketState.CONNECTING:
        await socket.accept(subprotocol=PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
    await _refuse(socket, ProblemError(422, f"{where}: {first['msg']}"), _POLICY)


async def _hear(socket: WebSocket, streams: Streams, one: Stream, idle_seconds: float) -> None:
    card = streams.classifier.card
    await _send(
        socket, {"schema": "escnn.stream/1", "model": card.describe(), "step_seconds": _step(card)}, idle_seconds
    )
    while True:
        try:
            message = await asyncio.wait_for(socket.receive(), idle_seconds)
        except TimeoutError:
            await _tell(socket, await streams.run(one.end), idle_seconds)
            raise ProblemError(408, f"nothing came for {idle_seconds:g} seconds") from None
        if message["type"] == "websocket.disconnect":
            return
        data = message.get("bytes")
        if data is None:
            if message.get("text") != END:
                raise ProblemError(415, "neither PCM nor `end`", hint="send samples as binary messages")
            await _tell(socket, await streams.run(one.end), idle_seconds)
            await socket.close(_NORMAL, "the end")
            return
        if len(data) > MOST_MESSAGE:
            raise ProblemError(413, f"a message of more than {MOST_MESSAGE} bytes", hint="send shorter ones, oftener")
        await _tell(socket, await streams.run(one.feed, data), idle_seconds)


def _step(card: Any) -> float:
    return float(round(card.frame_geometry.grid * card.audio.hop_length / card.audio.sample_rate, 4))


async def _tell(socket: WebSocket, lines: list[dict[str, Any]], seconds: float) -> None:
    for line in lines:
        await _send(socket, line, seconds)


async def _send(socket: WebSocket, line: dict[str, Any], seconds: float) -> None:
    """Send a line to a client that may have stopped reading."""
    try:
        await asyncio.wait_for(socket.send_text(msgspec.json.encode(line).decode()), seconds)
    except TimeoutError:
        raise WebSocketDisconnect from None


async def _refuse(socket: WebSocket, problem: ProblemError, code: int) -> None:
    """Say why, in a message and in a few words, and close."""
    code = {413: _TOO_BIG, 415: _UNSUPPORTED}.get(problem.status, code)
    try:
        await socket.send_text(msgspec.json.encode(problem.body()).decode())
        await socket.close(code, close_reason(problem.message))
    except (WebSocketDisconnect, RuntimeError):
        pass  # it has gone
