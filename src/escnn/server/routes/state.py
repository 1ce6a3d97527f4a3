"""How the server is, and which model answers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

router = APIRouter(tags=["state"])


@router.get("/healthz", summary="The process runs.")
async def healthz() -> dict[str, str]:
    """Whether the process runs."""
    return {"status": "ok"}


@router.get("/readyz", summary="Sounds can be sent.")
async def readyz() -> dict[str, str]:
    """Whether sounds can be sent: the server listens once its model is loaded."""
    return {"status": "ready"}


@router.get("/metrics", summary="What was counted, for Prometheus.", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """What was counted so far."""
    return Response(request.app.state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/model", summary="The model that answers.")
async def model(request: Request) -> dict[str, Any]:
    """Its name, hash, classes, what it hears, and how it scored."""
    card = request.app.state.engine.classifier.card
    accuracy = card.accuracy
    return {
        **card.describe(),
        "labels": list(card.labels),
        "sample_rate": card.audio.sample_rate,
        "window_seconds": card.audio.clip_seconds,
        "layers": list(card.layers),
        "accuracy": None if accuracy is None else {"value": round(accuracy[0], 4), "measured": accuracy[1]},
    }
