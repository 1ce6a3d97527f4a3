"""Names of files and folders: as people give them, as every disk takes them, as a shell takes them back."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from escnn import names
from escnn.errors import UsageError


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=8))
@example([b"..", b".", b"a", b"A", b"index.html", b"nul", b"\xe9", b"e\xcc\x81", b"\xc3\xa9", b" ", b"a."])
def test_names_of_folders_are_different_plain_and_short(wanted: list[bytes]) -> None:
    taken = {"index.html"}
    for name in map(os.fsdecode, wanted):
        given = names.folder_name(name, taken)
        assert names.same_name(given) not in taken
        assert given.isprintable()
        assert not set(given) & set('/\\:*?"<>|')
        assert given.strip(" .") == given != ""
        assert len(given.encode()) <= 255
        assert given.upper() not in {"CON", "NUL", "PRN", "AUX", "COM1", "LPT1"}
        taken.add(names.same_name(given))


def test_a_tilde_is_the_home_folder_and_nothing_is_no_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert names.expanded("~/a") == tmp_path / "a"
    assert names.expanded("~") == tmp_path
    assert names.expanded("a/~") == Path("a/~")
    for wrong in ("", "~nobody-of-that-name/a"):
        with pytest.raises(UsageError):
            names.expanded(wrong)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name))
@example(b"a b")
@example(b"it's")
@example("\ue000".encode())  # for private use: every terminal shows it otherwise
@example(b"tab\there\n\x1b[2J\xe9\\'$(touch x)`id`")
def test_a_shell_takes_back_what_is_printed(name: bytes) -> None:
    printed = names.quoted(os.fsdecode(name))
    assert all(letter.isprintable() for letter in printed)
    done = subprocess.run(["bash", "-c", f"printf %s {printed}"], capture_output=True, check=True)
    assert done.stdout == name
