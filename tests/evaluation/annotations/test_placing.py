"""Which recording and which class a row of a table means."""

from pathlib import Path

import pytest

from escnn.errors import UsageError
from escnn.evaluation.annotations.placing import LabelMap, merged, place_rows, read_map
from escnn.evaluation.annotations.tables import Row, Table

CLASSES = ("dog", "church_bells", "sea_waves")


def placed(files: list[str], recordings: list[str]) -> tuple[dict[int, list[str]], tuple[str, ...]]:
    table = Table(Path("t.csv"), tuple(Row(line, name, 1.0, 2.0, "dog") for line, name in enumerate(files, start=2)))
    by_number, problems = place_rows(table, recordings)
    return {number: [row.file for row in rows] for number, rows in by_number.items()}, problems


def test_a_row_is_placed_by_as_much_of_its_path_as_tells_recordings_apart() -> None:
    recordings = ["/data/site1/A.wav", "/data/site2/A.wav", "/data/site2/B.flac"]
    files = ["site2/A.wav", "C:\\card\\site1\\A.wav", "B.wav", "elsewhere/B.flac", "/data/site1/A.wav"]
    assert placed(files, recordings) == ({1: files[:1], 0: [files[1], files[4]], 2: files[2:4]}, ())


def test_names_that_a_table_cannot_hold_are_found_as_our_tables_write_them() -> None:
    odd = ["n/bad\udcff.wav", "n/new\nline.wav", "n/tab\there.wav", "n/a  b.wav", "n/a b.wav"]
    written = ["n/bad\\udcff.wav", "n/new line.wav", "n/tab here.wav", *odd]
    by_number, problems = placed(written, odd)
    assert problems == ()
    assert [len(by_number[number]) for number in range(5)] == [2, 2, 2, 1, 1]


def test_what_cannot_be_placed_is_named() -> None:
    by_number, problems = placed(["A.wav", "A.wav", "C.wav", "", "B.wav"], ["1/A.wav", "2/A.wav", "B.wav"])
    assert by_number == {2: ["B.wav"]}
    assert problems == (
        "C.wav: not among the recordings, 1 row left out",
        "rows that name no file: not among the recordings, 1 row left out",
        "A.wav: could be several of the recordings, 2 rows left out",
    )


def test_the_same_path_is_that_recording_and_no_longer_one() -> None:
    assert placed(["d/A.wav"], ["c/d/A.wav", "d/A.wav"])[0] == {1: ["d/A.wav"]}


def test_rows_that_name_no_file_are_of_the_only_recording() -> None:
    assert placed(["", ""], ["A.wav"])[0] == {0: ["", ""]}
    with pytest.raises(UsageError, match="which of 2 recordings"):
        placed(["", ""], ["A.wav", "B.wav"])


def test_labels_mean_classes_however_they_are_written() -> None:
    labels = LabelMap(CLASSES)
    assert [labels(label) for label in ("dog", "Church bells", "SEA-WAVES", " church_bells ", "cat")] == [
        "dog", "church_bells", "sea_waves", "church_bells", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["theirs,ours\nCanis,dog\nsurf,Sea waves\ndog,\n", "Canis;dog\nsurf;sea_waves\ndog;\n"]
)
def test_a_map_says_which_class_is_meant_and_what_is_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.csv").write_text(text)
    labels = read_map(tmp_path / "map.csv", CLASSES)
    assert [labels(label) for label in ("Canis", "surf", "dog", "church bells")] == [
        "dog", "sea_waves", None, "church_bells",
    ]  # fmt: skip


def test_a_map_to_a_class_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("Canis,dog\nFelis,cat\n")
    with pytest.raises(UsageError, match="line 2: the model has no class 'cat'"):
        read_map(tmp_path / "map.csv", CLASSES)
    with pytest.raises(UsageError, match="cannot be used"):
        read_map(tmp_path / "gone.csv", CLASSES)


def test_rows_that_overlap_are_one() -> None:
    rows = [
        (5.0, 7.0, "dog"),
        (1.0, 2.0, "dog"),
        (6.0, 9.0, "dog"),
        (8.0, 8.5, "dog"),
        (6.0, 9.0, "cat"),
        (9.0, 9.5, "dog"),
    ]
    assert merged(rows) == (
        [(1.0, 2.0, "dog"), (5.0, 9.0, "dog"), (6.0, 9.0, "cat"), (9.0, 9.5, "dog")],
        2,
    )


class Folded(str):
    """A label that counts how often it is looked at."""

    looked_at = 0

    def casefold(self) -> str:
        self.looked_at += 1
        return super().casefold()


def test_what_a_label_means_is_found_out_once_however_many_rows_have_it() -> None:
    label, classes = Folded("Dog Bark"), tuple(map(Folded, ("dog_bark", "siren")))
    labels = LabelMap(classes)
    assert {labels(label) for _ in range(1_000)} == {"dog_bark"}
    assert [label.looked_at, *(name.looked_at for name in classes)] == [1, 1, 1]
