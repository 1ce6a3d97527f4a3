"""Servers in bad manners, each in a process of its own: forking one that has threads is asking for trouble."""

from __future__ import annotations

import io
import os
import random
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import archive_server as manners
from archive_server import Answer, ArchiveServer, Request
from chaos.rounds import ARCHIVE, LONGEST_SECONDS


@contextmanager
def served(answers: list[Answer]) -> Iterator[str]:
    server = ArchiveServer()
    server.body, server.answers = ARCHIVE, answers
    child = os.fork()
    if not child:
        try:
            signal.alarm(2 * LONGEST_SECONDS)
            sys.stderr = io.StringIO()  # socketserver prints a traceback where a client hangs up
            server.serve_forever(poll_interval=1)
        finally:
            os._exit(0)
    server.socket.close()
    try:
        yield server.url
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def cut_at(place: int) -> Answer:
    """Good manners up to byte `place` of the archive, then nothing."""
    return lambda request: manners.good(cut_after=max(0, place - request.first_byte()))(request)


def cut_in_the_headers(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")


def reset_after(length: int) -> Answer:
    """The connection is torn down, not closed: what was under way is lost."""

    def answer(request: Request) -> None:
        manners.good(cut_after=length)(request)
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def with_span(span: str, *, etag: bool) -> Answer:
    """206 with a Content-Range that has nothing to do with what was asked for or what follows."""

    def answer(request: Request) -> None:
        tag = {"ETag": request.server.etag} if etag else {}
        request.say(206, {**tag, "Content-Range": span}, request.server.body[request.first_byte() :])

    return answer


def of_another_file(body: bytes, etag: str | None, inner: Answer) -> Answer:
    """Another file at the same address, for one answer."""

    def answer(request: Request) -> None:
        server = request.server
        own = server.body, server.etag
        server.body, server.etag = body, etag or server.etag
        inner(request)
        server.body, server.etag = own

    return answer


def a_bad_answer(luck: random.Random) -> Answer:
    size = len(ARCHIVE)
    place, other, length = luck.randrange(size), luck.randrange(2 * size), luck.randrange(1, size)
    another = of_another_file(
        luck.randbytes(other), luck.choice(('"other"', None)), luck.choice((manners.good(), cut_at(other // 2)))
    )
    return luck.choice(
        (
            cut_at(place),
            cut_in_the_headers,
            reset_after(place),
            manners.ignoring_ranges(),
            manners.ignoring_ranges(cut_after=place),
            manners.from_another_byte(),
            manners.in_pieces(length),
            manners.without_length(),
            manners.without_length(cut_after=place),
            manners.status(luck.choice((500, 503, 429, 404, 403, 416, 304))),
            manners.status(
                302, Location=luck.choice(("file:///etc/passwd", "http://127.0.0.1:9/", "ftp://127.0.0.1/"))
            ),
            with_span(f"bytes {place}-{place + length}/{size}", etag=luck.random() < 0.5),
            with_span(f"bytes {place}-{size - 1}/{other}", etag=luck.random() < 0.5),
            with_span(luck.choice(("bytes */*", "bytes 5-", "nonsense", "bytes 0-0/99999999999999999999")), etag=True),
            another,
        )
    )
