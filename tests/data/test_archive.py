"""Nothing in an archive reaches outside the data set's folder, and what comes out of it is whole."""

import io
import os
import random
import stat
import zipfile
from pathlib import Path

import pytest
from small_archive import CLIPS, TOP, a_metadata, a_wav, a_zip, assert_nothing_left, assert_whole, members

from escnn.data import download as downloading
from escnn.data.download import download
from escnn.data.esc50 import DatasetCheck, check
from escnn.errors import DatasetError

pytestmark = pytest.mark.usefixtures("small_and_quick")


def install(content: dict[str, bytes] | bytes, folder: Path, **options: bool) -> DatasetCheck:
    path = folder.parent.parent / "given.zip"
    path.write_bytes(content if isinstance(content, bytes) else a_zip(content))
    return download(folder, source=path, **options)


def assert_refused(content: dict[str, bytes] | bytes, folder: Path, why: str, **options: bool) -> DatasetError:
    with pytest.raises(DatasetError, match=why) as caught:
        install(content, folder, **options)
    assert_nothing_left(folder)
    return caught.value


def test_archive_at_hand(archive: Path, folder: Path) -> None:
    before = archive.read_bytes()
    assert download(folder, source=str(archive)).complete
    assert archive.read_bytes() == before
    assert_whole(folder)


def test_archive_that_is_not_there(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no such archive") as caught:
        download(folder, source="nowhere.zip")
    assert caught.value.hint
    assert_nothing_left(folder)


def test_file_that_is_no_archive(folder: Path) -> None:
    assert_refused(b"RIFF and so on", folder, "not a zip file")


def test_archive_of_something_else(folder: Path) -> None:
    assert_refused({"cats/cat.jpg": b"meow"}, folder, "not an archive of ESC-50")


@pytest.mark.parametrize(
    "name",
    [
        "../audio/1-1-A-0.wav",  # matches the pattern, with .. for the top folder
        f"{TOP}/audio/../../1-1-A-0.wav",
        "/etc/audio/1-1-A-0.wav",
        f"{TOP}/audio/..\\..\\1-1-A-0.wav",
        f"{TOP}/../evil/audio/1-1-A-0.wav",
        f"{TOP}/audio/1-1-A-0.wav/../../../../x",
    ],
)
def test_no_member_gets_outside(name: str, folder: Path) -> None:
    try:
        install({**members(), name: a_wav()}, folder)
        assert_whole(folder)  # ignored
    except DatasetError:
        assert_nothing_left(folder)  # or refused
    assert not list(folder.parent.parent.rglob("1-1-A-0.wav"))
    assert {path.name for path in folder.parent.parent.iterdir()} <= {"data", "given.zip"}


def test_symbolic_link_in_the_archive_is_no_clip_and_makes_no_link(folder: Path) -> None:
    outside = folder.parent.parent / "secret"
    outside.write_bytes(a_wav())
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members().items():
            info = zipfile.ZipInfo(name)
            if name.endswith(CLIPS[0]):
                info.external_attr, content = (stat.S_IFLNK | 0o777) << 16, os.fsencode(outside)
            file.writestr(info, content)
    assert CLIPS[0] in assert_refused(data.getvalue(), folder, "fold 1 lacks 1").message
    install(data.getvalue(), folder, allow_missing=True)
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", [f"audio/{CLIPS[3]}", "meta/esc50.csv", "LICENSE"])
def test_member_that_comes_twice(name: str, folder: Path) -> None:
    data = io.BytesIO(a_zip(members()))
    with zipfile.ZipFile(data, "a") as file:
        file.writestr(f"{TOP}/{name}", b"other")
    assert_refused(data.getvalue(), folder, "twice")


def test_two_top_folders_that_are_one_where_case_does_not_count(folder: Path) -> None:
    assert_refused({**members(), f"{TOP.upper()}/audio/1-1-A-0.wav": a_wav()}, folder, "one folder")


@pytest.mark.parametrize(
    "name",
    [f"Audio/{CLIPS[0]}", f"audio/{CLIPS[0].lower()}", f"audio/{CLIPS[0].upper()}", "META/esc50.csv", "license"],
)
def test_name_that_differs_only_in_case_replaces_nothing(name: str, folder: Path) -> None:
    """On Windows and on a Mac it would be the same file: it is not taken, wherever it stands in the archive."""
    for content in ({**members(), f"{TOP}/{name}": b"other"}, {f"{TOP}/{name}": b"other", **members()}):
        install(content, folder, force=True)
        (folder.parent.parent / "given.zip").unlink()
        assert_whole(folder)


def test_many_small_bombs_have_a_limit_together() -> None:
    """An archive whose every member is as large as it may be takes about 2 GB; a clip of ESC-50 fits twice."""
    assert downloading.LARGEST_MEMBER > 2 * 441_044
    assert (2_000 + 3) * downloading.LARGEST_MEMBER < 2.2e9


def test_zip_bomb_stops_at_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: taken.append(n) or read(self, n))
    bomb = {**members(), f"{TOP}/audio/{CLIPS[0]}": bytes(50_000_000)}
    assert_refused(bomb, folder, f"{CLIPS[0]}.*more than")
    assert 0 < max(taken) <= downloading.LARGEST_MEMBER + 1
    assert min(taken) > 0  # never without a limit


