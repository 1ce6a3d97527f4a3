"""A sound that was cut off says so: what its header declares is compared with what is there."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from escnn.audio.decoding import load_audio
from escnn.audio.truncation import declared_and_actual_bytes

Writer = Callable[..., Path]

LAYOUTS = [
    *(("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("WAVEX", "PCM_16")),
    *(("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("MP3", "MPEG_LAYER_III")),
]


@pytest.mark.parametrize(
    ("layout", "subtype", "endian"),
    [
        (*layout, endian)
        for layout in LAYOUTS
        for endian in ("FILE", "LITTLE", "BIG")
        if soundfile.check_format(*layout, endian)
    ],
)
def test_a_sound_that_was_cut_off_warns_of_what_its_header_promised_and_a_whole_one_does_not(
    tmp_path: Path, layout: str, subtype: str, endian: str
) -> None:
    path = tmp_path / "a"
    soundfile.write(path, tone(440, 2.0, 16_000), 16_000, format=layout, subtype=subtype, endian=endian)
    whole = path.read_bytes()
    for source in (path, whole):
        assert load_audio(source).warnings == ()
    path.write_bytes(whole[: len(whole) // 2])
    for source in (path, path.read_bytes()):
        loaded = load_audio(source)
        (warning,) = loaded.warnings
        said = re.fullmatch(r"ends after (.+) s, its header promised (.+) s", warning)
        assert said, warning
        assert float(said[1]) == pytest.approx(loaded.seconds, abs=0.01)
        assert float(said[2]) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF - 36])
def test_a_wav_from_a_pipe_promises_nothing(write_sound: Writer, size: int) -> None:
    path = write_sound("a.wav", tone(440, 0.1, 8_000))
    data = bytearray(path.read_bytes())
    place = data.find(b"data") + 4
    data[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(data)
    loaded = load_audio(path)
    assert len(loaded.samples) == 800
    assert loaded.warnings == ()


def test_what_follows_the_sound_may_be_cut_off_without_a_warning(write_sound: Writer) -> None:
    path = write_sound("a.wav", tone(440, 0.1, 8_000))
    path.write_bytes(path.read_bytes() + b"LIST" + (1_000).to_bytes(4, "little") + b"INFO")
    assert load_audio(path).warnings == ()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("share", [0.4, 0.7, 0.999, None])  # None: between the last two pages
def test_an_ogg_stream_that_was_cut_off_warns_and_a_whole_one_does_not(
    tmp_path: Path, subtype: str, share: float | None
) -> None:
    path = tmp_path / "a.ogg"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 240_000).astype(np.float32)
    soundfile.write(path, noise, 48_000, format="OGG", subtype=subtype)
    whole = path.read_bytes()
    for source in (path, whole):
        assert load_audio(source).warnings == ()
    path.write_bytes(whole[: round(share * len(whole)) if share else whole.rfind(b"OggS")])
    for source in (path, path.read_bytes()):
        loaded = load_audio(source)
        (warning,) = loaded.warnings
        assert warning == f"ends after {loaded.seconds:.2f} s, without the page that ends an Ogg stream"


def test_the_sound_is_found_behind_other_chunks(write_sound: Writer) -> None:
    data = write_sound("a.wav", tone(440, 0.1, 8_000)).read_bytes()
    place = data.find(b"data")
    odd = b"note" + (3).to_bytes(4, "little") + b"abc\0"  # chunks of odd length are followed by a byte of padding
    loaded = load_audio((data[:place] + odd + data[place:])[:-400])
    assert loaded.warnings == ("ends after 0.07 s, its header promised 0.10 s",)


def test_a_header_of_endless_chunks_is_not_walked_to_its_end() -> None:
    chunks = io.BytesIO(b"RIFF\0\0\0\0WAVE" + b"none\0\0\0\0" * 100_000 + b"data\xff\0\0\0")
    reads = 0

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    assert declared_and_actual_bytes(Counted(chunks.getvalue())) is None
    assert reads < 2_000
