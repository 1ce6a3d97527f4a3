"""What is kept can be made again: it is limited, removed on request, and done without where it cannot be kept."""

import os
from pathlib import Path

import pytest

from escnn import cache
from escnn.errors import OutputError

A, B, C = (f"{digit * 32}.bin" for digit in "abc")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def keep(name: str, size: int, age: float = 0.0) -> Path:
    path = cache.keep("graphs", name, lambda part: part.write_bytes(bytes(size)))
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return path


def test_the_cache_and_the_data_lie_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path / "cache"))
    assert cache.cache_folder() == tmp_path / "cache"
    assert cache.default_data_folder() == tmp_path / "cache" / "ESC-50"
    monkeypatch.setenv("ESCNN_DATA", str(tmp_path / "data"))
    assert cache.default_data_folder() == tmp_path / "data"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("ESCNN_CACHE", "ESCNN_DATA"):
        monkeypatch.setenv(name, "~/x")
    assert cache.cache_folder() == cache.default_data_folder() == tmp_path / "x"
    monkeypatch.delenv("ESCNN_CACHE")
    assert cache.cache_folder().name == "escnn"


def test_what_was_made_once_is_not_made_again(folder: Path) -> None:
    made = []

    def make() -> bytes:
        made.append(1)
        return b"content"

    first, second = (cache.cached_file("graphs", A, make) for _ in range(2))
    assert first == second == folder / "graphs" / A
    assert first.read_bytes() == b"content"
    assert made == [1]


@pytest.mark.parametrize("obstacle", ["a file above", "a folder in its place"])
def test_where_it_cannot_be_kept_it_is_made_each_time(folder: Path, obstacle: str) -> None:
    if obstacle == "a file above":
        folder.write_text("no folder")
    else:
        (folder / "graphs" / A / "below").mkdir(parents=True)
    assert cache.find("graphs", A) is None
    assert cache.cached_file("graphs", A, lambda: b"content") == b"content"
    with pytest.raises(OutputError) as caught:
        keep(A, 1)
    assert "ESCNN_CACHE" in (caught.value.hint or "")
    assert cache.contents() == [cache.Kept(kind, 0, 0) for kind in cache.KINDS]


def test_a_file_that_may_not_be_read_is_made_anew_and_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keep(A, 1)
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert cache.find("graphs", A) is None
    assert path.exists()


def test_files_are_readable_as_the_umask_says(folder: Path) -> None:
    def private(part: Path) -> None:
        part.write_bytes(b"content")
        part.chmod(0o600)

    plain = folder / "plain"
    folder.mkdir()
    plain.touch()
    assert cache.keep("features", A, private).stat().st_mode == plain.stat().st_mode


def test_the_one_that_was_not_used_for_longest_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGEST", 250)
    a, b = keep(A, 100, age=200), keep(B, 100, age=100)
    assert cache.find("graphs", A) == a  # in use again
    c = keep(C, 100)
    assert [path.exists() for path in (a, b, c)] == [True, False, True]


def test_what_is_in_use_stays_however_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGEST", 50)
    a, b = keep(A, 100, age=100), keep(B, 100)
    assert [path.exists() for path in (a, b)] == [False, True]


def test_only_what_can_be_made_again_is_counted_and_removed(folder: Path) -> None:
    a = keep(A, 100)
    half = folder / "features" / f".{B}.0123abcd.part"  # of a process that was killed
    mine = [folder / "ESC-50" / "audio" / "a.wav", folder / "graphs" / "my-notes.txt", folder / "other" / A]
    for path in (half, *mine):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
    link = folder / "graphs" / C
    link.symlink_to(mine[0])
    assert {kept.kind: (kept.files, kept.size) for kept in cache.contents()} == {
        "features": (1, 10),
        "hashes": (0, 0),
        "graphs": (1, 100),
    }
    removed = cache.clear()
    assert (removed.files, removed.size) == (2, 110)
    assert [path.exists() for path in (a, half)] == [False, False]
    assert all(path.exists() for path in (*mine, link))
