"""Sounds of no class: noise everywhere, speech where there is a program that speaks and no class that could be it."""

import stat
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_AUDIO

from escnn.training.frames.other_sounds import COUNT, other_sounds

SPEAKS = """#!/bin/sh
cat "$(dirname "$0")/speech.wav"
"""


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_a_program_that_speaks_there_is_noise(no_program: Path) -> None:
    sounds = other_sounds(SMALL_AUDIO, 1.0, ("dog",), seed=0)
    assert len(sounds) == COUNT
    assert all(sound.shape == (32, 63) and sound.max() > -60 for sound in sounds)
    again, other = other_sounds(SMALL_AUDIO, 1.0, ("dog",), seed=0), other_sounds(SMALL_AUDIO, 1.0, ("dog",), seed=1)
    assert all(np.array_equal(one, two) for one, two in zip(sounds, again, strict=True))
    assert not np.array_equal(sounds[0], other[0])


@pytest.mark.parametrize(
    ("labels", "speaks"),
    [(("dog", "dormant"), True), (("dog", "speech"), False), (("Male Voice",), False), (("people-talking",), False)],
)
def test_speech_is_left_out_where_a_class_could_be_it(
    no_program: Path, monkeypatch: pytest.MonkeyPatch, labels: tuple[str, ...], speaks: bool
) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    soundfile.write(no_program / "speech.wav", rng.normal(0, 0.1, 8_000), 8_000)
    program = no_program / "espeak-ng"
    program.write_text(SPEAKS)
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{no_program}:/usr/bin:/bin")
    assert len(other_sounds(SMALL_AUDIO, 1.0, labels, seed=0)) == (2 * COUNT if speaks else COUNT)


def test_a_program_that_cannot_speak_is_none(no_program: Path) -> None:
    program = no_program / "espeak-ng"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    assert len(other_sounds(SMALL_AUDIO, 1.0, ("dog",), seed=0)) == COUNT
