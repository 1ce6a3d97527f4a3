"""Where live sound comes from: a pipe, read in a thread, or a microphone, which may go away and come back."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np

from escnn.audio.channels import Block
from escnn.errors import AudioError, EscnnError, UsageError, closest, reason
from escnn.live.pcm import MARK_BYTES, PcmFormat, check_raw, decoded, ends_before, read_wav_header

PIECE_SECONDS = 0.1  # of sound that are handed on at once
WAITING_SECONDS = 20.0  # of sound that may wait for the network; what comes then is lost, and counted
RETRY_SECONDS = 1.0  # between two tries to open a microphone that went away
POLL_SECONDS = 0.01  # between two looks into a pipe that does not wait for its writer
SILENT_SECONDS = 3.0  # without a single block: the microphone is gone, whatever it says
NEEDS_SOUNDDEVICE = "pip install 'escnn-audio[live]'"
NEEDS_PORTAUDIO = "install PortAudio: on Debian and Ubuntu `sudo apt install libportaudio2`"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the sound."""

    samples: Block  # (time, channels)
    lost: int = 0  # frames that were not heard; they are in `samples`, as silence
    is_new: bool = False  # the first of a sound: of the first one, or of one after the device was away


class LiveSource(Protocol):
    """Sound as it comes."""

    name: str
    pcm: PcmFormat
    is_away: bool  # nothing comes, as the device is not there
    overruns: int  # how often the sound system itself has lost some of the sound
    notes: Sequence[str]  # what a person should know of the sound, once it has come to its end

    def next(self, seconds: float) -> Piece | None:
        """The next piece; None if none comes within so many `seconds`.

        Raises:
            EOFError: the sound has come to its end.
            EscnnError: it cannot be had.
        """

    def close(self) -> None:
        """Let go of it."""


class PipeSource:
    """PCM from a pipe, WAV or raw. Whoever writes into it waits where the network is behind."""

    is_away, overruns = False, 0
    notes: Sequence[str] = ()

    def __init__(self, stream: BinaryIO, pcm: PcmFormat | None = None, name: str = "-") -> None:
        """`pcm` says how raw samples are written; None is WAV, whose header is waited for.

        Raises:
            AudioError: it is no WAV, or cannot be read.
        """
        # Unbuffered: a thread that waits in a buffered read keeps its lock, which Python cannot take away at its end.
        self.name, self._stream = name, getattr(stream, "raw", stream)
        self._is_raw, self._passed = pcm is not None, 0  # bytes of the header
        self._declared: int | None = None  # bytes of the sound, as the header says; None: it does not
        if pcm is None:
            pcm, self._declared = read_wav_header(self._exactly, name)
        self.pcm = pcm
        self._is_first, self._rest = True, b""
        self._pieces: queue.Queue[bytes | Exception] = queue.Queue(maxsize=4)
        threading.Thread(target=self._read, daemon=True, name="pipe").start()

    def next(self, seconds: float) -> Piece | None:
        """See `LiveSource`."""
        try:
            data = self._pieces.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(data, Exception):
            raise data
        data = self._rest + data
        whole = len(data) - len(data) % self.pcm.frame_bytes
        self._rest = data[whole:]
        first, self._is_first = self._is_first, False
        return Piece(decoded(data[:whole], self.pcm), is_new=first)

    def close(self) -> None:
        """Nothing: the pipe is its owner's."""

    def _read(self) -> None:
        try:
            self._read_all()
            self._pieces.put(EOFError())
        except EscnnError as problem:
            self._pieces.put(problem)
        except (OSError, ValueError) as error:
            self._pieces.put(self._unreadable(error))

    def _read_all(self) -> None:
        size = max(1, round(PIECE_SECONDS * self.pcm.sample_rate)) * self.pcm.frame_bytes
        declared, there, data = self._declared, 0, b""
        if self._is_raw:
            while len(data) < MARK_BYTES and (more := self._some(size)):
                data += more
            check_raw(data, self.name)
            self._pieces.put(data)
        while declared is None or there < declared:
            data = self._some(size if declared is None else min(size, declared - there))
            if not data:
                break
            there += len(data)
            self._pieces.put(data)
        if declared and there < declared and (early := ends_before(declared, there, self.pcm, self._passed)):
            self.notes = (early,)

    def _some(self, most: int) -> bytes:
        """What is there, up to so many bytes, but something; nothing at the end."""
        read = getattr(self._stream, "read1", self._stream.read)
        while (data := read(most)) is None:  # whoever gave us the pipe has made it one that does not wait
            time.sleep(POLL_SECONDS)
        return bytes(data)

    def _exactly(self, count: int) -> bytes:
        """So many bytes of the header, or fewer at the end."""
        data = b""
        try:
            while len(data) < count and (more := self._some(count - len(data))):
                data += more
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error
        self._passed += len(data)
        return data

    def _unreadable(self, error: OSError | ValueError) -> AudioError:
        return AudioError(f"{self.name}: cannot be read ({reason(error)})", code="unreadable")


