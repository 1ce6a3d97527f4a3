"""What a user names becomes sounds: files, folders, lists, stdin, pipes."""

import io
import os
import threading
from pathlib import Path

import pytest

from escnn.audio import inputs
from escnn.errors import UsageError


class Terminal(io.BytesIO):
    """A stdin that is a keyboard."""

    def isatty(self) -> bool:
        return True


NOTHING = io.BytesIO()


def test_a_folder_stands_for_the_sounds_in_it_and_below_sorted(tmp_path: Path) -> None:
    for name in ("b.wav", "a.FLAC", "notes.txt", "deep/er/c.ogg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [name for _, name in inputs.find_sounds([str(tmp_path), "x.wav"], NOTHING)]
    assert found == [str(tmp_path / name) for name in ("a.FLAC", "b.wav", "deep/er/c.ogg")] + ["x.wav"]


def test_a_folder_without_a_sound_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    assert [name for _, name in inputs.find_sounds([str(tmp_path)], NOTHING)] == [str(tmp_path)]


def test_a_list_of_names_may_hold_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a.wav\n\ncaf\xe9.wav\r\nb c.wav")
    assert inputs.collect_inputs(["first.wav"], str(tmp_path / "list"), NOTHING) == [
        "first.wav", "a.wav", os.fsdecode(b"caf\xe9.wav"), "b c.wav",
    ]  # fmt: skip


def test_stdin_gives_a_sound_or_a_list() -> None:
    assert list(inputs.find_sounds(["-"], io.BytesIO(b"RIFF"))) == [(b"RIFF", "-")]
    assert inputs.collect_inputs([], "-", io.BytesIO(b"a.wav\nb.wav\n")) == ["a.wav", "b.wav"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_is_read_as_a_shell_hands_it_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"RIFF",))
    writer.start()
    assert list(inputs.find_sounds([str(tmp_path / "pipe")], NOTHING)) == [(b"RIFF", str(tmp_path / "pipe"))]
    writer.join()


@pytest.mark.parametrize(
    ("arguments", "files_from"), [([], None), (["-", "-"], None), (["-"], "-"), ([], "missing-list")]
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], files_from: str | None) -> None:
    with pytest.raises(UsageError):
        inputs.collect_inputs(arguments, files_from, io.BytesIO(b"a.wav"))


def test_stdin_from_a_keyboard_is_refused() -> None:
    with pytest.raises(UsageError, match="terminal"):
        list(inputs.find_sounds(["-"], Terminal()))


def test_a_pipe_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LARGEST_PIPE", 3)
    with pytest.raises(UsageError, match="stdin: the sound in this pipe is larger"):
        inputs.one_sound("-", io.BytesIO(b"RIFF"))


def test_one_sound_is_known_without_looking_into_folders(tmp_path: Path) -> None:
    assert inputs.is_one_sound(["a.wav"])
    assert inputs.is_one_sound(["-"])
    assert not inputs.is_one_sound(["a.wav", "b.wav"])
    assert not inputs.is_one_sound([str(tmp_path)])
