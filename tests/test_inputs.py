import io
import os
import sys
import threading
from pathlib import Path

import pytest

from escnn import inputs
from escnn.errors import UsageError


class Stdin:
    """A stdin that is a pipe with these bytes in it, or a terminal."""

    def __init__(self, data: bytes = b"", terminal: bool = False) -> None:
        self.buffer = io.BytesIO(data)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_a_folder_stands_for_the_sounds_in_it_and_below_sorted(tmp_path: Path) -> None:
    for name in ("b.wav", "a.FLAC", "notes.txt", "deep/er/c.ogg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [name for _, name in inputs.find_sounds([str(tmp_path), "x.wav"])]
    assert found == [str(tmp_path / name) for name in ("a.FLAC", "b.wav", "deep/er/c.ogg")] + ["x.wav"]


def test_a_folder_without_a_sound_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    assert [name for _, name in inputs.find_sounds([str(tmp_path)])] == [str(tmp_path)]


def test_a_list_of_names_may_hold_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a.wav\n\ncaf\xe9.wav\r\nb c.wav")
    assert inputs.gather(["first.wav"], str(tmp_path / "list")) == [
        "first.wav", "a.wav", os.fsdecode(b"caf\xe9.wav"), "b c.wav",
    ]  # fmt: skip


def test_stdin_gives_a_sound_or_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"RIFF"))
    assert list(inputs.find_sounds(["-"])) == [(b"RIFF", "-")]
    monkeypatch.setattr(sys, "stdin", Stdin(b"a.wav\nb.wav\n"))
    assert inputs.gather([], "-") == ["a.wav", "b.wav"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_is_read_as_a_shell_hands_it_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"RIFF",))
    writer.start()
    assert list(inputs.find_sounds([str(tmp_path / "pipe")])) == [(b"RIFF", str(tmp_path / "pipe"))]
    writer.join()


@pytest.mark.parametrize(
    ("arguments", "files_from"), [([], None), (["-", "-"], None), (["-"], "-"), ([], "missing-list")]
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], files_from: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"a.wav"))
    with pytest.raises(UsageError):
        inputs.gather(arguments, files_from)


def test_stdin_from_a_keyboard_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(terminal=True))
    with pytest.raises(UsageError, match="terminal"):
        list(inputs.find_sounds(["-"]))


def test_one_sound_is_known_without_looking_into_folders(tmp_path: Path) -> None:
    assert inputs.is_one_sound(["a.wav"])
    assert inputs.is_one_sound(["-"])
    assert not inputs.is_one_sound(["a.wav", "b.wav"])
    assert not inputs.is_one_sound([str(tmp_path)])
