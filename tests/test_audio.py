import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from escnn import audio
from escnn.chunks import promised_and_held
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
    loaded = audio.load_audio(write_sound(name, samples, subtype=subtype))
    assert loaded.samples.dtype == np.float32
    np.testing.assert_allclose(loaded.samples, samples, atol=tolerance)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_lossy_files_sound_alike(write_sound: Writer, name: str) -> None:
    samples = tone(440, 1.0, 44_100)
    loaded = audio.load_audio(write_sound(name, samples, 44_100), 44_100)
    spectrum = np.abs(np.fft.rfft(loaded.samples[:44_100]))
    assert spectrum.argmax() == pytest.approx(440, abs=1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_101, 48_000, 96_000, 384_000])
def test_a_tone_keeps_its_pitch_and_length_at_any_rate(write_sound: Writer, rate: int) -> None:
    loaded = audio.load_audio(write_sound("a.wav", tone(1_000, 1.0, rate), rate, subtype="FLOAT"), 44_100)
    assert loaded.sample_rate == 44_100
    assert len(loaded.samples) == pytest.approx(44_100, abs=2)
    spectrum = np.abs(np.fft.rfft(loaded.samples, n=44_100))
    assert spectrum.argmax() == pytest.approx(1_000, abs=1)
    assert np.abs(loaded.samples[5_000:-5_000]).max() == pytest.approx(0.5, abs=0.01)


