"""What a user names becomes sounds: files, folders, lists, stdin, pipes."""

import io
import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from escnn.audio import inputs
from escnn.audio.decoding import open_sound
from escnn.errors import AudioError, UsageError


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


def test_what_a_folder_holds_beside_sounds_is_counted(tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    for name in ("a.wav", "b.m4a", "notes.txt", "cover.jpg", "._a.wav", ".hidden/c.wav", ".DS_Store", ".d.wav"):
        (sounds / name).parent.mkdir(parents=True, exist_ok=True)
        (sounds / name).write_bytes(b"?")
    (tmp_path / "elsewhere").mkdir()
    (sounds / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (sounds / "up").symlink_to(tmp_path, target_is_directory=True)
    left_out: Counter[str] = Counter()
    found = [name for _, name in inputs.find_sounds([str(sounds)], NOTHING, left_out)]
    assert found == [str(sounds / name) for name in ("a.wav", "b.m4a")]
    assert left_out == {inputs.OTHER: 2, inputs.LINKED: 2, inputs.HIDDEN: 2}


def test_a_sound_is_known_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    for name, form in (("take 1", "WAV"), ("b.bak", "FLAC"), ("c.2024", "OGG"), ("d.raw", "AIFF"), ("e", "CAF")):
        soundfile.write(tmp_path / name, np.full(100, 0.5), 8_000, format=form)
    (tmp_path / "f.bin").write_bytes(b"\xff\xfb" + bytes(99))
    (tmp_path / "g.avi").write_bytes(b"RIFF\1\1\1\1AVI LIST")
    found = [Path(name).name for _, name in inputs.find_sounds([str(tmp_path)], NOTHING)]
    assert found == ["b.bak", "c.2024", "d.raw", "e", "take 1"]


def test_a_subfolder_that_cannot_be_read_is_one_error_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.wav", "locked/b.wav", "z.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    scandir = os.scandir

    def refuse(path: Path) -> object:  # root may read everything
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(inputs.find_sounds([str(tmp_path)], NOTHING))
    assert [Path(name).name for _, name in found] == ["a.wav", "locked", "z.wav"]
    with (
        pytest.raises(AudioError, match="locked: cannot be read") as caught,
        open_sound(found[1][0]),
    ):
        pass
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_cannot_be_is_one_sound_whose_opening_fails(name: str) -> None:
    assert inputs.is_one_sound([name])
    ((source, _),) = inputs.find_sounds([name], NOTHING)
    with pytest.raises(AudioError), open_sound(source):
        pass


def test_a_folder_without_a_sound_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    assert [name for _, name in inputs.find_sounds([str(tmp_path)], NOTHING)] == [str(tmp_path)]


def test_a_list_of_names_may_hold_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a.wav\n\ncaf\xe9.wav\r\nb c.wav")
    assert inputs.collect_inputs(["first.wav"], str(tmp_path / "list"), NOTHING) == [
        "first.wav", "a.wav", os.fsdecode(b"caf\xe9.wav"), "b c.wav",
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str, end: str) -> None:
    names = ["a.wav", "gr\u00fcn b.wav", "\u72ac.wav"]
    mark = "\ufeff" if encoding.endswith("e") else ""
    (tmp_path / "list").write_bytes((mark + end.join([*names, "", ""])).encode(encoding))
    assert inputs.collect_inputs([], str(tmp_path / "list"), NOTHING) == names


def test_a_list_that_breaks_off_within_a_letter_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        inputs.collect_inputs([], "-", io.BytesIO("a.wav".encode("utf-16") + b"\0"))


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


@pytest.mark.parametrize("lines", [b"a\rb.wav\nc.wav\n", b"a\rb.wav\r\nc.wav"])
def test_a_list_has_a_name_a_line_as_unix_and_windows_end_them(lines: bytes) -> None:
    assert inputs.collect_inputs([], "-", io.BytesIO(lines)) == ["a\rb.wav", "c.wav"]


@pytest.mark.parametrize(
    ("arguments", "files_from"), [([], None), (["-", "-"], None), (["-"], "-"), ([], "missing-list"), ([""], None)]
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
