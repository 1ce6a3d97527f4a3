"""The process that decodes sounds of strangers, with a limit on its memory: what kills it costs one request."""

from __future__ import annotations

from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np

from escnn.audio.decoding import open_sound
from escnn.audio.log_mel import AudioConfig, LogMel
from escnn.audio.windows import read_windows
from escnn.errors import AudioError, ErrorCode
from escnn.server.workers.process import leave_signals_to_the_server, tell_ready

MEMORY = 1 << 30  # bytes of address space beyond what the process has when it starts


class DecodeRequest(msgspec.Struct, frozen=True):
    """A sound to decode: as log-mels of its windows, or as samples."""

    content: bytes
    name: str
    max_seconds: float
    as_samples: bool = False


class Decoded(msgspec.Struct, frozen=True, tag="decoded"):
    """A sound at the model's rate: the log-mels (windows, mels, frames) in float32, or the samples (time,)."""

    seconds: float
    warnings: list[str]
    info: tuple[int, int, str, str]  # of `SoundInfo`
    sha256: str
    windows: list[int]  # their numbers
    array: bytes


class Undecoded(msgspec.Struct, frozen=True, tag="undecoded"):
    """Why there is none: the parts of an `AudioError`."""

    message: str
    code: ErrorCode
    hint: str | None = None

    def error(self) -> AudioError:
        """The error itself."""
        return AudioError(self.message, code=self.code, hint=self.hint)


def serve(connection: Connection, audio: AudioConfig) -> None:
    """Decode what comes through `connection` until it is closed."""
    leave_signals_to_the_server()
    _limit_memory()
    _keep_freed_memory()
    log_mels = LogMel(audio)
    tell_ready(connection)
    with suppress(EOFError, OSError):
        while True:
            request = msgspec.msgpack.decode(connection.recv_bytes(), type=DecodeRequest)
            connection.send_bytes(msgspec.msgpack.encode(_answer(request, audio, log_mels)))


def _answer(request: DecodeRequest, audio: AudioConfig, log_mels: LogMel) -> Decoded | Undecoded:
    try:
        return _decode(request, audio, log_mels)
    except AudioError as error:
        return Undecoded(error.message, error.code, error.hint)
    except MemoryError:
        return Undecoded(f"{request.name}: takes more memory than one sound may", "damaged")


def _decode(request: DecodeRequest, audio: AudioConfig, log_mels: LogMel) -> Decoded:
    parts: list[np.ndarray] = []
    numbers: list[int] = []
    with open_sound(request.content, request.name) as reader:
        too_long = AudioError(
            f"{request.name}: longer than {request.max_seconds:g} seconds", code="too_long", hint="cut it into parts"
        )
        if (reader.declared_seconds or 0) > request.max_seconds:
            raise too_long
        if request.as_samples:
            parts += reader.blocks(audio.sample_rate, longest_seconds=request.max_seconds)
        else:
            for number, window in read_windows(reader, audio, longest_seconds=request.max_seconds):
                numbers.append(number)
                parts.append(log_mels(window[None])[0])
        sha256 = reader.sha256()
    info = reader.info
    return Decoded(
        reader.seconds,
        list(reader.warnings),
        (info.sample_rate, info.channels, info.format, info.subtype),
        sha256,
        numbers,
        (np.concatenate(parts) if request.as_samples else np.stack(parts)).tobytes(),
    )


def _keep_freed_memory() -> None:
    """Let glibc keep what is freed: to be given fresh pages takes as long as to decode a sound.

    It hands back at once what is larger than the largest block that was freed so far, up to 32 MB.
    """
    np.empty(31 << 20, dtype=np.uint8)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
