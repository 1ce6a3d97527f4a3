"""The page that asks for everything else, and the demo sounds that it offers."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

from fastapi import APIRouter, Response

from escnn.audio.demo_sounds import DEMO_SOUNDS, RATE, synthesized
from escnn.audio.encoding import encode
from escnn.server.edge.problems import ProblemError

router = APIRouter(tags=["page"])
_TEXT: dict[str, Any] = {"response_class": Response, "include_in_schema": False}


@router.get("/", **_TEXT)
async def page() -> Response:
    """Drop a sound, choose one, record one; see what it is, and the page of `visualize`."""
    return Response(
        _file("page.html"), media_type="text/html; charset=utf-8", headers={"content-security-policy": _policy()}
    )


def _serve(name: str, media_type: str) -> None:
    """A file of the page as it is."""

    @router.get(f"/{name}", name=name, **_TEXT)
    async def file() -> Response:
        return Response(_file(name), media_type=media_type)


_serve("page.css", "text/css; charset=utf-8")
_serve("page.js", "text/javascript; charset=utf-8")
_serve("live.css", "text/css; charset=utf-8")
_serve("live.js", "text/javascript; charset=utf-8")
_serve("recorder.js", "text/javascript; charset=utf-8")  # hears the microphone, in a thread of the browser's
_serve("icon.svg", "image/svg+xml")


@router.get("/demo/{name}.wav", **_TEXT)
async def demo(name: str) -> Response:
    """A sound that is computed."""
    if name not in DEMO_SOUNDS:
        raise ProblemError(404, "no such demo sound", hint=f"there are {', '.join(DEMO_SOUNDS)}")
    return Response(_demo(name), media_type="audio/wav")


@functools.cache
def _demo(name: str) -> bytes:
    return encode(synthesized(name), RATE, "WAV")


@functools.cache
def _file(name: str) -> str:
    return (resources.files("escnn.server") / "page" / name).read_text(encoding="utf-8")


@functools.cache
def _policy() -> str:
    """Nothing but this server's own files; and, in the frame of a report, the styles and scripts of reports."""
    style = script = ""
    try:
        from escnn.report.html import hashes
        from escnn.report.recording import page as recording
        from escnn.report.sound import page as sound

        for report in (sound, recording):
            styles, scripts = hashes(report.STYLES, report.SCRIPTS)
            style, script = f"{style} '{styles}'", f"{script} '{scripts}'"
    except ImportError:
        pass  # the light install: there are no reports
    return (
        f"default-src 'none'; connect-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
        f"style-src 'self'{style}; script-src 'self'{script}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