def test_channels_are_averaged(write_sound: Writer) -> None:
    left, right = tone(440, 0.1, 8_000), tone(880, 0.1, 8_000)
    loaded = audio.load_audio(write_sound("a.wav", np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(loaded.samples, (left + right) / 2, atol=1e-7)
    assert loaded.info.channels == 2


def test_bytes_and_path_are_the_same_sound(write_sound: Writer) -> None:
    path = write_sound("a.flac", tone(440, 0.3, 8_000))
    np.testing.assert_array_equal(audio.load_audio(path).samples, audio.load_audio(path.read_bytes()).samples)


def test_a_sound_does_not_depend_on_where_blocks_are_cut(write_sound: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sound("a.wav", tone(440, 1.0, 11_025), 11_025, subtype="FLOAT")
    whole = audio.load_audio(path, 8_000).samples
    monkeypatch.setattr(audio, "BLOCK_FRAMES", 997)
    np.testing.assert_array_equal(audio.load_audio(path, 8_000).samples, whole)


def test_a_length_below_zero_sends_path_and_bytes_to_the_same_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.w64"
    soundfile.write(path, tone(440, 0.2, 8_000), 8_000, format="W64")
    data = bytearray(path.read_bytes())
    length = data.find(b"data") + 16
    data[length : length + 8] = (-127_848).to_bytes(8, "little", signed=True)  # libsndfile goes back that far
    path.write_bytes(data)
    np.testing.assert_array_equal(audio.load_audio(bytes(data)).samples, audio.load_audio(path).samples)
    assert capfd.readouterr().err == ""


def bad(tmp_path: Path, kind: str) -> Path:
    """A file that is no sound, of the kind that is asked for."""
    path = tmp_path / f"{kind}.wav"
    good = io.BytesIO()
    soundfile.write(good, tone(440, 0.1, 8_000), 8_000, format="WAV")
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "header-only":
        soundfile.write(path, np.zeros(0, dtype=np.float32), 8_000)
    elif kind == "text":
        path.write_text("this is not a sound\n" * 50)
    elif kind == "png":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    elif kind == "cut-header":
        path.write_bytes(good.getvalue()[:20])
    elif kind == "silent":
        soundfile.write(path, np.zeros(800, dtype=np.float32), 8_000)
    elif kind == "all-nan":
        soundfile.write(path, np.full(800, np.nan, dtype=np.float32), 8_000, subtype="FLOAT")
    elif kind == "rate":
        data = bytearray(good.getvalue())
        data[24:28] = (2**31 - 1).to_bytes(4, "little")
        path.write_bytes(data)
    elif kind == "channels":
        soundfile.write(path, np.full((80, 40), 0.1, dtype=np.float32), 8_000)
    elif kind == "folder":
        path.mkdir()
    return path  # "missing" writes nothing


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
        ("all-nan", "silent"),
        ("rate", "sample_rate"),
        ("channels", "channels"),
    ],
)
def test_what_is_no_sound_is_one_clear_error(tmp_path: Path, kind: str, code: str) -> None:
    path = bad(tmp_path, kind)
    with pytest.raises(AudioError) as caught:
        audio.load_audio(path, 8_000)
    assert caught.value.code == code
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
def test_a_device_is_no_sound_and_is_not_read() -> None:
    with pytest.raises(AudioError) as caught:
        audio.load_audio("/dev/zero")
    assert caught.value.code == "unreadable"


def test_a_truncated_sound_is_used_as_far_as_it_goes(tmp_path: Path, write_sound: Writer) -> None:
    whole = write_sound("whole.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 80_000).astype(np.float32))
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    loaded = audio.load_audio(cut)
    assert 0 < len(loaded.samples) < 80_000
    np.testing.assert_array_equal(loaded.samples, audio.load_audio(whole).samples[: len(loaded.samples)])
    assert loaded.warnings


def test_a_forged_length_is_not_believed(write_sound: Writer) -> None:
    path = write_sound("a.flac", tone(440, 1.0, 8_000))
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # of STREAMINFO, the upper 4 of 36 bits of the length: 256 GiB as float32
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    for source in (path, bytes(data)):
        with pytest.raises(AudioError, match="cannot be decoded") as caught:  # and no MemoryError
            audio.load_audio(source)
        assert caught.value.code == "damaged"


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
        assert audio.load_audio(source).warnings == ()
    path.write_bytes(whole[: len(whole) // 2])
    for source in (path, path.read_bytes()):
        loaded = audio.load_audio(source)
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
    loaded = audio.load_audio(path)
    assert len(loaded.samples) == 800
    assert loaded.warnings == ()


def test_what_follows_the_sound_may_be_cut_off_without_a_warning(write_sound: Writer) -> None:
    path = write_sound("a.wav", tone(440, 0.1, 8_000))
    path.write_bytes(path.read_bytes() + b"LIST" + (1_000).to_bytes(4, "little") + b"INFO")
    assert audio.load_audio(path).warnings == ()


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
        assert audio.load_audio(source).warnings == ()
    path.write_bytes(whole[: round(share * len(whole)) if share else whole.rfind(b"OggS")])
    for source in (path, path.read_bytes()):
        loaded = audio.load_audio(source)
        (warning,) = loaded.warnings
        assert warning == f"ends after {loaded.seconds:.2f} s, without the page that ends an Ogg stream"


def test_the_sound_is_found_behind_other_chunks(write_sound: Writer) -> None:
    data = write_sound("a.wav", tone(440, 0.1, 8_000)).read_bytes()
    place = data.find(b"data")
    odd = b"note" + (3).to_bytes(4, "little") + b"abc\0"  # chunks of odd length are followed by a byte of padding
    loaded = audio.load_audio((data[:place] + odd + data[place:])[:-400])
    assert loaded.warnings == ("ends after 0.07 s, its header promised 0.10 s",)


def test_a_header_of_endless_chunks_is_not_walked_to_its_end() -> None:
    chunks = io.BytesIO(b"RIFF\0\0\0\0WAVE" + b"none\0\0\0\0" * 100_000 + b"data\xff\0\0\0")
    reads = 0

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    assert promised_and_held(Counted(chunks.getvalue())) is None
    assert reads < 2_000


def test_samples_that_are_no_numbers_are_silenced_with_a_warning(write_sound: Writer) -> None:
    samples = tone(440, 0.1, 8_000)
    samples[[10, 20, 30]] = np.nan, np.inf, 1e30
    loaded = audio.load_audio(write_sound("a.wav", samples, subtype="FLOAT"))
    assert loaded.samples[[10, 20, 30]].tolist() == [0, 0, 0]
    assert "3 samples" in loaded.warnings[0]


def test_a_sound_beyond_the_cap_is_refused_not_loaded(write_sound: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "LONGEST_WAVEFORM_SECONDS", 5.0)
    with pytest.raises(AudioError) as caught:
        audio.load_audio(write_sound("a.wav", tone(440, 30.0, 8_000)))
    assert caught.value.code == "too_long"


@pytest.mark.skipif(os.name == "nt", reason="file names are bytes on POSIX only")
def test_a_name_that_is_not_utf8_can_be_read(tmp_path: Path, write_sound: Writer) -> None:
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.raw"))
    write_sound("a.wav", tone(440, 0.1, 8_000)).rename(strange)
    assert len(audio.load_audio(strange).samples) == 800


def cut(seconds_of_blocks: list[int], length: int) -> list[np.ndarray]:
    samples = np.arange(1, sum(seconds_of_blocks) + 1, dtype=np.float32)
    return list(audio.windows(np.split(samples, np.cumsum(seconds_of_blocks)[:-1]), length))


def test_a_short_sound_is_padded_at_its_end() -> None:
    (window,) = cut([3], 5)
    assert window.tolist() == [1, 2, 3, 0, 0]


def test_a_sound_of_one_window_is_that_window() -> None:
    (window,) = cut([2, 3], 5)
    assert window.tolist() == [1, 2, 3, 4, 5]


def test_the_last_window_ends_where_the_sound_ends() -> None:
    assert [window.tolist() for window in cut([4, 4, 4], 5)] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [8, 9, 10, 11, 12]]


def test_a_sample_too_many_makes_no_window_of_its_own() -> None:
    assert len(cut([501], 500)) == 1
    assert len(cut([505], 500)) == 2


def test_importing_audio_does_not_start_torch() -> None:
    import subprocess
    import sys

    code = "import sys, escnn.audio, escnn.cli, escnn.inputs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("rate", [1_000, 8_000, 44_100, 96_000])
def test_an_encoded_sound_is_the_same_again_without_delay(rate: int) -> None:
    time = np.arange(2 * rate) / rate
    sweep = np.sin(2 * np.pi * rate * (time / 40 + time**2 / 40))  # from a 40th to an eighth of the rate
    sound = (0.5 * sweep * np.hanning(2 * rate)).astype(np.float32)
    exact = audio.load_audio(audio.encode(sound, rate, "WAV"))
    assert exact.sample_rate == rate
    np.testing.assert_allclose(exact.samples, sound, atol=2 / 2**15)
    small = audio.load_audio(audio.encode(sound, rate, "MP3"), sample_rate=rate)
    assert abs(len(small.samples) - len(sound)) <= 1
    length = min(len(small.samples), len(sound))
    spectra = np.fft.rfft(small.samples[:length]) * np.fft.rfft(sound[:length]).conj()
    assert np.fft.irfft(spectra).argmax() in (0, 1, length - 1)  # samples of delay
    assert np.corrcoef(small.samples[:length], sound[:length])[0, 1] > 0.99
    assert audio.encode(sound, rate, "MP3") == audio.encode(sound, rate, "MP3")
