"""The metadata of ESC-50 is read as it stands, and every way in which it cannot be true is said."""

from collections import Counter
from pathlib import Path

import pytest
import soundfile
from conftest import tone
from small_archive import CLIPS, a_metadata, a_wav, a_zip, assert_nothing_left, members

from escnn.data.download import download
from escnn.data.esc50 import check, official_clips
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError

HEADER = "filename,fold,target,category,esc10,src_file,take\n"


def esc50(root: Path, rows: str, *, header: str = HEADER, clips: list[str] | None = None) -> Path:
    """A tiny ESC-50: metadata and a sound for each of its rows (or for `clips`)."""
    (root / "audio").mkdir(parents=True)
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text(header + rows)
    for number, name in enumerate(clips if clips is not None else [row.split(",")[0] for row in rows.splitlines()]):
        soundfile.write(root / "audio" / name, tone(440 + number, 0.5, 8_000), 8_000)
    return root


GOOD = "1-10-A-0.wav,1,0,dog,True,10,A\n2-11-A-1.wav,2,1,rooster,False,11,A\n2-12-A-0.wav,2,0,dog,True,12,A\n"


def test_esc50_is_read_as_its_metadata_says(tmp_path: Path) -> None:
    dataset = open_dataset(esc50(tmp_path / "data", GOOD))
    assert dataset.labels == ("dog", "rooster")
    assert [(clip.name, clip.class_id, clip.fold) for clip in dataset.clips] == [
        ("audio/1-10-A-0.wav", 0, 1),
        ("audio/2-11-A-1.wav", 1, 2),
        ("audio/2-12-A-0.wav", 0, 2),
    ]
    assert dataset.folds == (1, 2)


def test_a_part_of_esc50_is_a_data_set(tmp_path: Path) -> None:
    """As ESC-10 is: its rows keep their targets, and labels are matched by name."""
    rows = GOOD.replace("2,1,rooster", "2,7,rooster").replace(",0,dog", ",40,dog")
    dataset = open_dataset(esc50(tmp_path / "data", rows))
    assert dataset.labels == ("rooster", "dog")
    assert [clip.class_id for clip in dataset.clips] == [1, 0, 1]


def test_a_row_twice_is_named_with_the_other(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"lines 2 and 5 both list '?1-10-A-0\.wav"):
        open_dataset(esc50(tmp_path / "data", GOOD + "1-10-A-0.wav,2,1,rooster,False,10,A\n"))


@pytest.mark.parametrize("label", ["NA", "None", "null", "nan", "犬"])
def test_a_category_is_read_as_text(tmp_path: Path, label: str) -> None:
    assert open_dataset(esc50(tmp_path / "data", GOOD.replace("dog", label))).labels == (label, "rooster")


def test_clips_that_are_not_there_are_named(tmp_path: Path) -> None:
    dataset = open_dataset(esc50(tmp_path / "data", GOOD, clips=["1-10-A-0.wav", "2-11-A-1.wav"]))
    assert dataset.missing == ("2-12-A-0.wav",)
    assert len(dataset.clips) == 2


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        (GOOD + GOOD.splitlines(keepends=True)[0], HEADER),  # a row twice
        (GOOD + "1-10-A-0.wav,2,1,rooster,False,10,A\n", HEADER),  # in two classes
        (GOOD.replace("2,0,dog", "2,0,cat"), HEADER),  # one target, two names
        (GOOD.replace("1-10", "../1-10"), HEADER),  # a path
        (GOOD.replace(",1,0,dog", ",6,0,dog"), HEADER),  # no such fold
        (GOOD.replace(",1,0,dog", ",one,0,dog"), HEADER),
        (GOOD.replace("dog,", ","), HEADER),  # no category
        (GOOD.replace(",dog,True,12,A", ""), HEADER),  # a row that ends early
        (GOOD, "name,fold,target,category,esc10,src_file,take\n"),
        ("", ""),
    ],
)
def test_metadata_that_cannot_be_is_refused(tmp_path: Path, rows: str, header: str) -> None:
    root = esc50(tmp_path / "data", rows, header=header, clips=["1-10-A-0.wav"])
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    assert "esc50.csv" in caught.value.message


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (f"1-10-A-0.wav,{'9' * 400},0,dog,x,x,x\n", "not metadata as"),  # no integer of any width
        (f"1-10-A-0.wav,{'9' * 30},0,dog,x,x,x\n", "not metadata as"),
        (f"{'x' * 70_000}.wav,1,0,dog,x,x,x\n", "cannot be looked for"),  # no file system takes such a name
        (f"{'x' * 70_000}/a.wav,1,0,dog,x,x,x\n", "not one of ESC-50"),
        ("1-10-A-0.wav,1,0,dog,x,x,x,1,2,3\n", "not metadata as"),  # pandas says so in two lines
    ],
)
def test_damage_that_pandas_or_the_file_system_chokes_on_is_one_line(tmp_path: Path, rows: str, said: str) -> None:
    root = esc50(tmp_path / "data", GOOD + rows, clips=["1-10-A-0.wav"])
    with pytest.raises(DatasetError, match=said) as caught:
        open_dataset(root)
    assert "\n" not in caught.value.message
    assert "\\x0a" not in caught.value.message
    assert len(caught.value.message) < 600


