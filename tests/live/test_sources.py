"""Pipes and microphones: what comes, what is lost, a device that goes away and comes back."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from live.test_pcm import endless

from escnn.errors import AudioError, UsageError
from escnn.live import sources
from escnn.live.pcm import PcmFormat
from escnn.live.sources import MicrophoneSource, Piece, PipeSource, find_microphone, microphones

RATE = 8_000


class PortAudioError(Exception):
    """As sounddevice has it."""


class FakeDevice:
    """sounddevice with one microphone that the test plays into."""

    PortAudioError = PortAudioError

    def __init__(self, rate: int = RATE) -> None:
        self.is_there, self.rate, self.opened = True, rate, 0
        self.streams: list[Any] = []
        self.default = SimpleNamespace(device=(1, 0))

    def query_devices(self, device: int | None = None, kind: str | None = None) -> Any:
        names = [("Loudspeaker", 0), ("USB Microphone", 1), ("USB Microphone 2", 2)]
        found = [
            {"name": name, "max_input_channels": inputs, "default_samplerate": float(self.rate)}
            for name, inputs in (names if self.is_there else names[:1])
        ]
        if device is None:
            return found
        if not self.is_there:
            raise PortAudioError("Invalid device")
        return found[device]

    def check_input_settings(self, samplerate: int, **_: Any) -> None:
        if samplerate != self.rate:
            raise PortAudioError("Invalid sample rate")

    def InputStream(self, callback: Callable[..., None], **options: Any) -> Any:  # noqa: N802 - its name
        self.opened += 1
        stream = SimpleNamespace(active=True, callback=callback, options=options)
        stream.start = stream.close = lambda: None
        self.streams.append(stream)
        return stream

    def _terminate(self) -> None: ...

    def _initialize(self) -> None: ...

    def play(self, samples: np.ndarray, overflow: bool = False) -> None:
        block = samples.astype(np.float32)[:, None]
        self.streams[-1].callback(block, len(block), None, SimpleNamespace(input_overflow=overflow))


def piped(data: bytes, **options: Any) -> list[Piece]:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(data)

    threading.Thread(target=write).start()
    found = []
    with os.fdopen(reading, "rb") as stream:
        source = PipeSource(stream, **options)
        while True:
            try:
                piece = source.next(5)
            except EOFError:
                return found
            assert piece is not None
            found.append(piece)


def test_a_pipe_gives_all_of_its_samples_and_then_ends() -> None:
    samples = np.arange(20_000, dtype="<i2")
    found = piped(samples.tobytes() + b"\1", pcm=PcmFormat(RATE))
    assert np.array_equal(np.concatenate([piece.samples[:, 0] for piece in found]), samples / np.float32(32_768))
    assert [piece.is_new for piece in found] == [True] + [False] * (len(found) - 1)
    assert max(len(piece.samples) for piece in found) <= RATE


def test_what_follows_the_sound_of_a_wav_is_not_heard() -> None:
    header = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data" + (8).to_bytes(4, "little")
    found = piped(header + b"\0\1" * 4 + b"LIST\4\0\0\0text")
    assert sum(len(piece.samples) for piece in found) == 4


def hears_what_is_written(source: PipeSource, writing: int) -> None:
    os.write(writing, b"\0\1" * 10)
    piece = source.next(5)
    assert piece is not None
    assert len(piece.samples) == 10
    os.close(writing)
    with pytest.raises(EOFError):
        source.next(5)


def test_a_pipe_that_is_silent_for_a_while_is_waited_for() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        source = PipeSource(stream, pcm=PcmFormat(RATE))
        assert source.next(0.05) is None
        hears_what_is_written(source, writing)


def test_a_pipe_that_does_not_wait_for_its_writer_is_heard_to_its_end() -> None:
    """As a terminal's or an ssh's other programs leave it: reading gives nothing at once, which is not its end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    header = endless(b"", 0)
    threading.Thread(target=lambda: [time.sleep(0.05), os.write(writing, header[:20])]).start()
    threading.Timer(0.2, lambda: os.write(writing, header[20:])).start()
    with os.fdopen(reading, "rb") as stream:
        source = PipeSource(stream)
        assert source.next(0.05) is None
        hears_what_is_written(source, writing)


