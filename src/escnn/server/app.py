"""The web application: its routes, what stands before them, and its description as OpenAPI."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from escnn.analysis.formats import AnalysisDocument
from escnn.detection.output.formats import EventDocument, RecordingDocument
from escnn.inference import formats
from escnn.live.formats import LiveDocument
from escnn.server.edge.body import Budget
from escnn.server.edge.guard import Guard
from escnn.server.edge.metrics import Metrics
from escnn.server.edge.problems import OTHERS, ProblemError
from escnn.server.engine import Engine
from escnn.server.routes import events, page, sounds, state, stream
from escnn.server.settings import VARIABLE, ServerSettings


class ErrorBody(msgspec.Struct):
    """Why a request was not answered."""

    code: str
    message: str
    hint: str | None


class Problem(msgspec.Struct):
    """The body of every answer that is not a result."""

    error: ErrorBody


class Grid(msgspec.Struct):
    """A picture: rows of numbers, the lowest frequencies first."""

    shape: tuple[int, int]
    values: list[list[float]]


class Waveform(msgspec.Struct):
    """Lowest and highest samples in turn, so many a second."""

    values: list[float]
    sample_rate: float
    duration: float


class Confidence(msgspec.Struct, rename={"label": "class"}):
    """One answer."""

    label: str
    confidence: float


class Inference(msgspec.Struct):
    """The answer of the project that escnn re-creates."""

    predictions: list[Confidence]
    visualization: dict[str, Grid]
    input_spectrogram: Grid
    waveform: Waveform


def create_app(settings: ServerSettings, parent: BaseProcess | None = None) -> FastAPI:
    """The application; it loads its model when it starts, and ends when `parent` does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = engine = Engine(settings)
        if parent is not None:
            asyncio.get_running_loop().add_reader(parent.sentinel, os.kill, os.getpid(), signal.SIGTERM)
        try:
            yield
        finally:
            engine.stop()

    app = FastAPI(title="escnn", lifespan=lifespan, docs_url=None, redoc_url=None, exception_handlers=_HANDLERS)
    app.state.metrics, app.state.budget = Metrics(), Budget()
    for routes in (state, sounds, events, stream, page):
        app.include_router(routes.router)
    app.openapi = lambda: _described(app, with_token=settings.token is not None)  # type: ignore[method-assign]
    app.add_middleware(Guard, settings=settings, metrics=app.state.metrics)
    if settings.cors_origins:  # around it, so that a page may read why it was refused
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
        )
    return app


def from_environment() -> FastAPI:
    """The application of one worker of several."""
    settings = msgspec.json.decode(os.environ[VARIABLE], type=ServerSettings)
    return create_app(settings, None if sys.platform == "win32" else multiprocessing.parent_process())


async def _refuse(request: Request, error: Exception) -> NoReturn:
    assert isinstance(error, HTTPException)  # noqa: S101 - by the table below
    said = {404: "nothing is here", 405: "not with this method"}.get(error.status_code, str(error.detail))
    problem = ProblemError(error.status_code, said, code=OTHERS.get(error.status_code, "http"))
    problem.headers |= error.headers or {}
    raise problem from error


async def _refuse_parameters(request: Request, error: Exception) -> NoReturn:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - by the table below
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    raise ProblemError(422, f"{where}: {first['msg']}") from error


_HANDLERS: Any = {
    HTTPException: _refuse,
    RequestValidationError: _refuse_parameters,
    WebSocketRequestValidationError: stream.refuse_parameters,
}  # `Guard` tells what they raise


def _described(app: FastAPI, *, with_token: bool) -> dict[str, Any]:
    if app.openapi_schema is None:
        description = get_openapi(title=app.title, version="1", routes=app.routes)
        schemas = description.setdefault("components", {}).setdefault("schemas", {})
        template = "#/components/schemas/{name}"
        for name, kind in {
            "Analysis": AnalysisDocument,
            "Event": EventDocument,
            "Recording": RecordingDocument,
            "LiveEvent": LiveDocument,
            "Problem": Problem,
            "Inference": Inference,
            "Prediction": formats.PredictionDocument,
        }.items():
            (reference,), more = msgspec.json.schema_components([kind], ref_template=template)
            schemas |= {key: value for key, value in more.items() if key != kind.__name__}
            schemas[name] = more[reference["$ref"].rpartition("/")[2]]
        schemas["DetectionLine"] = {
            "anyOf": [{"$ref": template.format(name=name)} for name in ("Event", "Recording", "Problem")]
        }
        if with_token:
            description["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            description["security"] = [{"token": []}]
        app.openapi_schema = description
    return app.openapi_schema
