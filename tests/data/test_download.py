"""A data set appears whole in its place or not at all, and takes nobody's own files with it."""

import errno
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from small_archive import CLIPS, a_metadata, a_zip, assert_nothing_left, assert_whole, members

from escnn.data.download import Progress, download
from escnn.data.esc50 import check
from escnn.errors import DatasetError, OutputError
from escnn.files import exclusive

pytestmark = pytest.mark.usefixtures("small_and_quick")
NEVER_ASKED = "http://127.0.0.1:9/never-asked.zip"


def test_complete_folder_is_left_alone(archive: Path, folder: Path) -> None:
    first = download(folder, source=archive)
    (folder / "notes.txt").write_text("mine")
    assert download(folder, source=NEVER_ASKED) == first
    assert (folder / "notes.txt").exists()


def test_incomplete_folder_needs_force(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    (folder / "audio" / CLIPS[0]).unlink()
    with pytest.raises(DatasetError, match="fold 1 lacks 1") as caught:
        download(folder, source=archive)
    assert "--force" in (caught.value.hint or "")
    assert download(folder, source=archive, allow_missing=True).clips == 9
    assert download(folder, source=archive, force=True).complete
    assert_whole(folder)


@pytest.mark.parametrize("metadata", [b"?", a_metadata(CLIPS[:8])])
def test_other_metadata_than_the_official_is_somebodys_own(archive: Path, folder: Path, metadata: bytes) -> None:
    download(folder, source=archive)
    (folder / "meta" / "esc50.csv").write_bytes(metadata)
    with pytest.raises(DatasetError) as caught:
        download(folder, source=archive)
    assert "--force" not in (caught.value.hint or "")
    with pytest.raises(DatasetError, match="of its own"):
        download(folder, source=archive, force=True)
    assert (folder / "meta" / "esc50.csv").read_bytes() == metadata


@pytest.mark.parametrize(
    "stranger", ["audio/my-dog.wav", "audio/3-103-A-27.flac", "meta/notes.txt", "audio/more/a.wav"]
)
def test_force_spares_what_the_metadata_does_not_list(archive: Path, folder: Path, stranger: str) -> None:
    download(folder, source=archive)
    (folder / stranger).parent.mkdir(exist_ok=True)
    (folder / stranger).write_text("mine")
    with pytest.raises(DatasetError, match="not replaced"):
        download(folder, source=archive, force=True)
    assert (folder / stranger).read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_folder_of_something_else_is_never_replaced(force: bool, archive: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match="something other"):
        download(folder, source=archive, force=force)
    assert [path.name for path in folder.parent.rglob("*")] == ["ESC-50", "thesis.tex"]


def test_force_spares_a_data_set_with_other_files_in_it(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    (folder / "runs").mkdir()
    with pytest.raises(DatasetError, match="runs"):
        download(folder, source=archive, force=True)
    assert (folder / "runs").is_dir()


def test_place_that_is_a_file(archive: Path, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("mine")
    with pytest.raises(DatasetError, match="not a folder"):
        download(folder, source=archive, force=True)
    assert folder.read_text() == "mine"


def test_top_of_a_file_system_cannot_be_replaced(archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == folder)
    with pytest.raises(DatasetError) as caught:
        download(folder, source=archive)
    assert str(folder / "ESC-50") in (caught.value.hint or "")


def test_empty_folder_and_link_to_a_folder_are_places(archive: Path, tmp_path: Path) -> None:
    disk, link = tmp_path / "disk" / "sounds", tmp_path / "link"
    disk.mkdir(parents=True)
    link.symlink_to(disk)
    assert download(link, source=archive).complete
    assert link.is_symlink()
    assert_whole(disk)


@pytest.mark.parametrize(
    ("error", "seen"),
    [(OSError(errno.EIO, "last step"), OutputError), (KeyboardInterrupt("last step"), KeyboardInterrupt)],
)
def test_old_folder_comes_back_when_the_last_step_fails_or_is_interrupted(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, seen: type
) -> None:
    download(folder, source=archive)
    (folder / "LICENSE").write_text("the old one")
    rename = Path.rename

    def stopped(self: Path, target: Path) -> Path:
        if self.name == "unpacked" and isinstance(error, OSError):
            raise error
        result = rename(self, target)
        if target.name == "replaced" and isinstance(error, KeyboardInterrupt):
            raise error
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stopped)
        with pytest.raises(seen, match="last step"):
            download(folder, source=archive, force=True)
    assert (folder / "LICENSE").read_text() == "the old one"
    assert [path.name for path in folder.parent.iterdir()] == ["ESC-50"]
    assert check(folder).clips == 10


def test_old_folder_comes_back_when_the_new_archive_is_bad(archive: Path, folder: Path, tmp_path: Path) -> None:
    download(folder, source=archive)
    bad = tmp_path / "bad.zip"
    bad.write_bytes(a_zip(members(CLIPS[1:])))
    with pytest.raises(DatasetError):
        download(folder, source=bad, force=True)
    assert_whole(folder)


def test_what_a_call_left_that_was_killed_after_its_last_step_goes(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    (folder.parent / ".ESC-50.download" / "replaced" / "audio").mkdir(parents=True)
    (folder.parent / ".ESC-50.download" / "archive.zip.part").write_bytes(b"PK")
    (folder.parent / ".ESC-50.lock").touch()  # a lock that nobody holds any more
    assert download(folder, source=NEVER_ASKED).complete
    assert_whole(folder)


def test_leftovers_of_a_call_that_lives_are_let_be(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    part = folder.parent / ".ESC-50.download" / "archive.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"PK")
    with held_by_another(folder):
        assert download(folder, source=archive).complete
    assert part.exists()


def test_traces_of_killed_calls_are_put_right(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    work = folder.parent / ".ESC-50.download"
    (work / "unpacked" / "audio").mkdir(parents=True)
    folder.rename(work / "replaced")  # killed between the two renames of --force
    assert download(folder, source=NEVER_ASKED).complete
    assert_whole(folder)
    (work / "unpacked" / "audio").mkdir(parents=True)  # killed while extracting
    (work / "unpacked" / "audio" / "9-9-Z-9.wav").write_bytes(b"half")
    (work / "replaced" / "audio").mkdir(parents=True)  # killed while the old folder was being deleted
    assert download(folder, source=archive, force=True).complete
    assert_whole(folder)


def test_full_disk(archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        download(folder, source=archive)
    assert caught.value.exit_code == 7
    assert_nothing_left(folder)  # nothing that would keep the disk full


# Two at once


def held_by_another(folder: Path) -> AbstractContextManager[None]:
    """The lock of a download that is under way."""
    return exclusive(folder.parent / ".ESC-50.lock", DatasetError("held twice"))


def test_second_download_of_the_same_folder_is_refused(archive: Path, folder: Path) -> None:
    refused: list[DatasetError] = []

    def second(step: Progress) -> None:
        with pytest.raises(DatasetError) as caught:
            download(folder, source=archive)
        refused.append(caught.value)

    assert download(folder, source=archive, on_progress=second).complete
    assert "another process is downloading it" in refused[0].message
    assert_whole(folder)


def test_nothing_is_touched_while_another_holds_the_lock(archive: Path, folder: Path) -> None:
    folder.parent.mkdir()
    with held_by_another(folder):
        with pytest.raises(DatasetError, match="another process is downloading it"):
            download(folder, source=archive)
        assert [path.name for path in folder.parent.iterdir()] == [".ESC-50.lock"]
    assert download(folder, source=archive).complete
    assert_whole(folder)


def test_lock_is_given_back_after_a_failure(archive: Path, folder: Path) -> None:
    bad = folder.parent.parent / "bad.zip"
    bad.write_bytes(b"no zip")
    with pytest.raises(DatasetError, match="not a zip"):
        download(folder, source=bad)
    assert_nothing_left(folder)
    assert download(folder, source=archive).complete


# All of it at random


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the rounds are forked")
def test_however_it_ends_the_data_set_is_whole_or_as_it_was() -> None:
    """A short `make chaos`: drops, bad servers, kill -9, signals, a full disk, two at once, in real processes."""
    script = Path(__file__).parents[1] / "chaos" / "download.py"
    rounds = {**os.environ, "COUNT": "1", "SEED": "50"}
    done = subprocess.run([sys.executable, script], env=rounds, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 rounds, 0 of them unexpected" in done.stdout