def test_metadata_beyond_any_reason(folder: Path) -> None:
    assert_refused(members(metadata=bytes(2_000_000)), folder, "esc50.csv.*more than")


def test_more_clips_than_there_are(folder: Path) -> None:
    more = (*CLIPS, *(f"1-{number}-A-0.wav" for number in range(900, 904)))
    assert_refused(members(more), folder, "more clips")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_without_bound_are_refused(method: int, folder: Path) -> None:
    assert_refused(a_zip(members(), method), folder, "neither stored nor deflated")


def test_damaged_member_is_named(folder: Path) -> None:
    data = bytearray(a_zip(members(), zipfile.ZIP_STORED))
    data[data.index(a_wav(4)) + 500] ^= 1
    assert_refused(bytes(data), folder, f"{CLIPS[4]} is damaged.*CRC")


def test_member_that_cannot_be_inflated_is_named(folder: Path) -> None:
    data = bytearray(a_zip(members()))
    name = f"{TOP}/audio/{CLIPS[4]}".encode()
    data[data.index(name) + len(name)] = 0xFF  # a kind of block that deflate does not have
    assert_refused(bytes(data), folder, f"{CLIPS[4]} is damaged")


def test_locked_member(folder: Path) -> None:
    data = bytearray(a_zip(members()))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(mark)
        while place >= 0:
            data[place + flags] |= 1
            place = data.find(mark, place + 1)
    assert_refused(bytes(data), folder, "encrypted")


def test_no_damage_gets_past(folder: Path) -> None:
    """Whatever bytes are broken: either the data set comes out byte for byte, or a `DatasetError` does."""
    luck = random.Random(50)
    whole = a_zip(members(), zipfile.ZIP_STORED)
    headers = [place for place in range(len(whole)) if whole[place : place + 2] == b"PK"]
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(luck.choice((1, 1, 4))):
            data[min(luck.choice(headers) + luck.randrange(64), len(data) - 1)] = luck.randrange(256)
        try:
            install(bytes(data[: luck.choice((len(data), len(data), luck.randrange(len(data))))]), folder, force=True)
        except DatasetError:
            continue
        for seed, clip in enumerate(CLIPS):
            assert (folder / "audio" / clip).read_bytes() == a_wav(seed)
        assert (folder / "meta" / "esc50.csv").read_bytes() == a_metadata()


def test_archive_that_lacks_a_fold(folder: Path) -> None:
    """Like the archive at hand with 1,600 clips: all that its metadata lists is there, but the metadata is not all."""
    four_folds = CLIPS[:8]
    error = assert_refused(members(four_folds, a_metadata(four_folds)), folder, "8 of 10 clips; fold 5 lacks 2")
    assert "meta/esc50.csv is not the official one" in error.message
    assert "--allow-missing" in (error.hint or "")
    assert error.exit_code == 5
    found = install(members(four_folds, a_metadata(four_folds)), folder, allow_missing=True)
    assert (found.clips, found.missing, found.missing_by_fold) == (8, (), {5: 2})
    assert not found.official_metadata
    assert not found.complete
    assert found == check(folder)


def test_archive_that_lacks_clips_its_metadata_lists(folder: Path) -> None:
    error = assert_refused(members(CLIPS[2:]), folder, "8 of 10 clips; fold 1 lacks 2")
    assert CLIPS[0] in error.message
    assert CLIPS[1] in error.message
    found = install(members(CLIPS[2:]), folder, allow_missing=True)
    assert found.missing == CLIPS[:2]
    assert found.official_metadata
    assert (folder / "meta" / "esc50.csv").read_bytes() == a_metadata()


def test_archive_without_a_clip_is_refused_in_any_case(folder: Path) -> None:
    assert_refused(members(()), folder, "0 of 10 clips", allow_missing=True)


@pytest.mark.parametrize(
    "broken", [b"", a_wav()[:40], a_wav(frames=0), a_wav()[:-2], b"OggS" + a_wav()[4:], bytes(2000)]
)
def test_clip_that_is_no_whole_wav(broken: bytes, folder: Path) -> None:
    assert_refused({**members(), f"{TOP}/audio/{CLIPS[6]}": broken}, folder, "fold 4 lacks 1.*" + CLIPS[6])


def test_right_clips_with_other_metadata(folder: Path) -> None:
    changed = a_metadata().replace(b"class_9,", b"hoover,")
    assert_refused(members(metadata=changed), folder, "10 of 10 clips; meta/esc50.csv is not the official one")


def test_clips_that_the_metadata_does_not_list_do_not_count(folder: Path) -> None:
    install(members(CLIPS, a_metadata(CLIPS[:3])), folder, allow_missing=True)
    assert check(folder).clips == 3
