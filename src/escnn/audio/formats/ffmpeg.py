"""Sounds that libsndfile does not read, through the program ffmpeg, where that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from escnn.audio.formats.signatures import Signature
from escnn.errors import AudioError, reason

PATIENCE_SECONDS = 60.0  # without a sign of ffmpeg
BLOCK_FRAMES = 1 << 16  # taken at a time
LONGEST_CHUNK = 1 << 16  # bytes, of those before the sound
_SUBTYPES: Mapping[tuple[int, int], str] = {(1, 16): "<i2", (1, 32): "<i4", (3, 32): "<f4", (3, 64): "<f8"}


def find_ffmpeg() -> str | None:
    """The program, if it is on the PATH of a system that hands open files on."""
    return shutil.which("ffmpeg") if os.name == "posix" else None


class FfmpegFile:
    """Stands in for a `SoundFile`: the first sound of a file as ffmpeg decodes it.

    ffmpeg is told which format it is, so that no playlist sends it elsewhere, reads the open file and writes WAV into
    a pipe; it is ended when the sound is closed, or when it is silent for `PATIENCE_SECONDS`.

    Raises:
        AudioError: ffmpeg finds no sound in it.
    """

    subtype = "FFMPEG"
    frames = lost = 0  # not told

    def __init__(self, program: str, file: BinaryIO, kind: Signature, name: str) -> None:
        self._name, self._kind = name, kind
        self._is_hung = False
        self.notes: list[str] = []
        self.format = kind.name.removeprefix("an ").removeprefix("a ").removesuffix(" file")
        with ExitStack() as stack:
            try:
                self._start(program, file, stack)
            except OSError as error:
                raise AudioError(
                    f"{name}: ffmpeg cannot be started ({reason(error)})", code="unreadable", hint="is the disk full?"
                ) from error
            self._open = stack.pop_all()
        try:
            self._dtype, self.channels, self.samplerate = self._header()
        except BaseException:
            self.close()
            raise

    def _start(self, program: str, file: BinaryIO, stack: ExitStack) -> None:
        try:
            descriptor = file.fileno()
            file.seek(0)
        except OSError:  # bytes in memory; ffmpeg goes back and forth in a file
            copy = stack.enter_context(_scratch())
            file.seek(0)
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            descriptor = copy.fileno()
        self._said = stack.enter_context(_scratch())
        self._process = stack.enter_context(
            subprocess.Popen(  # noqa: S603 - no shell, and no name of a file
                [
                    *(program, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe"),
                    *("-f", self._kind.demuxer, "-i", f"/dev/fd/{descriptor}", "-map", "0:a:0"),
                    *("-c:a", "pcm_f32le", "-f", "wav", "-"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._said,
                pass_fds=(descriptor,),
            )
        )
        stack.callback(self._process.kill)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks (time, channels) until it ends."""
        width = self._dtype.itemsize * self.channels
        scale = 1.0 if self._dtype.kind == "f" else -1.0 / np.iinfo(self._dtype).min
        while data := self._read(BLOCK_FRAMES * width):
            samples = np.frombuffer(data[: len(data) // width * width], self._dtype).reshape(-1, self.channels)
            with np.errstate(over="ignore"):
                yield (samples * scale).astype(np.float32)
        if problem := self._problem():
            self.notes.append(f"ffmpeg gave up: {problem}")

    def close(self) -> None:
        """End ffmpeg, whatever it is doing."""
        self._open.close()

    def _header(self) -> tuple[np.dtype[Any], int, int]:
        """Type of the samples, channels and rate of the WAV that comes."""
        form = b""
        if self._read(12)[:4] == b"RIFF":
            while len(head := self._read(8)) == 8 and head[:4] != b"data":
                length = int.from_bytes(head[4:], "little")
                content = self._read(min(length + length % 2, LONGEST_CHUNK))
                form = content if head[:4] == b"fmt " else form
        tag, channels, rate, bits = (int.from_bytes(form[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8), (14, 16)))
        subtype = _SUBTYPES.get((int.from_bytes(form[24:26], "little") if tag == 0xFFFE else tag, bits))
        if subtype is None or not channels:
            raise AudioError(
                f"{self._name}: {self._kind.name} that ffmpeg cannot read ({self._problem() or 'it gave no sound'})",
                code="not_audio",
                hint="is it whole, and is there sound in it? try `ffplay` or another player",
            )
        return np.dtype(subtype), channels, rate

    def _read(self, size: int) -> bytes:
        alarm = threading.Timer(PATIENCE_SECONDS, self._give_up)
        alarm.daemon = True
        alarm.start()
        try:
            return self._process.stdout.read(size) if self._process.stdout else b""
        finally:
            alarm.cancel()

    def _give_up(self) -> None:
        self._is_hung = True
        self._process.kill()

    def _problem(self) -> str:
        """What ffmpeg says went wrong, in a line; "" where it ended well."""
        if self._process.stdout:
            self._process.stdout.close()  # what would still write ends
        try:
            code = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._give_up()
        if self._is_hung:
            return f"nothing came for {PATIENCE_SECONDS:g} s"
        self._said.seek(0)
        lines = self._said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
        said = lines[-1].removeprefix("/dev/fd/").lstrip("0123456789: ")[:200] if lines else f"exit code {code}"
        return said if code else ""


def _scratch() -> BinaryIO:
    """A file that nobody else sees, in memory where the system can: what is sent to a server reaches no disk."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("escnn"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile())
