"""The body of a request, read into memory within bounds: never more, never for longer, never onto a disk."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import msgspec
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from escnn.server.edge.problems import ProblemError, busy

BUDGET = 256_000_000  # bytes of all bodies that are held
FRAMING = 16_384  # bytes that a form may add to a sound
LONGEST_NAME = 255
SOUNDS = ("audio/", "video/", "application/octet-stream", "application/ogg", "application/x-")
FORM = "multipart/form-data"


class Budget:
    """How many bytes of bodies are held at once, from their first byte to their answer."""

    def __init__(self, most: int = BUDGET) -> None:
        self.most, self.held = most, 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """A part of it, given back at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.held


class Share:
    """What one request holds."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self.held = budget, 0

    def take(self, count: int) -> None:
        """Hold so many bytes more; `ProblemError` if that is too much."""
        if self._budget.held + count > self._budget.most:
            raise busy()
        self._budget.held += count
        self.held += count


class _Form(MultiPartParser):
    """A form whose file stays in memory, and whose fields are small."""

    spool_max_size = 1 << 40  # bytes; beyond it Starlette would write a temporary file
    max_part_size = 4_096  # of a field

    def __init__(self, body: bytes, boundary: bytes) -> None:
        async def whole() -> AsyncGenerator[bytes, None]:
            yield body

        # Without the charset that a client may name: some take minutes to decode.
        kind = b"multipart/form-data; boundary=" + boundary
        headers = Headers({"content-type": kind.decode("latin-1")})
        super().__init__(headers, whole(), max_files=1, max_fields=16, max_part_size=self.max_part_size)


async def read_body(request: Request, most: int, seconds: float, share: Share, *, sound: int | None = None) -> bytes:
    """The body, of at most so many bytes, of which a sound may be `sound`.

    Raises:
        ProblemError: it is larger (413), comes too slowly (408), or memory is short (503).
    """
    too_large = _too_large(sound or most)
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > most:
        raise too_large
    parts: list[bytes] = []
    count = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                share.take(len(part))
                count += len(part)
                if count > most:
                    raise too_large
                parts.append(part)
        return b"".join(parts)
    except TimeoutError as error:
        raise ProblemError(408, f"the sound did not arrive within {seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise ProblemError(400, "the connection was cut") from error


def _too_large(most: int) -> ProblemError:
    return ProblemError(413, f"larger than {most / 1e6:g} MB", hint="send a shorter sound, or as FLAC or Opus")


async def read_sound(request: Request, most: int, seconds: float, share: Share) -> tuple[bytes, str]:
    """A sound and its name: a form with one file, or the bytes of a file as the body.

    Raises:
        ProblemError: as `read_body`; or it is neither (415), or a form without a file (422).
    """
    told, parameters = parse_options_header(request.headers.get("content-type", "application/octet-stream"))
    kind = told.decode("latin-1").strip().lower()
    if kind == FORM:
        body = await read_body(request, most + FRAMING, seconds, share, sound=most)
        return await _file_of_form(body, parameters.get(b"boundary", b""), most)
    if not kind.startswith(SOUNDS):
        raise ProblemError(
            415, f"{kind:.60}: neither a sound nor a form", hint=f"send audio/wav, or {FORM} with a file"
        )
    body = await read_body(request, most, seconds, share)
    if not body:
        raise ProblemError(422, "the body is empty", hint="send the bytes of a sound file")
    return body, _plain(request.query_params.get("name", "sound"))


async def _file_of_form(body: bytes, boundary: bytes, most: int) -> tuple[bytes, str]:
    hint = "send one file, as curl -F file=@clip.wav does"
    try:
        form = await _Form(body, boundary).parse()
    except MultiPartException as error:
        raise ProblemError(400, f"the form is damaged: {error.message:.100}", hint=hint) from error
    except (KeyError, ValueError) as error:
        raise ProblemError(400, "the form is damaged", hint=hint) from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise ProblemError(422, "the form has no file", hint=hint)
        content = await files[0].read()
    finally:
        await form.close()
    if len(content) > most:
        raise _too_large(most)
    return content, _plain(files[0].filename or "sound")


def _plain(name: str) -> str:
    """A name that can be written as UTF-8."""
    return name[:LONGEST_NAME].encode("utf-8", "backslashreplace").decode("utf-8")


_URL_SAFE = str.maketrans("-_", "+/")


class _Inference(msgspec.Struct):
    audio_data: str


async def read_base64_sound(request: Request, most: int, seconds: float, share: Share) -> bytes:
    """The sound in ``{"audio_data": BASE64}``.

    Raises:
        ProblemError: as `read_body`; or it is something else (422).
    """
    body = await read_body(request, most * 4 // 3 + FRAMING, seconds, share, sound=most)
    return await asyncio.to_thread(_decoded, body, most)


def _decoded(body: bytes, most: int) -> bytes:
    try:
        text = "".join(msgspec.json.decode(body, type=_Inference).audio_data.split())
        _, address, data = text.partition("base64,")
        content = base64.b64decode((data if address else text).translate(_URL_SAFE), validate=True)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProblemError(422, 'no JSON such as {"audio_data": BASE64}') from error
    except (binascii.Error, ValueError) as error:
        raise ProblemError(422, "audio_data: not base64") from error
    if not content:
        raise ProblemError(422, "audio_data: empty")
    if len(content) > most:
        raise _too_large(most)
    return content