def test_a_category_that_commands_the_terminal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="control characters"):
        open_dataset(esc50(tmp_path / "data", GOOD.replace("dog", "d\x1b[2Jog")))


# Whether all of it is there


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"filename,", b"file,", "line 1: no column filename"),
        (b"1-101-A-9.wav,1,", b"1-101-A-9.wav,2,", "line 2"),
        (b"1-101-B-9.wav,1,9,", b"1-101-B-9.wav,1,10,", "line 3"),
        (b"1-101-A-9.wav", b"../../x.wav", "line 2"),
        (b"1-101-B-9.wav", b"1-101-A-9.wav", "line 3: 1-101-A-9.wav is listed twice"),
        (b"class_9,", b",", "line 2: target 9"),
        (b"class_18,False,102,B", b"class_1,False,102,B", "line 5: target 18"),
        (b",class_45,False,105,B\n", b"\n", "line 11"),
        (b"class_9,", b'"class_9,', "row 1"),
        (b"class_9,", b"\xff\xfe,", "utf-8"),
        (b"class_9,", b"\0" * 200_000, "line"),
    ],
)
def test_metadata_that_cannot_be_true(old: bytes, new: bytes, why: str, archive: Path, folder: Path) -> None:
    metadata = a_metadata().replace(old, new, 1)
    assert metadata != a_metadata()
    with pytest.raises(ValueError, match=why):
        official_clips(metadata)
    archive.write_bytes(a_zip(members(metadata=metadata)))
    with pytest.raises(DatasetError, match=f"esc50.csv is damaged.*{why}"):
        download(folder, source=archive, allow_missing=True)
    assert_nothing_left(folder)
    archive.write_bytes(a_zip(members()))
    download(folder, source=archive)
    (folder / "meta" / "esc50.csv").write_bytes(metadata)
    with pytest.raises(DatasetError, match=why):
        check(folder)


def test_check_sees_what_happens_to_a_data_set(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    (folder / "audio" / CLIPS[9]).unlink()
    (folder / "audio" / CLIPS[0]).write_bytes(a_wav()[:100])
    found = check(folder)
    assert found.missing == (CLIPS[0], CLIPS[9])
    assert found.missing_by_fold == {1: 1, 5: 1}
    assert found.describe() == (
        f"8 of 10 clips; fold 1 lacks 1; fold 5 lacks 1; missing or damaged: {CLIPS[0]}, {CLIPS[9]}"
    )


def test_check_of_a_folder_without_metadata(tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=r"no meta/esc50\.csv") as caught:
            check(nothing)
        assert "escnn download" in (caught.value.hint or "")


@pytest.mark.real
def test_real_clips(real_data: Path) -> None:
    found = check(real_data)
    assert found.clips > 0
    assert found.missing == ()
    assert found.clips + sum(found.missing_by_fold.values()) == 2000
    assert found.complete == (found.clips == 2000)


@pytest.mark.real
def test_real_esc50_has_equal_classes_in_every_fold(real_data: Path) -> None:
    dataset = open_dataset(real_data)
    counts = Counter((clip.fold, clip.class_id) for clip in dataset.clips)
    assert len(dataset.labels) == 50
    assert set(counts.values()) == {8}
