"""PCM from pipes is what libsndfile would read of the same samples; what is no PCM is refused."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import soundfile

from escnn.audio.decoding import open_sound
from escnn.errors import AudioError, UsageError
from escnn.live.pcm import LiveSound, PcmFormat, decoded, read_wav_header

RATE = 8_000
SUBTYPES = {
    "u8": "PCM_U8",
    "s16le": "PCM_16",
    "s24le": "PCM_24",
    "s32le": "PCM_32",
    "f32le": "FLOAT",
    "f64le": "DOUBLE",
}


def wav_of(samples: np.ndarray, encoding: str, rate: int = RATE) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="WAV", subtype=SUBTYPES[encoding])
    return content.getvalue()


def endless(pcm: bytes, length: int, *, channels: int = 1, rate: int = RATE, more: bytes = b"") -> bytes:
    """A WAV as recorders write it into a pipe, whose header says that it is `length` bytes long."""
    head = struct.pack("<IHHIIHH", 16, 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    return b"RIFF\xff\xff\xff\xffWAVE" + more + b"fmt " + head + b"data" + struct.pack("<I", length) + pcm


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2_000, 2))


@pytest.mark.parametrize("encoding", SUBTYPES)
def test_samples_are_those_that_libsndfile_reads(samples: np.ndarray, encoding: str) -> None:
    content = io.BytesIO(wav_of(samples, encoding))
    expected, _ = soundfile.read(content, dtype="float32", always_2d=True)
    content.seek(0)
    pcm, length = read_wav_header(content.read)
    assert (pcm.sample_rate, pcm.channels, pcm.encoding) == (RATE, 2, encoding)
    assert length == 2_000 * pcm.frame_bytes
    assert np.array_equal(decoded(content.read(length), pcm), expected)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFF - 44])
def test_a_length_that_nobody_could_know_is_none(length: int) -> None:
    content = io.BytesIO(endless(b"\1\0" * 5, length, more=b"LIST\x05\0\0\0abcde\0"))
    pcm, told = read_wav_header(content.read)
    assert (pcm, told) == (PcmFormat(RATE, 1, "s16le"), None)
    assert content.read() == b"\1\0" * 5


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"), (b"RIFF", "not_audio"), (b"fLaC" + bytes(99), "not_audio"), (b"OggS" + bytes(99), "not_audio"),
        (endless(b"", 0)[:30], "empty"), (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "damaged"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7f", "damaged"), (endless(b"", 0, channels=0), "damaged"),
        (endless(b"", 0, rate=7), "damaged"), (b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\x11\0data\0\0\0\0", "not_audio"),
    ],
)  # fmt: skip
def test_what_is_no_wav_is_one_clear_error(content: bytes, code: str) -> None:
    with pytest.raises(AudioError) as refused:
        read_wav_header(io.BytesIO(content).read)
    assert refused.value.code == code
    assert refused.value.hint or code == "damaged"


@pytest.mark.parametrize("settings", [(7, 1, "s16le"), (8_000, 0, "s16le"), (8_000, 33, "s16le"), (8_000, 1, "mp3")])
def test_a_format_that_cannot_be_is_refused(settings: Any) -> None:
    with pytest.raises(UsageError):
        PcmFormat(*settings)


@pytest.mark.parametrize("rate", [RATE, 11_025])
@pytest.mark.parametrize("kind", ["mono", "alike", "opposite", "float"])
def test_what_final_events_are_found_in_is_what_detect_hears(kind: str, rate: int) -> None:
    rng = np.random.default_rng(1)
    one = rng.uniform(-0.5, 0.5, 13 * RATE)
    samples = {"mono": one[:, None], "alike": np.stack([one, 0.5 * one], 1), "opposite": np.stack([one, -0.9 * one], 1)}
    encoding = "f32le" if kind == "float" else "s16le"
    content = wav_of(samples.get(kind, one[:, None]), encoding)
    with open_sound(content, "x") as reader:
        expected = np.concatenate(list(reader.blocks(rate)))
    stream = io.BytesIO(content)
    pcm, length = read_wav_header(stream.read)
    sound = LiveSound(pcm, rate)
    parts = []
    early = 0
    data = stream.read(length)
    for first in range(0, len(data), 1_237):  # in the middle of samples
        settled, soon = sound.feed(data[first : first + 1_237])
        parts.append(settled)
        early += len(settled if soon is None else soon)
    assert abs(early - len(expected)) < 0.15 * rate
    parts.append(sound.end())
    assert np.array_equal(np.concatenate(parts), expected)
    assert sound.seconds == 13.0


def test_numbers_that_are_none_reach_no_network() -> None:
    sound = LiveSound(PcmFormat(RATE, 1, "f32le"), RATE)
    data = np.array([0.1, np.nan, np.inf, -np.inf, 1e30] * 20_000, dtype="<f4").tobytes()
    settled, early = sound.feed(data)
    assert early is not None
    for samples in (settled, early, sound.end()):
        assert np.isfinite(samples).all()


@pytest.mark.parametrize(("declared", "told"), [(10, 10), (0, None), (2**64 - 1, None), (2**33, 2**33)])
@pytest.mark.parametrize("kind", [b"RF64", b"BW64"])
def test_the_length_of_a_large_wav_stands_in_a_chunk_of_its_own(kind: bytes, declared: int, told: int | None) -> None:
    lengths = b"ds64" + struct.pack("<IQQQI", 28, 2**33, declared, 0, 0)
    content = io.BytesIO(kind + endless(b"\1\0" * 5, 0xFFFFFFFF, more=lengths)[4:])
    assert read_wav_header(content.read) == (PcmFormat(RATE, 1, "s16le"), told)
    assert content.read() == b"\1\0" * 5