class MicrophoneSource:
    """A microphone. Its samples come in a thread of the sound system's; what the network is too slow for is lost."""

    notes: Sequence[str] = ()

    def __init__(self, name: str | None, sample_rate: int, device_of: Any = None) -> None:
        """`name` is a part of the name of a device, or its number; None: the default one. `sample_rate` in Hz is asked
        for, and where the device does not offer it, its own is taken.

        Raises:
            UsageError: sounddevice or PortAudio is not installed, or there is no such microphone.
        """
        self._wanted, self._rate = name, sample_rate
        self._sounddevice = device_of or sounddevice()
        self._pieces: queue.SimpleQueue[tuple[int, Block]] = queue.SimpleQueue()  # each with frames lost before it
        self._lock = threading.Lock()
        self._waiting = self._lost = 0  # frames
        self._stream: Any = None
        self._is_new = True
        self.is_away = False
        self._opened = self._heard = self._tried = 0.0
        self.overruns = 0  # that the sound system told of
        self._open()

    def next(self, seconds: float) -> Piece | None:
        """See `LiveSource`. Where the device goes away, it is tried again until it is back."""
        if self._stream is None and not self._opened_again(seconds):
            return None
        try:
            lost, block = self._pieces.get(timeout=seconds)
        except queue.Empty:
            if not self._stream.active or time.monotonic() - self._heard > SILENT_SECONDS:
                self._lose()
            return None
        self._heard = time.monotonic()
        with self._lock:
            self._waiting -= len(block)
        new, self._is_new = self._is_new, False
        if lost:
            block = np.concatenate((np.zeros((lost, block.shape[1]), dtype=np.float32), block))
        return Piece(block, lost, new)

    def close(self) -> None:
        """Stop hearing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(self._sounddevice.PortAudioError):
                stream.close()

    def _open(self) -> None:
        sd = self._sounddevice
        device = find_microphone(sd.query_devices(), self._wanted)
        try:
            number = sd.default.device[0] if device is None else device
            described = sd.query_devices(number, "input")
            rate = self._rate
            try:
                sd.check_input_settings(device=number, channels=1, samplerate=rate, dtype="float32")
            except (sd.PortAudioError, ValueError):
                rate = round(described["default_samplerate"])
            self._stream = sd.InputStream(
                device=number, channels=1, samplerate=rate, dtype="float32", callback=self._hear,
                blocksize=round(PIECE_SECONDS * rate),
            )  # fmt: skip
            self._stream.start()
        except (sd.PortAudioError, ValueError) as error:
            self.close()
            hint = "--list-microphones names those that are there"
            raise UsageError(f"the microphone cannot be opened ({reason(error)})", hint=hint) from error
        self.name, self.pcm = str(described["name"]), PcmFormat(rate, 1, "f32le")
        self._most = round(WAITING_SECONDS * rate)
        self._heard, self._is_new, self.is_away = time.monotonic(), True, False

    def _hear(self, block: Block, frames: int, times: Any, status: Any) -> None:
        """Called by PortAudio, in its thread."""
        with self._lock:
            if status.input_overflow:
                self.overruns += 1
            if self._waiting + frames > self._most:
                self._lost += frames
                return
            self._waiting += frames
            lost, self._lost = self._lost, 0
        self._pieces.put((lost, block.copy()))

    def _lose(self) -> None:
        self.close()
        self.is_away, self._tried = True, time.monotonic()
        self._pieces, self._waiting, self._lost = queue.SimpleQueue(), 0, 0

    def _opened_again(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        time.sleep(max(0.0, min(self._tried + RETRY_SECONDS, until) - time.monotonic()))
        if time.monotonic() < self._tried + RETRY_SECONDS:
            return False
        self._tried = time.monotonic()
        try:
            self._sounddevice._terminate()  # PortAudio lists the devices once, when it is initialized
            self._sounddevice._initialize()
            self._open()
        except (EscnnError, self._sounddevice.PortAudioError):
            return False
        return True


def sounddevice() -> Any:
    """The library that hears microphones.

    Raises:
        UsageError: it, or PortAudio, is not installed.
    """
    try:
        import sounddevice as library
    except ImportError as error:
        raise UsageError("microphones need the package sounddevice", hint=NEEDS_SOUNDDEVICE) from error
    except OSError as error:  # PortAudio is not there
        raise UsageError(f"microphones need PortAudio ({reason(error)})", hint=NEEDS_PORTAUDIO) from error
    return library


def microphones(library: Any = None) -> list[tuple[int, str, int, int]]:
    """The microphones there are: number, name, channels, usual sample rate in Hz."""
    return [
        (number, str(device["name"]), int(device["max_input_channels"]), round(device["default_samplerate"]))
        for number, device in enumerate((library or sounddevice()).query_devices())
        if device["max_input_channels"] > 0
    ]


def find_microphone(devices: Any, wanted: str | None) -> int | None:
    """The number of the device whose name holds `wanted`, whatever its case, or which has this number; None: the
    default one.

    Raises:
        UsageError: there is none, or there are several and none is called just so.
    """
    inputs = {number: str(device["name"]) for number, device in enumerate(devices) if device["max_input_channels"] > 0}
    if not inputs:
        raise UsageError("there is no microphone", hint="is it plugged in? `arecord -l` lists what the system sees")
    if wanted is None:
        return None
    if wanted.isdecimal() and int(wanted) in inputs:
        return int(wanted)
    found = [number for number, name in inputs.items() if wanted.casefold() in name.casefold()]
    exact = [number for number in found if inputs[number].casefold() == wanted.casefold()]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        names = ", ".join(f"{number} ({inputs[number]})" for number in found[:5])
        raise UsageError(f"--microphone {wanted!r:.60}: there are several", hint=f"name one by its number: {names}")
    hint = closest(wanted, inputs.values()) or "--list-microphones names those that are there"
    raise UsageError(f"--microphone {wanted!r:.60}: no such microphone", hint=hint)
