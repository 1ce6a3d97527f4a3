"""Files appear whole or not at all, what is there is not lost, and two processes do not write the same thing."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from escnn import files
from escnn.errors import OutputError, UsageError
from escnn.runs import run

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX names and devices")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "state"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError), files.atomic_path(target) as part:
        part.write_text("half of the ne")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_who_reads_the_old_file_while_it_is_replaced_reads_it_whole(tmp_path: Path) -> None:
    files.write_text(tmp_path / "state", "old")
    with (tmp_path / "state").open() as reader:
        files.write_text(tmp_path / "state", "new and longer")
        assert reader.read() == "old"
    assert (tmp_path / "state").read_text() == "new and longer"


def test_a_write_that_the_system_refuses_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError) as caught:
        files.write_text(tmp_path / "file" / "below", "text")
    assert caught.value.exit_code == 7


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert files.sha256_file(tmp_path / "abc") == known


def test_an_occupied_folder_is_refused_without_force(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("")
    with pytest.raises(OutputError, match="not empty"):
        files.output_folder(tmp_path, force=False)
    assert files.output_folder(tmp_path, force=True) == tmp_path


def test_run_folders_claimed_at_once_are_all_different(tmp_path: Path) -> None:
    claimed: list[Path] = []
    threads = [
        threading.Thread(target=lambda: claimed.append(run.claim_run_folder(tmp_path, "fold5"))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in claimed) == sorted(f"fold5-{number}" for number in range(1, 17))


def test_a_name_is_claimed_while_it_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with files.output_file(out) as file:
        file.write("first")
        with pytest.raises(OutputError, match="another process is writing it"), files.output_file(out, force=True):
            raise AssertionError("claimed twice")
    assert out.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("links", [True, False])
def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    out = tmp_path / "out.csv"
    with pytest.raises(OutputError, match="appeared meanwhile") as refused, files.output_file(out) as file:
        file.write("results of hours")
        out.write_text("mine")
    assert out.read_text() == "mine"
    assert str(tmp_path / "out-2.csv") in (refused.value.hint or "")
    assert (tmp_path / "out-2.csv").read_text() == "results of hours"
    assert len(list(tmp_path.iterdir())) == 2
    with files.output_file(tmp_path / "new.csv") as file:
        file.write("plain")
    assert (tmp_path / "new.csv").read_text() == "plain"


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_private_file_stays_private_and_is_so_while_it_is_written(tmp_path: Path, mode: int) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    out.chmod(mode)
    with files.output_file(out, force=True) as file:
        file.write("new")
        (part,) = tmp_path.glob(".*.part")
        assert part.stat().st_mode & 0o077 == 0
    assert (out.stat().st_mode & 0o777, out.read_text()) == (mode, "new")


def test_a_claimed_name_is_free_again_after_a_failure(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(RuntimeError), files.output_file(out) as file:
        file.write("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with files.output_file(out) as file:
        file.write("whole")
    assert out.read_text() == "whole"


def test_what_a_killed_writer_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    alike = "a name of more than forty characters, which begins like another of them"
    writer = """
import os, sys
from pathlib import Path
from escnn.files import output_file
with output_file(Path(sys.argv[1])) as file:
    file.write("half")
    os._exit(9)
"""
    killed = subprocess.run([sys.executable, "-c", writer, tmp_path / f"{alike} 1"], check=False)
    assert killed.returncode == 9
    left = {path.name for path in tmp_path.iterdir()}
    assert any(name.endswith(".part") for name in left)
    with files.output_file(tmp_path / f"{alike} 2") as other:
        assert left < {path.name for path in tmp_path.iterdir()}
        with files.output_file(tmp_path / f"{alike} 1") as again:
            again.write("whole")
        other.write("mine")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {f"{alike} 1": "whole", f"{alike} 2": "mine"}


@pytest.mark.parametrize("name", [".", "folder", "x" * 300])
def test_a_name_that_cannot_be_written_is_refused_before_work_begins(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    for refuse in (files.check_output_file, lambda path: files.output_file(path).__enter__()):
        with pytest.raises(OutputError):
            refuse(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


HOLDER = """
import sys, time
from pathlib import Path
from escnn.files import exclusive
with exclusive(Path(sys.argv[1]), RuntimeError("busy")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_process_and_by_none_once_it_is_killed(tmp_path: Path) -> None:
    lock, busy = tmp_path / ".lock", UsageError("busy")
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(UsageError, match="busy"), files.exclusive(lock, busy):
                raise AssertionError("held twice")
        finally:
            other.kill()
    with files.exclusive(lock, busy), pytest.raises(UsageError), files.exclusive(lock, busy):
        raise AssertionError("held twice")
    with pytest.raises(RuntimeError), files.exclusive(lock, busy):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    def no_locks(*_: object, **__: object) -> None:
        raise NotImplementedError("this file system has none")

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    with files.output_file(tmp_path / "out") as file:
        file.write("all the same")
    assert (tmp_path / "out").read_text() == "all the same"


def test_no_file_takes_the_place_of_a_pipe_or_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (lambda: files.write_text(pipe, "a"), lambda: files.write_json(pipe, {})):
        with pytest.raises(OutputError, match="a pipe or a device"):
            write()
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_lines_are_added_one_by_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out.jsonl"
    with files.appended_lines(target) as append:
        append("a")
        assert target.read_text() == "a\n"  # out of our hands before the next is known
    with files.appended_lines(target) as append:
        append("b")
    assert target.read_text() == "a\nb\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to")
def test_a_full_disk_is_our_error() -> None:
    with pytest.raises(OutputError, match="No space left"), files.appended_lines(Path("/dev/full")) as append:
        append("a")
