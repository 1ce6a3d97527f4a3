"""A web server on 127.0.0.1 that hands out one file, in good and in bad manners."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Request"], None]


class ArchiveServer(ThreadingHTTPServer):
    """Answers request n with ``answers[n]``, and in good manners when they are used up. Keeps the headers it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.body = b""
        self.etag = '"first"'
        self.answers: list[Answer] = []
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ESC-50.zip"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.asked]


class Request(BaseHTTPRequestHandler):
    server: ArchiveServer

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        answers = self.server.answers
        (answers.pop(0) if answers else good())(self)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def say(self, status: int, headers: dict[str, object], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def first_byte(self) -> int:
        """Where a Range request wants to begin; 0 if it is for another version of the file, or no Range request."""
        wanted = re.fullmatch(r"bytes=([0-9]+)-", self.headers.get("Range", ""))
        return int(wanted[1]) if wanted and self.headers.get("If-Range") == self.server.etag else 0


@contextmanager
def running() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def good(cut_after: int | None = None) -> Answer:
    """As RFC 9110 has it; with `cut_after` the connection is closed after that many bytes of what was announced."""

    def answer(request: Request) -> None:
        body, first = request.server.body, request.first_byte()
        headers: dict[str, object] = {"ETag": request.server.etag, "Content-Length": len(body) - first}
        if first >= len(body):
            request.say(416, {"Content-Range": f"bytes */{len(body)}"}, b"a page about ranges")
        elif first:
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            request.say(206, headers, body[first:][:cut_after])
        else:
            request.say(200, headers, body[:cut_after])

    return answer


def ignoring_ranges(cut_after: int | None = None) -> Answer:
    def answer(request: Request) -> None:
        body = request.server.body
        request.say(200, {"ETag": request.server.etag, "Content-Length": len(body)}, body[:cut_after])

    return answer


def ignoring_if_range() -> Answer:
    """Goes on at the byte asked for, though the file has changed, and says so only by its ETag."""

    def answer(request: Request) -> None:
        body, first = request.server.body, int(request.headers["Range"][len("bytes=") : -1])
        span = f"bytes {first}-{len(body) - 1}/{len(body)}"
        request.say(206, {"ETag": request.server.etag, "Content-Range": span}, body[first:])

    return answer


def from_another_byte() -> Answer:
    def answer(request: Request) -> None:
        body = request.server.body
        request.say(
            206, {"ETag": request.server.etag, "Content-Range": f"bytes 7-{len(body) - 1}/{len(body)}"}, body[7:]
        )

    return answer


def in_pieces(length: int) -> Answer:
    """Sends, complete and correct, fewer bytes than were asked for."""

    def answer(request: Request) -> None:
        body, first = request.server.body, request.first_byte()
        piece = body[first : first + length]
        span = f"bytes {first}-{first + len(piece) - 1}/{len(body)}"
        request.say(206, {"ETag": request.server.etag, "Content-Range": span, "Content-Length": len(piece)}, piece)

    return answer


def without_length(cut_after: int | None = None) -> Answer:
    """Neither Content-Length nor chunks: the end is where the connection is closed."""

    def answer(request: Request) -> None:
        request.say(200, {"ETag": request.server.etag}, request.server.body[:cut_after])

    return answer


def status(code: int, **headers: object) -> Answer:
    return lambda request: request.say(code, headers, b"<html>sorry</html>")
