import threading
from pathlib import Path

import pytest

from escnn import files
from escnn.errors import OutputError


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
        threading.Thread(target=lambda: claimed.append(files.claim_run_folder(tmp_path, "fold5"))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in claimed) == sorted(f"fold5-{number}" for number in range(1, 17))
