"""Every sound comes as mono float32, or as one clear error; a file, its bytes and an array are the same sound."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import tone

from escnn.audio import decoding
from escnn.audio.decoding import load_audio, open_sound
from escnn.audio.formats import sound_file
from escnn.errors import AudioError

Writer = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 1 / 128),
        ("a.wav", "PCM_16", 1 / 32_768),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 0),
        ("a.flac", "PCM_16", 1 / 32_768),
        ("a.aiff", "PCM_16", 1 / 32_768),
    ],
)
def test_samples_come_back_as_written(write_sound: Writer, name: str, subtype: str, tolerance: float) -> None:
    samples = tone(440, 0.1, 8_000)
    loaded = load_audio(write_sound(name, samples, subtype=subtype))
    assert loaded.samples.dtype == np.float32
    np.testing.assert_allclose(loaded.samples, samples, atol=tolerance)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_lossy_files_sound_alike(write_sound: Writer, name: str) -> None:
    samples = tone(440, 1.0, 44_100)
    loaded = load_audio(write_sound(name, samples, 44_100), 44_100)
    spectrum = np.abs(np.fft.rfft(loaded.samples[:44_100]))
    assert spectrum.argmax() == pytest.approx(440, abs=1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_101, 48_000, 96_000, 384_000])
def test_a_tone_keeps_its_pitch_and_length_at_any_rate(write_sound: Writer, rate: int) -> None:
    loaded = load_audio(write_sound("a.wav", tone(1_000, 1.0, rate), rate, subtype="FLOAT"), 44_100)
    assert loaded.sample_rate == 44_100
    assert len(loaded.samples) == pytest.approx(44_100, abs=2)
    spectrum = np.abs(np.fft.rfft(loaded.samples, n=44_100))
    assert spectrum.argmax() == pytest.approx(1_000, abs=1)
    assert np.abs(loaded.samples[5_000:-5_000]).max() == pytest.approx(0.5, abs=0.01)


def test_bytes_and_path_are_the_same_sound(write_sound: Writer) -> None:
    path = write_sound("a.flac", tone(440, 0.3, 8_000))
    np.testing.assert_array_equal(load_audio(path).samples, load_audio(path.read_bytes()).samples)


def test_a_sound_does_not_depend_on_where_blocks_are_cut(write_sound: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (11_025 * 11, 2)).astype(np.float32)
    sounds = {"one": noise[:, 0], "two": noise, "PCM_16": noise[:, 0]}
    paths = [
        write_sound(f"{name}.wav", samples, 11_025, subtype="PCM_16" if name == "PCM_16" else "FLOAT")
        for name, samples in sounds.items()
    ]
    whole = [load_audio(path, 8_000).samples for path in paths]
    monkeypatch.setattr(sound_file, "BLOCK_FRAMES", 997)
    for path, samples in zip(paths, whole, strict=True):
        np.testing.assert_array_equal(load_audio(path, 8_000).samples, samples)


def test_a_length_below_zero_sends_path_and_bytes_to_the_same_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.w64"
    soundfile.write(path, tone(440, 0.2, 8_000), 8_000, format="W64")
    data = bytearray(path.read_bytes())
    length = data.find(b"data") + 16
    data[length : length + 8] = (-127_848).to_bytes(8, "little", signed=True)  # libsndfile goes back that far
    path.write_bytes(data)
    np.testing.assert_array_equal(load_audio(bytes(data)).samples, load_audio(path).samples)
    assert capfd.readouterr().err == ""


def wav(samples: np.ndarray, subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 8_000, format="WAV", subtype=subtype)
    return file.getvalue()


GOOD = wav(tone(440, 0.1, 8_000), "PCM_16")
BAD = {
    "empty": b"",
    "header-only": wav(np.zeros(0)),
    "text": b"this is not a sound\n" * 50,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "cut-header": GOOD[:20],
    "silent": wav(np.zeros(800)),
    "constant": wav(np.full(800, 0.25)),
    "last-bit": wav(np.arange(800) % 2 / 32_768),
    "last-bit-of-16": wav((np.arange(800) % 2).astype(np.int16), "PCM_16"),
    "below-16-bits": wav(tone(440, 0.1, 8_000, amplitude=1.5e-5), "PCM_24"),
    "all-nan": wav(np.full(800, np.nan)),
    "beyond-float32": wav(tone(440, 0.1, 8_000).astype(np.float64) * 1e300, "DOUBLE"),
    "beyond-reason": wav(tone(440, 0.1, 8_000) * 1e30),
    "one-sample": wav(np.full(1, 0.5)),
    "nine-milliseconds": wav(tone(440, 0.009, 8_000)),
    "44-bytes": GOOD[:40] + bytes([44, 0, 0, 0]) + GOOD[44:88],
    "rate": GOOD[:24] + (2**31 - 1).to_bytes(4, "little") + GOOD[28:],
    "channels": wav(np.full((80, 40), 0.1)),
}


def bad(tmp_path: Path, kind: str) -> Path:
    """A file that is no sound, of the kind that is asked for."""
    path = tmp_path / (f"{kind}.wav" if kind != "long-name" else "x" * 300)
    if kind == "folder":
        path.mkdir()
    elif kind in BAD:
        path.write_bytes(BAD[kind])
    return path  # "missing" and "long-name" write nothing


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("missing", "missing"),
        ("folder", "folder"),
        ("empty", "empty"),
        ("header-only", "empty"),
        ("text", "not_audio"),
        ("png", "not_audio"),
        ("cut-header", "not_audio"),
        ("silent", "silent"),
        ("constant", "silent"),
        ("last-bit", "silent"),
        ("last-bit-of-16", "silent"),
        ("below-16-bits", "silent"),
        ("all-nan", "damaged"),
        ("beyond-float32", "damaged"),
        ("beyond-reason", "damaged"),
        ("one-sample", "empty"),
        ("nine-milliseconds", "empty"),
        ("44-bytes", "empty"),
        ("long-name", "unreadable"),
        ("rate", "sample_rate"),
        ("channels", "channels"),
    ],
)
def test_what_is_no_sound_is_one_clear_error(tmp_path: Path, kind: str, code: str) -> None:
    path = bad(tmp_path, kind)
    with pytest.raises(AudioError) as caught:
        load_audio(path, 8_000)
    assert caught.value.code == code
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
def test_a_device_is_no_sound_and_is_not_read() -> None:
    with pytest.raises(AudioError) as caught:
        load_audio("/dev/zero")
    assert caught.value.code == "unreadable"


def test_a_truncated_sound_is_used_as_far_as_it_goes(tmp_path: Path, write_sound: Writer) -> None:
    whole = write_sound("whole.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 80_000).astype(np.float32))
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    loaded = load_audio(cut)
    assert 0 < len(loaded.samples) < 80_000
    np.testing.assert_array_equal(loaded.samples, load_audio(whole).samples[: len(loaded.samples)])
    assert loaded.warnings


def test_a_forged_length_is_not_believed(write_sound: Writer) -> None:
    path = write_sound("a.flac", tone(440, 1.0, 8_000))
    whole = load_audio(path).samples
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # of STREAMINFO, the upper 4 of 36 bits of the length: 256 GiB as float32
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    for source in (path, bytes(data)):
        loaded = load_audio(source)  # and no MemoryError
        np.testing.assert_array_equal(loaded.samples, whole)
        assert loaded.warnings == ("ends after 1.00 s, its header promised 8589934.59 s",)


def test_a_file_that_grows_while_it_is_read_says_so(write_sound: Writer) -> None:
    path = write_sound("a.wav", tone(440, 3.0, 8_000))
    with open_sound(path) as reader:
        blocks = reader.blocks()
        next(blocks)
        with path.open("ab") as file:
            file.write(bytes(8_000))
        assert sum(map(len, blocks))
        assert reader.warnings == ["it changed while it was read; is it still being written?"]
    with open_sound(path) as reader:
        assert sum(map(len, reader.blocks()))
        assert reader.warnings == []


def test_samples_that_are_no_numbers_are_silenced_with_a_warning(write_sound: Writer) -> None:
    samples = tone(440, 0.1, 8_000)
    samples[[10, 20, 30]] = np.nan, np.inf, 1e30
    loaded = load_audio(write_sound("a.wav", samples, subtype="FLOAT"))
    assert loaded.samples[[10, 20, 30]].tolist() == [0, 0, 0]
    assert "3 samples" in loaded.warnings[0]


def test_a_sound_beyond_the_cap_is_refused_not_loaded(write_sound: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LONGEST_WAVEFORM_SECONDS", 5.0)
    with pytest.raises(AudioError) as caught:
        load_audio(write_sound("a.wav", tone(440, 30.0, 8_000)))
    assert caught.value.code == "too_long"


def test_a_sound_that_is_too_long_by_its_header_is_not_read_for_hours(
    write_sound: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sound("a.wav", tone(440, 30.0, 8_000))
    monkeypatch.setattr("escnn.audio.formats.sound_file.SoundFile.blocks", lambda _: pytest.fail("it was read"))
    for source in (path, path.read_bytes()):
        with open_sound(source) as reader, pytest.raises(AudioError) as caught:
            list(reader.blocks(longest_seconds=5.0))
        assert caught.value.code == "too_long"


@pytest.mark.skipif(os.name == "nt", reason="file names are bytes on POSIX only")
def test_a_name_that_is_not_utf8_can_be_read(tmp_path: Path, write_sound: Writer) -> None:
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.raw"))
    write_sound("a.wav", tone(440, 0.1, 8_000)).rename(strange)
    assert len(load_audio(strange).samples) == 800


STEREO = np.stack([tone(440, 0.1, 8_000), tone(880, 0.1, 8_000)], axis=1)  # (time, channels)


@pytest.mark.parametrize(
    ("kind", "subtype"), [("int16", "PCM_16"), ("int32", "PCM_32"), ("float32", "FLOAT"), ("float64", "DOUBLE")]
)
@pytest.mark.parametrize("samples", [STEREO, STEREO[:, 0], STEREO[::3, ::-1]], ids=["stereo", "mono", "strided"])
def test_an_array_is_the_same_sound_as_its_file(
    write_sound: Writer, samples: np.ndarray, kind: str, subtype: str
) -> None:
    scale = -float(np.iinfo(kind).min) if kind.startswith("int") else 1.0
    array = (samples.astype(np.float64) * scale).astype(kind)
    before = array.copy()
    from_file = load_audio(write_sound("a.wav", array, subtype=subtype), 11_025)
    from_array = load_audio((array, 8_000), 11_025)
    np.testing.assert_array_equal(from_array.samples, from_file.samples)
    assert from_array.samples.dtype == np.float32
    assert from_array.info.channels == from_file.info.channels
    assert from_array.info.subtype == kind
    np.testing.assert_array_equal(array, before)


def test_samples_of_an_array_that_are_no_numbers_are_silenced_and_the_array_is_left_alone() -> None:
    array = tone(440, 0.1, 8_000).astype(np.float64)
    array[[10, 20, 30]] = np.nan, -np.inf, 1e300  # the last is no float32
    with np.errstate(all="raise"):
        loaded = load_audio((array, 8_000))
    assert loaded.samples[[10, 20, 30]].tolist() == [0, 0, 0]
    assert loaded.warnings == ("3 samples were not finite numbers and were silenced",)
    assert np.isnan(array[10])


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ((np.float32(0.5), 8_000), "not_audio"),
        ((np.zeros((2, 3, 4)), 8_000), "not_audio"),
        ((np.zeros((800, 0)), 8_000), "not_audio"),
        ((np.ones(800, dtype=bool), 8_000), "not_audio"),
        ((np.ones(800, dtype=np.uint8), 8_000), "not_audio"),  # of these, nobody knows which is silence
        ((np.ones(800, dtype=complex), 8_000), "not_audio"),
        ((np.array(["a"] * 800), 8_000), "not_audio"),
        ((np.array([None] * 800), 8_000), "not_audio"),
        (([[1.0, 2.0], [3.0]], 8_000), "not_audio"),
        ((np.ones(800), "fast"), "not_audio"),
        ((np.ones(800), None), "not_audio"),
        ((np.ones(800), float("nan")), "not_audio"),
        ((np.ones(800),), "not_audio"),
        ((np.ones(800), 0), "sample_rate"),
        ((np.ones(800), -8_000), "sample_rate"),
        ((np.ones((2, 800)), 8_000), "channels"),  # (channels, time)
        ((np.zeros(0), 8_000), "empty"),
        ((np.zeros(800), 8_000), "silent"),
    ],
    ids=str,
)
def test_an_array_that_is_no_sound_is_one_clear_error(source: Any, code: str) -> None:
    with pytest.raises(AudioError, match=r"^take 7: ") as caught:
        load_audio(source, name="take 7")
    assert caught.value.code == code
    assert len(caught.value.message) < 200


def test_a_sound_knows_its_hash_and_the_file_is_opened_once(
    write_sound: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sound("a.wav", tone(440, 0.1, 8_000))
    content, real_open = path.read_bytes(), os.open
    opened = []

    def open_and_take_away(name: Any, *arguments: Any) -> int:
        descriptor = real_open(name, *arguments)
        if os.name == "posix":
            Path(name).unlink()  # who opens it once more finds nothing
        opened.append(name)
        return descriptor

    monkeypatch.setattr(os, "open", open_and_take_away)
    for source in (path, content):
        with open_sound(source) as reader:
            samples = np.concatenate(list(reader.blocks()))
            assert reader.sha256() == hashlib.sha256(content).hexdigest()
        assert len(samples) == 800
    assert opened == [path]


def test_the_hash_of_an_array_tells_arrays_apart() -> None:
    def digest(samples: np.ndarray) -> str:
        with open_sound((samples, 8_000)) as reader:
            return reader.sha256()

    samples = tone(440, 0.1, 8_000)
    assert digest(samples) == digest(samples[::-1][::-1]) != digest(samples / 2)
