"""The body of a request, read into memory within bounds: never more, never for longer, never onto a disk."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from escnn.server.edge.problems import ProblemError, busy

BUDGET = 256_000_000  # bytes of all bodies that are being read
FRAMING = 16_384  # bytes that a form may add to a sound
LONGEST_NAME = 255
SOUNDS = ("audio/", "video/", "application/octet-stream", "application/ogg", "application/x-")
FORM, JSON = "multipart/form-data", "application/json"


class Budget:
    """How many bytes of bodies are held while they are read."""

    def __init__(self, most: int = BUDGET) -> None:
        self.most, self.held = most, 0

    def take(self, count: int) -> None:
        """Hold so many more; `ProblemError` if that is too much."""
        if self.held + count > self.most:
            raise busy()
        self.held += count


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 40  # bytes; beyond it Starlette would write a temporary file


async def read_body(request: Request, most: int, seconds: float, budget: Budget) -> bytes:
    """The body, of at most so many bytes.

    Raises:
        ProblemError: it is larger (413), comes too slowly (408), or memory is short (503).
    """
    too_large = ProblemError(413, f"larger than {most / 1e6:g} MB", hint="send a shorter sound, or as FLAC or Opus")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > most:
        raise too_large
    parts: list[bytes] = []
    count = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                budget.take(len(part))
                count += len(part)
                if count > most:
                    raise too_large
                parts.append(part)
        return b"".join(parts)
    except TimeoutError as error:
        raise ProblemError(408, f"the sound did not arrive within {seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise ProblemError(400, "the connection was cut") from error
    finally:
        budget.held -= count


async def read_sound(request: Request, most: int, seconds: float, budget: Budget) -> tuple[bytes, str]:
    """A sound and its name: a form with one file, or the bytes of a file as the body.

    Raises:
        ProblemError: as `read_body`; or it is neither (415), or a form without a file (422).
    """
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind == FORM:
        body = await read_body(request, most + FRAMING, seconds, budget)
        return await _file_of_form(request, body, most)
    if not kind.startswith(SOUNDS):
        raise ProblemError(
            415, f"{kind:.60}: neither a sound nor a form", hint=f"send audio/wav, or {FORM} with a file"
        )
    body = await read_body(request, most, seconds, budget)
    if not body:
        raise ProblemError(422, "the body is empty", hint="send the bytes of a sound file")
    return body, request.query_params.get("name", "sound")[:LONGEST_NAME]


async def _file_of_form(request: Request, body: bytes, most: int) -> tuple[bytes, str]:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(request.headers, whole(), max_files=1, max_fields=16).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise ProblemError(400, "the form is damaged", hint="send it as curl -F file=@clip.wav does") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise ProblemError(422, "the form has no file", hint="send it as curl -F file=@clip.wav does")
        content = await files[0].read()
    finally:
        await form.close()
    if len(content) > most:
        raise ProblemError(413, f"larger than {most / 1e6:g} MB")
    return content, (files[0].filename or "sound")[:LONGEST_NAME]


class _Inference(msgspec.Struct):
    audio_data: str


async def read_base64_sound(request: Request, most: int, seconds: float, budget: Budget) -> bytes:
    """The sound in ``{"audio_data": BASE64}``.

    Raises:
        ProblemError: as `read_body`; or it is something else (422).
    """
    body = await read_body(request, most * 4 // 3 + FRAMING, seconds, budget)
    return await asyncio.to_thread(_decoded, body, most)


def _decoded(body: bytes, most: int) -> bytes:
    try:
        text = msgspec.json.decode(body, type=_Inference).audio_data
        content = base64.b64decode("".join(text.split()).partition("base64,")[2] or text, validate=False)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProblemError(422, 'no JSON such as {"audio_data": BASE64}') from error
    except (binascii.Error, ValueError) as error:
        raise ProblemError(422, "audio_data: not base64") from error
    if not content:
        raise ProblemError(422, "audio_data: empty")
    if len(content) > most:
        raise ProblemError(413, f"larger than {most / 1e6:g} MB")
    return content
