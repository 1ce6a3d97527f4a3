"""What a header declares is compared with what is there: less says so, and more is read."""

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from escnn.audio.decoding import load_audio, open_sound
from escnn.audio.formats.chunks import find_sound
from escnn.audio.formats.sound_file import SoundFile

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


def test_the_sound_is_found_behind_other_chunks(write_sound: Writer) -> None:
    data = write_sound("a.wav", tone(440, 0.1, 8_000)).read_bytes()
    place = data.find(b"data")
    odd = b"note" + (3).to_bytes(4, "little") + b"abc\0"  # chunks of odd length are followed by a byte of padding
    loaded = load_audio((data[:place] + odd + data[place:])[:-400])
    assert loaded.warnings == ("ends after 0.07 s, its header promised 0.10 s",)


@pytest.mark.parametrize("layout", [*LAYOUTS[:-1], ("CAF", "PCM_16")])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_sound_that_is_longer_than_its_header_promises_is_read_to_its_end(
    layout: tuple[str, str], share: float
) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)
    soundfile.write(file, noise, 16_000, format=layout[0], subtype=layout[1])
    whole = bytearray(file.getvalue())
    expected = load_audio(bytes(whole)).samples
    kind = bytes(whole[:4])
    if kind == b"RF64":  # field, its width, order of bytes, what it counts beside the sound
        field, width, order, more = whole.find(b"ds64") + 16, 8, "little", 0
    else:
        width, order, more = {b".snd": (4, "big", 0), b"riff": (8, "little", 24), b"caff": (8, "big", 4)}.get(
            kind, (4, "big", 8) if kind == b"FORM" else (4, "little", 0)
        )
        field = (
            8 if kind == b".snd" else whole.find(b"SSND" if kind == b"FORM" else b"data") + (16 if width == 8 else 4)
        )
        field -= 12 if kind == b"caff" else 0
    size = int.from_bytes(whole[field : field + width], order) - more  # type: ignore[arg-type]
    promised = round(share * size) // 1024 * 1024
    whole[field : field + width] = (promised + more * (share > 0)).to_bytes(width, order)  # type: ignore[arg-type]
    loaded = load_audio(bytes(whole))
    np.testing.assert_array_equal(loaded.samples, expected)
    if share:
        (warning,) = loaded.warnings
        assert re.fullmatch(r"its header promised (.+) s, but 2.0. s are there and were read", warning), warning
    else:
        assert loaded.warnings == ()


def test_what_a_recorder_or_a_tagger_leaves_behind_the_sound_is_not_heard(write_sound: Writer) -> None:
    content = write_sound("a.wav", tone(440, 2.0, 8_000)).read_bytes()
    for rest in (bytes(100_000), b"LIST" + (50_000).to_bytes(4, "little") + b"INFO" + b"\1" * 49_996, b"junk behind"):
        loaded = load_audio(content + rest)
        assert loaded.seconds == 2.0
        assert loaded.warnings == ()


@pytest.mark.parametrize("counted", [44, 36])  # the whole header, or what RIFF counts of it
def test_a_recorder_that_counts_the_header_as_sound_has_lost_nothing(write_sound: Writer, counted: int) -> None:
    content = bytearray(write_sound("a.wav", tone(440, 2.0, 8_000)).read_bytes())
    content[40:44] = (32_000 + counted).to_bytes(4, "little")
    assert load_audio(bytes(content)).warnings == ()


def test_what_is_said_to_be_missing_differs_as_printed(write_sound: Writer) -> None:
    content = write_sound("a.wav", tone(440, 2.0, 8_000)).read_bytes()
    for bytes_gone in (2, 20, 150, 200, 1_000):
        for warning in load_audio(content[:-bytes_gone]).warnings:
            there, promised = re.findall(r"(\d+\.\d\d) s", warning)
            assert there != promised
    assert load_audio(content[:-1_000]).warnings == ("ends after 1.94 s, its header promised 2.00 s",)


@pytest.mark.parametrize("kind", ["BW64", "CAF from a pipe", "RF64 from a pipe"])
def test_a_file_that_libsndfile_alone_refuses_is_read(kind: str) -> None:
    samples, file = tone(440, 1.0, 8_000), io.BytesIO()
    soundfile.write(file, samples, 8_000, format=kind[:3] if kind[:3] == "CAF" else "RF64", subtype="PCM_16")
    content = file.getvalue()
    if kind == "BW64":
        content = b"BW64" + content[4:]
    elif kind == "RF64 from a pipe":
        content = content[:20] + bytes(24) + content[44:]
    else:
        place = content.find(b"data") + 4
        content = content[:place] + b"\xff" * 8 + content[place + 8 :]
    loaded = load_audio(content)
    np.testing.assert_allclose(loaded.samples, samples, atol=1 / 32_768)
    assert loaded.warnings == ()


def a_large_wav(path: Path, declared: int, size: int) -> int:
    """A sparse file of so many bytes, 16 channels of floats at 384 kHz, the last ones loud; gives its frames."""
    frame = 16 * 4
    header = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 16, 384_000, 384_000 * frame, frame, 32)
    with path.open("wb") as file:
        file.write(header + b"data" + struct.pack("<I", declared) + np.full(1_600, 0.5, "<f4").tobytes())
        file.seek(44 + declared % 2**32)  # what follows a length that was cut to 32 bits
        file.write(np.full(1_600, 0.5, "<f4").tobytes())
        file.truncate(size)
    return (size - 44) // frame


@pytest.mark.parametrize("declared", [0xFFFFFFFF, 0, 5 * 2**30 - 44 - 2**32])  # unknown, unknown, cut to 32 bits
def test_a_wav_beyond_4_gib_is_known_with_its_length(tmp_path: Path, declared: int) -> None:
    frames = a_large_wav(tmp_path / "a.wav", declared, 5 * 2**30)
    with (tmp_path / "a.wav").open("rb", buffering=0) as file:
        assert SoundFile(file).frames == frames


@pytest.mark.slow
def test_a_wav_beyond_4_gib_is_read_to_its_end(tmp_path: Path) -> None:
    frames = a_large_wav(tmp_path / "a.wav", 0xFFFFFFFF, 5 * 2**30)
    with open_sound(tmp_path / "a.wav") as reader:
        assert sum(len(block) for block in reader.blocks()) == frames


def test_a_header_of_endless_chunks_is_not_walked_to_its_end() -> None:
    chunks = io.BytesIO(b"RIFF\0\0\0\0WAVE" + b"none\0\0\0\0" * 100_000 + b"data\xff\0\0\0")
    reads = 0

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    assert find_sound(Counted(chunks.getvalue())) is None
    assert reads < 2_000
