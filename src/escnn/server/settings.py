"""What a server is told when it starts."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from escnn.config import Settings, between
from escnn.errors import UsageError

VARIABLE = "ESCNN_SERVER_SETTINGS"  # from which every worker of several reads them, as JSON
LOCAL_NAMES = ("localhost",)


class ServerSettings(Settings, frozen=True):
    """Where a server listens, what it answers with, and how much it takes on."""

    host: str = "127.0.0.1"
    port: Annotated[int, between(0, 65_535)] = 8_000  # 0: one that is free
    model: str | None = None  # a model file or a run folder; None: the bundled model
    token: str | None = None  # that every request for a result must bring
    cors_origins: tuple[str, ...] = ()  # whose pages may ask from a browser
    workers: Annotated[int, between(1, 64)] = 1  # processes
    threads: Annotated[int, msgspec.Meta(ge=1)] | None = None  # of the network in each
    max_megabytes: Annotated[float, between(0.001, 1_024)] = 32.0  # of a sound, in its file
    max_seconds: Annotated[float, between(1.0, 3_600.0)] = 300.0  # of a sound
    timeout_seconds: Annotated[float, between(1.0, 600.0)] = 60.0  # to send a sound, and again to answer
    queue: Annotated[int, between(1, 10_000)] = 64  # requests that are worked on or wait
    streams: Annotated[int, between(0, 1_000)] = 10  # that are heard at once, in each process
    stream_idle_seconds: Annotated[float, between(1.0, 3_600.0)] = 30.0  # that one may be silent for
    requests_per_minute: Annotated[int, msgspec.Meta(ge=0)] = 0  # of one address; 0: as many as there are

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if not self.host.strip():
            raise UsageError("--host: is empty", hint="127.0.0.1 for this machine alone, 0.0.0.0 for others too")
        if self.token is not None and not self.token.strip():
            raise UsageError("--token: is empty")
        if not is_loopback(self.host) and not self.token:
            raise UsageError(
                f"--host {self.host}: others can reach it, so it needs --token",
                hint="choose one that nobody guesses: python3 -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise UsageError("--token: must be printable ASCII characters", hint="letters and digits will do")
        for origin in self.cors_origins:
            if origin != "*" and (not origin.startswith(("http://", "https://")) or origin.count("/") != 2):
                raise UsageError(f"--cors-origin {origin:.80}: not an origin", hint="such as https://example.org")

    @property
    def max_bytes(self) -> int:
        """Of a sound, in its file."""
        return int(self.max_megabytes * 1_000_000)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    name = host.lower().removesuffix(".")
    if name in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return False
