"""What libsndfile does not read goes through ffmpeg, if it is there; if not, the error says what the file is."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from escnn.audio.decoding import load_audio, open_sound
from escnn.audio.formats import ffmpeg
from escnn.audio.formats.signatures import signature
from escnn.errors import AudioError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="ffmpeg is handed open files")

HEAD = b"\0\0\0\x20ftypM4A \0\0\2\0isomiso2" + bytes(8)  # of an m4a file, 32 bytes
SAMPLES = np.random.default_rng(0).uniform(-0.5, 0.5, (30_000, 2)).astype(np.float32)
SAMPLES[:, 1] = SAMPLES[:, 0]
# Stands in for ffmpeg: behind the head of an "m4a" file lies a WAV, which it writes.
STAND_IN = """#!{python}
import os, sys, time
arguments = sys.argv[1:]
open({log!r}, "w").write(" ".join(arguments) + "\\n" + str(os.getpid()))
content = open(arguments[arguments.index("-i") + 1], "rb").read()[32:]
{body}
"""
WRITE = "sys.stdout.buffer.write(content)"

Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(body)` puts a stand-in for ffmpeg on the PATH, and nothing else; gives the path of what it logs."""

    def put(body: str) -> Path:
        folder, log = tmp_path / "bin", tmp_path / "log"
        folder.mkdir()
        (folder / "ffmpeg").write_text(STAND_IN.format(python=sys.executable, log=str(log), body=body))
        (folder / "ffmpeg").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return log

    return put


@pytest.fixture
def m4a(tmp_path: Path) -> Path:
    """A file that only the stand-in reads, named so that ffmpeg could take it for an option."""
    soundfile.write(tmp_path / "a.wav", SAMPLES, 16_000, subtype="FLOAT")
    (tmp_path / "-i.m4a").write_bytes(HEAD + (tmp_path / "a.wav").read_bytes())
    return tmp_path / "-i.m4a"


def test_a_file_and_its_bytes_are_read_through_ffmpeg(install: Install, m4a: Path) -> None:
    log = install(WRITE)
    for source in (m4a, m4a.read_bytes()):
        loaded = load_audio(source)
        np.testing.assert_array_equal(loaded.samples, SAMPLES[:, 0])
        assert loaded.info.sample_rate == 16_000
        assert loaded.info.channels == 2
        assert loaded.info.format.startswith("MPEG-4")
        assert loaded.warnings == ()
        arguments = log.read_text().split()
        assert arguments[arguments.index("-f") + 1] == "mov"  # its own guess could be a playlist
        assert arguments[arguments.index("-protocol_whitelist") + 1] == "file,pipe"
        assert str(m4a) not in arguments


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_32"])
def test_integers_are_understood_too(install: Install, tmp_path: Path, subtype: str) -> None:
    install(WRITE)
    soundfile.write(tmp_path / "a.wav", SAMPLES[:, 0], 8_000, subtype=subtype)
    loaded = load_audio(HEAD + (tmp_path / "a.wav").read_bytes())
    np.testing.assert_allclose(loaded.samples, SAMPLES[:, 0], atol=1 / 32_768)


def test_a_size_that_a_pipe_cannot_know_limits_nothing(install: Install, m4a: Path) -> None:
    install(
        "place = content.find(b'data') + 4\n"
        + "content = content[:place] + b'\\xff' * 4 + content[place + 4:]\n"
        + WRITE
    )
    np.testing.assert_array_equal(load_audio(m4a).samples, SAMPLES[:, 0])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('moov atom not found', file=sys.stderr); sys.exit(1)", "moov atom not found"),
        ("sys.exit(3)", "exit code 3"),
        ("pass", "it gave no sound"),
        ("sys.stdout.buffer.write(b'no wav' * 100_000)", "it gave no sound|exit code"),
        ("time.sleep(60)", "nothing came for 1 s"),
    ],
)
def test_when_ffmpeg_fails_the_error_says_why(
    install: Install, m4a: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    install(body)
    monkeypatch.setattr(ffmpeg, "PATIENCE_SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(AudioError, match=f"ffmpeg cannot read .({said})") as caught:
        load_audio(m4a)
    assert caught.value.code == "not_audio"
    assert time.monotonic() - began < 20


def test_when_ffmpeg_gives_up_on_its_way_what_came_before_is_used(install: Install, m4a: Path) -> None:
    install("sys.stdout.buffer.write(content[:-80_000]); print('broken', file=sys.stderr); sys.exit(1)")
    loaded = load_audio(m4a)
    np.testing.assert_array_equal(loaded.samples, SAMPLES[:20_000, 0])
    assert loaded.warnings == ("ffmpeg gave up: broken",)


def test_ffmpeg_ends_with_the_sound(install: Install, m4a: Path) -> None:
    log = install("sys.stdout.buffer.write(content + content[100:] * 9); sys.stdout.flush(); time.sleep(600)")
    with open_sound(m4a) as reader:
        next(reader.blocks())
        pid = int(log.read_text().splitlines()[1])
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (HEAD, "m4a"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\1", "WebM"),
        (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel", "WMA"),
        (b"#!AMR\n<" + bytes(40), "AMR"),
        (b"\xff\xf1\x50\x80\x0c\x3f\xfc" + bytes(40), "AAC"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x61\1" + bytes(20), "WAV"),
    ],
)
def test_without_ffmpeg_the_error_names_the_format_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch, head: bytes, name: str
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AudioError, match=f"{name}.*ffmpeg is not installed") as caught:
        load_audio(head)
    assert "ffmpeg -i IN out.wav" in str(caught.value.hint)
    assert caught.value.code == "not_audio"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(9), "a PNG picture"),
        (b"PK\3\4" + bytes(30), "a zip archive"),
        (b"\n <!DOCTYPE html><html><head>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "a Git LFS pointer"),
        (b"#EXTM3U\nhttp://example.org/secret\n", "text"),
        (b"MThd\0\0\0\6", "a MIDI file"),
    ],
)
def test_what_is_no_sound_is_called_by_its_name_and_never_given_to_ffmpeg(
    install: Install, head: bytes, name: str
) -> None:
    log = install(WRITE)
    with pytest.raises(AudioError, match=f"not an audio file but {name}"):
        load_audio(head)
    assert not log.exists()


def test_nothing_is_claimed_of_what_is_not_known() -> None:
    assert signature(b"\x13\x37\xff\0\0\0\x80") is None
    assert signature(b"") is None


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no files in memory")
def test_bytes_go_to_ffmpeg_without_a_file_on_disk(
    install: Install, m4a: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(WRITE)
    monkeypatch.setattr(ffmpeg.tempfile, "TemporaryFile", lambda: pytest.fail("a file on disk"))
    assert len(load_audio(m4a.read_bytes()).samples) == len(SAMPLES)
