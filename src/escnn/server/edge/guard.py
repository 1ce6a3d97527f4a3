"""What stands before every route: who may ask, how often, and what every answer says to the browser."""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections import OrderedDict
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from escnn.server.edge.metrics import Metrics
from escnn.server.edge.problems import ProblemError, busy, respond
from escnn.server.edge.sockets import check_origin, deny, token_of
from escnn.server.settings import ServerSettings, is_loopback

OPEN = frozenset(
    {"/", "/page.css", "/page.js", "/live.css", "/live.js", "/recorder.js", "/icon.svg", "/healthz", "/readyz"}
)  # without token
MOST_REQUESTS = 1_000  # at once, those whose bodies are still coming among them
REMEMBERED_ADDRESSES = 10_000
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": "microphone=(self)",
}
_HOST = re.compile(r"(?:\[(?P<bracketed>[0-9a-fA-F:.]+)\]|(?P<bare>[^:@\[\]]+))(?::\d+)?")
log = logging.getLogger("escnn.server")


class Guard:
    """ASGI middleware. Errors of the program are logged and told as nothing but that."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._rates = _Rates(settings.requests_per_minute)
        self._requests = 0  # at this moment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server leaves the body out

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                told = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in told),
                ]
            await send(message)

        self._requests += 1
        try:
            self._check(scope, Headers(scope=scope))
            await self._app(scope, receive, sending)
        except ProblemError as problem:
            await respond(problem, sending)
        except Exception:
            log.exception("a bug in the server")
            if status == 0:
                await respond(ProblemError(500, "a bug in the server", hint="its log says more"), sending)
        finally:
            self._requests -= 1
            route = scope.get("route")
            path = getattr(route, "path", "other")  # not what was asked for: names without end
            self._metrics.requests.labels(scope["method"] if status != 405 else "other", path, status).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - started)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request for a socket through, or refuse it. How long it was open is nobody's waiting time."""
        headers, status = Headers(scope=scope), 101
        try:
            check_origin(headers, self._settings.cors_origins)
            self._check(scope, headers, token_of(headers))
            await self._app(scope, receive, send)
        except ProblemError as problem:
            status = problem.status
            await deny(problem, scope, send)
        except Exception:
            log.exception("a bug in the server")
            status = 500
            with suppress(Exception):
                await send({"type": "websocket.close", "code": 1011, "reason": "a bug in the server"})
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels("WEBSOCKET", path, status).inc()

    def _check(self, scope: Scope, headers: Headers, other_token: str = "") -> None:
        hosts = headers.getlist("host")
        if is_loopback(self._settings.host) and not (len(hosts) == 1 and is_loopback(_name(hosts[0]))):
            # A page elsewhere whose name leads to this machine may not ask in its visitor's browser.
            raise ProblemError(421, "this server answers as localhost only")
        method = scope.get("method", "POST")  # a socket costs as much
        if self._settings.token and scope["path"] not in OPEN and method != "OPTIONS":
            scheme, _, token = headers.get("authorization", f"bearer {other_token}").partition(" ")
            given = token.strip().encode("latin-1", "replace")
            right = hmac.compare_digest(given, self._settings.token.encode())
            if not right or scheme.lower() != "bearer":
                raise ProblemError(401, "a token is needed", hint="send the header Authorization: Bearer TOKEN")
        if self._requests > MOST_REQUESTS:
            raise busy()
        if method == "POST":
            client = scope.get("client")
            self._rates.count(client[0] if client else "")


def _name(host: str) -> str:
    """The name or address in a header `Host`, without its port."""
    found = _HOST.fullmatch(host)
    return (found["bare"] or found["bracketed"]) if found else ""


class _Rates:
    """How many requests each address may make: `per_minute`, as many at once; 0 is no bound."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> (requests left, when)

    def count(self, address: str) -> None:
        if not self._per_minute:
            return
        now = time.monotonic()
        left, then = self._left.pop(address, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - then) * self._per_minute / 60)
        self._left[address] = (max(0.0, left - 1), now)
        if len(self._left) > REMEMBERED_ADDRESSES:
            self._left.popitem(last=False)
        if left < 1:
            raise ProblemError(
                429, f"more than {self._per_minute} requests a minute", hint="try again in a moment", retry=True
            )
