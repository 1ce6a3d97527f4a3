"""Who may open a socket: browsers send no header that a page could choose, and let any page connect to any server."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope, Send

from escnn.server.edge.problems import ProblemError, respond

PROTOCOL = "escnn.live"  # the subprotocol that is answered with
_TOKEN = "token."  # noqa: S105 - how the subprotocol begins that holds one, in base64url


def close_reason(message: str) -> str:
    """As much of a message as a socket may be closed with: 123 bytes (RFC 6455)."""
    return message.encode()[:123].decode("utf-8", "ignore")


def check_origin(headers: Headers, allowed: tuple[str, ...]) -> None:
    """Refuse a page of another origin, unless it is one of those `allowed`; programs send no origin.

    Raises:
        ProblemError: it is another one.
    """
    for origin in headers.getlist("origin"):
        if origin in allowed or "*" in allowed:
            continue
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or parts.netloc.lower() != headers.get("host", "").lower():
            raise ProblemError(403, "a page of another origin may not ask", hint="--cors-origin names those that may")


def token_of(headers: Headers) -> str:
    """The token that a browser sent as a subprotocol, as it sends no header `Authorization`; empty if there is none."""
    for offered in ",".join(headers.getlist("sec-websocket-protocol")).split(","):
        if offered.strip().startswith(_TOKEN):
            data = offered.strip().removeprefix(_TOKEN)
            try:
                return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)).decode("latin-1")
            except (binascii.Error, ValueError):
                return ""
    return ""


async def deny(problem: ProblemError, scope: Scope, send: Send) -> None:
    """Answer a request for a socket with a problem in place of one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": close_reason(problem.message)})
        return
    await respond(problem, send, "websocket.http.response")
