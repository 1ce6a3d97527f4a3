"""What `escnn listen` says of a pipe that is not what it seems: in the words of `escnn detect`, or by refusing it."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.commands.test_listen import LOW_SCORE, RATE, SOUND, WAV, documents
from conftest import ESCNN, escnn
from live.test_pcm import endless, wav_of

from escnn.errors import OutputError
from escnn.live import clips

CUT = endless(SOUND, 2 * len(SOUND))  # the pipe ends before its header says
SAMPLES = np.frombuffer(SOUND, "<i2") / 32_768


def damaged(numbers: tuple[float, ...] = (np.nan, np.inf, -np.inf)) -> np.ndarray:
    samples = SAMPLES.copy()
    samples[1_000 : 1_000 + len(numbers)] = numbers
    samples[5 * RATE] = np.nan
    return samples


def ending(text: str) -> dict[str, Any]:
    last = documents(text)[-1]
    assert last["schema"] == "escnn.recording/1"
    return last


@pytest.mark.parametrize(
    ("sound", "said"),
    [
        (wav_of(damaged(), "f32le"), ["4 samples were not finite numbers and were silenced"]),
        (wav_of(32_768 * SAMPLES, "f64le"), ["written as integers in floats: divided by 32768"]),
        (CUT, ["ends after 8.00 s, its header promised 16.00 s"]),
        (CUT[:-1], ["ends after 8.00 s, its header promised 16.00 s"]),
        (endless(SOUND, len(SOUND)), []),
        (endless(SOUND, len(SOUND) + 100), []),  # 6 ms are nothing to speak of
        (endless(SOUND[:4_000], 4_044, rate=1_000), []),  # a recorder that counts its header
        (endless(SOUND[:4_000], 4_036, rate=1_000), []),
        (endless(SOUND[:4_000], 4_046, rate=1_000), ["ends after 2.00 s, its header promised 2.02 s"]),
        (endless(SOUND, 0), []),
        (endless(SOUND, 0x80000000), []),
        (WAV, []),
    ],
)
def test_a_pipe_is_warned_of_in_the_words_of_detect(model: Path, sound: bytes, said: list[str]) -> None:
    heard, found = (escnn(command, "-", *LOW_SCORE[:4], stdin=sound) for command in ("listen", "detect"))
    assert (heard.exit_code, found.exit_code) == (0, 0), heard.stderr
    assert ending(found.stdout)["warnings"] == said
    assert ending(heard.stdout)["warnings"] == said
    warned = [line for line in heard.stderr.splitlines() if line.startswith("warning: ")]
    assert warned == [f"warning: -: {text}" for text in said]
    assert warned == [line for line in found.stderr.splitlines() if line.startswith("warning: ")]


def test_raw_floats_that_are_no_numbers_are_counted(model: Path) -> None:
    options = ["--rate", RATE, "--encoding", "f32le", "--channels", 2]
    stereo = np.stack([damaged(), damaged()], axis=1).astype("<f4").tobytes()
    heard = escnn("listen", "-", *options, *LOW_SCORE, stdin=stereo)
    assert ending(heard.stdout)["warnings"] == ["8 samples were not finite numbers and were silenced"]
    assert heard.stderr.count("8 samples were not finite numbers") == 1


def test_doubles_that_are_no_numbers_are_told_of_in_no_other_words(model: Path) -> None:
    """Numpy, which makes floats of them, has words of its own."""
    doubles = np.frombuffer(SOUND[:8_000], "<i2") / 32_768
    words = doubles.view("<u8").copy()
    words[:10] = 0x7FF0000000000001  # a signalling NaN
    words[10:20] = 0x7FE0000000000000  # beyond the largest float
    heard = escnn("listen", "-", "--rate", RATE, "--encoding", "f64le", stdin=words.tobytes())
    said = "20 samples were not finite numbers and were silenced"
    assert ending(heard.stdout)["warnings"] == [said]
    assert [line for line in heard.stderr.splitlines() if "warning" in line] == [f"warning: -: {said}"]


@pytest.mark.parametrize(
    ("samples", "length"), [(0, 0), *((samples, length) for samples in (0, 1, 79) for length in (0xFFFFFFFF, 20_000))]
)
def test_a_header_without_a_sound_is_an_error_as_in_detect(model: Path, samples: int, length: int) -> None:
    sound = endless(SOUND[: 2 * samples], length)
    heard, found = (escnn(command, "-", *LOW_SCORE[:4], stdin=sound) for command in ("listen", "detect"))
    assert (heard.exit_code, found.exit_code) == (3, 3)
    names = ("status", "error", "warnings", "duration_seconds", "events")
    assert [ending(heard.stdout)[name] for name in names] == [ending(found.stdout)[name] for name in names]
    assert len(documents(heard.stdout)) == 1
    for line in found.stderr.splitlines()[:2]:
        assert line in heard.stderr.splitlines()


def test_a_sound_of_ten_milliseconds_is_one(model: Path) -> None:
    assert escnn("listen", "-", stdin=endless(SOUND[: 2 * RATE // 100], 0)).exit_code == 0


def test_raw_pcm_that_never_comes_is_the_error_of_a_wav_that_never_comes(model: Path) -> None:
    raw, wav = escnn("listen", "-", "--rate", RATE, stdin=b""), escnn("listen", "-", stdin=b"")
    assert (raw.exit_code, raw.stdout) == (wav.exit_code, wav.stdout) == (3, "")
    assert "no sound came" in raw.stderr
    assert raw.stderr.splitlines()[-2:] == wav.stderr.splitlines()[-2:]


@pytest.mark.parametrize("kind", [b"RIFF", b"RF64", b"BW64"])
def test_a_wav_is_not_heard_as_raw_pcm(model: Path, tmp_path: Path, kind: bytes) -> None:
    """Its header would sound as a click, and its rate and encoding need not be those that were given. Raw PCM begins
    with these eight letters once in 2^64 times: so it is refused, and at once, rather than warned of at the end.
    """
    out = tmp_path / "heard.jsonl"
    refused = escnn("listen", "-", "--rate", 44_100, "--out", out, stdin=kind + WAV[4:])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "header of a WAV" in refused.stderr
    assert "leave out --rate" in refused.stderr
    assert out.read_text() == ""


@pytest.mark.parametrize("head", [b"", b"\1", b"RIFF", b"RIFF\0\0\0\0WAV", b"RIFF\0\0\0\0AVI \0\0\0\0"])
def test_the_first_bytes_of_raw_pcm_are_heard(model: Path, head: bytes) -> None:
    heard = escnn("listen", "-", "--rate", RATE, "--encoding", "u8", stdin=head + bytes(1_000))
    assert heard.exit_code == 0, heard.stderr
    assert ending(heard.stdout)["duration_seconds"] == (len(head) + 1_000) / RATE


def test_on_a_terminal_it_is_said_when_the_display_is_gone(model: Path) -> None:
    mine, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "40"}
    process = subprocess.Popen(
        [*ESCNN, "listen", "-"], stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    writer = threading.Thread(target=process.communicate, args=(CUT,))
    writer.start()
    shown = b""
    with suppress(OSError):  # nobody writes any more
        while part := os.read(mine, 65_536):
            shown += part
    writer.join()
    os.close(mine)
    assert process.returncode == 0
    after = shown[shown.rindex(b"now:") :]
    assert after.count(b"ends after 8.00 s, its header promised 16.00 s") == 1


def test_clips_that_cannot_be_written_are_counted_and_end_no_listening(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk may last for days: it is said when it begins and at the end, and the exit code is that of detect."""

    def refuse(path: Path, _: object) -> None:
        raise OutputError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(clips, "write_bytes", refuse)
    heard = escnn("listen", "-", *LOW_SCORE, "--clips", tmp_path / "clips", stdin=WAV)
    assert heard.exit_code == 7
    end = ending(heard.stdout)
    assert end["events"] > 1
    said = f"{end['events']} clips could not be written"
    assert end["warnings"] == [said]
    assert f"warning: -: {said}" in heard.stderr.splitlines()
    assert heard.stderr.count("No space left") == 1
