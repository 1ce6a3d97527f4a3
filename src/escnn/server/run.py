"""A server that runs until it is told to stop, in one process or several."""

from __future__ import annotations

import errno
import functools
import os
import socket
import tempfile
import threading
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import msgspec
import uvicorn
from uvicorn.supervisors import Multiprocess

from escnn.errors import UsageError, reason
from escnn.model.model_file import read_model
from escnn.server.edge.metrics import SHARED_FOLDER
from escnn.server.edge.protocol import Protocol
from escnn.server.routes.stream import MOST_MESSAGE
from escnn.server.settings import VARIABLE, ServerSettings

CONNECTIONS = 10_000  # that are open at once; beyond, uvicorn refuses without saying when to come back
GRACE_SECONDS = 20  # to end what is in hand


def serve(settings: ServerSettings, on_ready: Callable[[str], None] | None = None, *, verbose: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM; then end what is in hand, and return.

    Args:
        settings: where, with which model, how much.
        on_ready: called with the address once it listens.
        verbose: log every request on stderr.

    Raises:
        UsageError: the address is taken, or cannot be listened on.
        ModelError: there is no such model.
    """
    _allow_many_connections()
    read_model(settings.model, lazily=True)  # what is wrong with it is told here, and not by a process
    with _listening(settings) as listener, ExitStack() as stack:
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        options: dict[str, Any] = {
            "http": Protocol,
            "ws": "websockets-sansio",
            "ws_max_size": MOST_MESSAGE + 1_024,
            "ws_per_message_deflate": False,  # sound does not shrink, and a bomb would
            "lifespan": "on",
            "log_config": _logging(verbose),
            "access_log": verbose,
            "server_header": False,
            "date_header": False,
            "proxy_headers": False,
            "limit_concurrency": CONNECTIONS,
            "timeout_graceful_shutdown": GRACE_SECONDS,
        }
        if settings.workers > 1:
            os.environ[SHARED_FOLDER] = stack.enter_context(tempfile.TemporaryDirectory(prefix="escnn-metrics-"))
            os.environ[VARIABLE] = msgspec.json.encode(settings).decode()
            config = uvicorn.Config(
                "escnn.server.app:from_environment", factory=True, workers=settings.workers, **options
            )
            if on_ready:
                threading.Thread(target=_tell_when_ready, args=(address, on_ready), daemon=True).start()
            workers = _Workers(config, sockets=[listener])
            workers.run()
            if not workers.was_told_to_stop:
                raise RuntimeError("a worker could not start; what is printed above says why")
            return
        from escnn.server.app import create_app

        server = _Server(uvicorn.Config(create_app(settings), **options))
        server.on_ready = functools.partial(on_ready, address) if on_ready else None
        try:
            server.run([listener])
        except KeyboardInterrupt:
            if not server.started:
                raise
        except SystemExit as stop:  # its exit code would mean something else here
            raise RuntimeError("the server did not start; what is printed above says why") from stop


class _Workers(Multiprocess):
    was_told_to_stop = False

    def handle_int(self) -> None:
        self.was_told_to_stop = True
        super().handle_int()

    def handle_term(self) -> None:
        self.was_told_to_stop = True
        super().handle_term()


def _tell_when_ready(address: str, on_ready: Callable[[str], None]) -> None:
    with suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=120):  # noqa: S310 - our own address
        on_ready(address)  # the first worker listens


class _Server(uvicorn.Server):
    on_ready: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.on_ready:
            self.on_ready()


def _listening(settings: ServerSettings) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2_048)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(
            f"{settings.host}:{settings.port}: cannot be listened on ({reason(error)})",
            hint="does a server run there already? --port 0 takes a free one"
            if error.errno == errno.EADDRINUSE
            else "is --host an address of this machine?",
        ) from error
    listener.set_inheritable(True)
    return listener


def _allow_many_connections() -> None:
    """As many open files as the system lets this process have; many begin with 1,024."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = hard if 0 < hard < 2 * CONNECTIONS else 2 * CONNECTIONS
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _logging(verbose: bool) -> dict[str, Any]:
    """Everything on stderr: stdout is not a server's."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(levelname)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"uvicorn": {"level": "INFO" if verbose else "WARNING"}},
    }