def test_a_pipe_that_fails_says_so() -> None:
    class Broken:
        def read(self, _: int) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(AudioError, match="cannot be read"):
        PipeSource(Broken(), pcm=PcmFormat(RATE)).next(5)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="cannot be read"):
        PipeSource(Broken())  # type: ignore[arg-type]


def test_a_microphone_gives_what_it_hears() -> None:
    device = FakeDevice()
    source = MicrophoneSource(None, RATE, device)
    device.play(np.full(800, 0.5))
    device.play(np.full(800, 0.25))
    first, second = source.next(1), source.next(1)
    assert first is not None
    assert second is not None
    assert (first.is_new, second.is_new) == (True, False)
    assert (first.samples[0, 0], second.samples[0, 0]) == (0.5, 0.25)
    assert source.pcm == PcmFormat(RATE, 1, "f32le")
    assert source.next(0.01) is None


def test_a_rate_that_a_device_does_not_offer_is_not_asked_of_it() -> None:
    source = MicrophoneSource(None, 44_100, FakeDevice(rate=48_000))
    assert source.pcm.sample_rate == 48_000


def test_what_the_network_is_too_slow_for_becomes_silence_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "WAITING_SECONDS", 0.3)
    device = FakeDevice()
    source = MicrophoneSource(None, RATE, device)
    for number in range(6):  # of which three find no room
        device.play(np.full(800, (number + 1) / 10), overflow=number == 5)
    pieces = [source.next(1) for _ in range(3)]
    device.play(np.full(800, 0.9))
    pieces.append(source.next(1))
    assert [piece.lost for piece in pieces if piece] == [0, 0, 0, 2_400]
    whole = np.concatenate([piece.samples[:, 0] for piece in pieces if piece])
    assert len(whole) == 7 * 800, "times stay true"
    assert np.flatnonzero(whole == 0).tolist() == list(range(2_400, 4_800)), "where it was lost"
    assert source.overruns == 1


def test_a_device_that_goes_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "RETRY_SECONDS", 0.05)
    device = FakeDevice()
    source = MicrophoneSource("USB Microphone", RATE, device)
    device.play(np.zeros(80))
    assert source.next(1) is not None
    device.is_there, device.streams[-1].active = False, False
    assert source.next(0.01) is None
    assert source.is_away
    for _ in range(5):
        assert source.next(0.05) is None
    assert source.is_away
    device.is_there = True
    until = time.monotonic() + 5
    while source.is_away and time.monotonic() < until:
        source.next(0.05)
    assert not source.is_away
    device.play(np.ones(80))
    piece = source.next(1)
    assert piece is not None
    assert piece.is_new


def test_a_device_that_falls_silent_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SILENT_SECONDS", 0.05)
    source = MicrophoneSource(None, RATE, FakeDevice())
    time.sleep(0.1)
    assert source.next(0.01) is None
    assert source.is_away


@pytest.mark.parametrize(
    ("wanted", "number"), [(None, None), ("2", 2), ("usb microphone", 1), ("USB Microphone 2", 2), ("phone 2", 2)]
)
def test_a_microphone_is_found_by_part_of_its_name_or_its_number(wanted: str | None, number: int | None) -> None:
    assert find_microphone(FakeDevice().query_devices(), wanted) == number


@pytest.mark.parametrize(
    ("wanted", "said"), [("usb", "there are several"), ("Loud", "no such"), ("0", "no such"), ("", "there are several")]
)
def test_a_microphone_that_is_not_there_is_told(wanted: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_microphone(FakeDevice().query_devices(), wanted)
    with pytest.raises(UsageError, match="there is no microphone"):
        find_microphone([], wanted)


def test_microphones_are_listed() -> None:
    assert microphones(FakeDevice()) == [(1, "USB Microphone", 1, RATE), (2, "USB Microphone 2", 2, RATE)]


@pytest.mark.parametrize(
    ("error", "hint"),
    [(ImportError("No module"), "escnn-audio[live]"), (OSError("PortAudio library not found"), "libportaudio2")],
)
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception, hint: str) -> None:
    class Finder:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "sounddevice":
                raise error

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(UsageError) as refused:
        sources.sounddevice()
    assert hint in str(refused.value.hint)
