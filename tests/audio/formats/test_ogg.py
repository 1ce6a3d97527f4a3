"""Ogg: every sound in a chain is read, FLAC within it too, and a stream that was cut off says so."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from escnn.audio.decoding import load_audio


def encoded(samples: np.ndarray, subtype: str, rate: int = 48_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="OGG", subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_every_sound_of_a_chain_is_read(tmp_path: Path, subtype: str) -> None:
    first, second = (encoded(tone(hz, 2.0, 48_000), subtype) for hz in (440, 880))
    (tmp_path / "a.ogg").write_bytes(first + second + first)
    loaded = load_audio(tmp_path / "a.ogg")
    alone = [load_audio(content).samples for content in (first, second, first)]
    np.testing.assert_array_equal(loaded.samples, np.concatenate(alone))
    assert loaded.warnings == ()


def test_a_sound_of_another_rate_in_a_chain_is_left_out_with_a_warning() -> None:
    first, second = encoded(tone(440, 2.0, 48_000), "VORBIS"), encoded(tone(440, 2.0, 16_000), "VORBIS", 16_000)
    loaded = load_audio(first + second)
    assert loaded.seconds == pytest.approx(2.0)
    assert loaded.warnings == ("another sound follows in this file, with other channels or another rate: not heard",)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("share", [0.4, 0.7, 0.999, None])  # None: between the last two pages
def test_a_stream_that_was_cut_off_warns_and_a_whole_one_does_not(
    tmp_path: Path, subtype: str, share: float | None
) -> None:
    path = tmp_path / "a.ogg"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 240_000).astype(np.float32)
    whole = encoded(noise, subtype)
    path.write_bytes(whole)
    for source in (path, whole):
        assert load_audio(source).warnings == ()
    path.write_bytes(whole[: round(share * len(whole)) if share else whole.rfind(b"OggS")])
    for source in (path, path.read_bytes()):
        loaded = load_audio(source)
        (warning,) = loaded.warnings
        assert warning == f"ends after {loaded.seconds:.2f} s, without the page that ends an Ogg stream"


def pages(packets: list[bytes]) -> Iterator[bytes]:
    """Packets as an Ogg stream, a page each; nobody looks at the checksums."""
    for number, packet in enumerate(packets):
        sizes = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        assert len(sizes) <= 255
        flags = 2 * (number == 0) + 4 * (number == len(packets) - 1)
        yield b"OggS\0" + bytes([flags]) + bytes(8) + b"\1\2\3\4" + number.to_bytes(4, "little") + bytes(4)
        yield bytes([len(sizes)]) + sizes + packet


def test_flac_within_ogg_is_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-9_000, 9_000, 40_000).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, noise, 8_000, format="FLAC")
    flac = file.getvalue()
    assert flac[4] == 0x00  # more metadata follows
    first = b"\x7fFLAC\1\0\0\1" + flac[:42]
    rest = flac[42:]
    content = b"".join(pages([first, *(rest[place : place + 30_000] for place in range(0, len(rest), 30_000))]))
    (tmp_path / "a.oga").write_bytes(content)
    for source in (tmp_path / "a.oga", content):
        loaded = load_audio(source)
        np.testing.assert_array_equal(loaded.samples, (noise / 32_768).astype(np.float32))
        assert loaded.warnings == ()
