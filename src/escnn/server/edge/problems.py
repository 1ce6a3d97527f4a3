"""What a request that cannot be answered is told: a status, and a body like that of `escnn predict`'s errors."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.types import Send

from escnn.errors import AudioError

RETRY_SECONDS = 1
STATUS_OF_CODE = {"not_audio": 415, "too_long": 413}  # every other sound that cannot be read is 422
OTHERS = {
    400: "bad_request", 401: "unauthorized", 403: "origin", 404: "not_found", 405: "method", 408: "too_slow",
    411: "length_required", 413: "too_large", 415: "media_type", 421: "host", 422: "invalid", 426: "upgrade",
    429: "too_many", 500: "bug", 501: "not_here", 503: "busy",
}  # fmt: skip


class ProblemError(Exception):
    """Ends a request with `status`; ``hint`` says how to mend it."""

    def __init__(
        self, status: int, message: str, *, hint: str | None = None, code: str | None = None, retry: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint
        self.code = code or OTHERS[status]
        self.headers: dict[str, str] = {"retry-after": str(RETRY_SECONDS)} if retry else {}
        if status == 401:
            self.headers["www-authenticate"] = "Bearer"
        if status in (408, 413):
            self.headers["connection"] = "close"  # what else is being sent is not read

    def body(self) -> dict[str, Any]:
        """As JSON types."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


def busy() -> ProblemError:
    """There is no room for a request."""
    return ProblemError(503, "busy: too much is asked at once", hint="try again in a moment", retry=True)


def unreadable(error: AudioError) -> ProblemError:
    """There is no sound to be had from what was sent."""
    return ProblemError(STATUS_OF_CODE.get(error.code, 422), error.message, hint=error.hint, code=error.code)


async def respond(problem: ProblemError, send: Send, kind: str = "http.response") -> None:
    """Send the answer to a request that ends with a problem, in messages of this kind of ASGI's."""
    body = msgspec.json.encode(problem.body())
    headers = {"content-type": "application/json", "content-length": str(len(body)), **problem.headers}
    await send(
        {
            "type": f"{kind}.start",
            "status": problem.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": f"{kind}.body", "body": body})
