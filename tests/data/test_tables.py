"""A CSV of names, labels and folds is a data set, as the field's standard sets come with one."""

from pathlib import Path

import pytest
import soundfile
from conftest import tone

from escnn.data.sources import open_dataset
from escnn.errors import DatasetError


def sounds(root: Path, *names: str) -> Path:
    """Sounds below `root`, no two alike."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(200 + 7 * number, 0.1, 8_000), 8_000, format="WAV")
    return root


def urbansound8k(root: Path) -> Path:
    """UrbanSound8K in small: its columns, its folders, ten folds."""
    names = [(f"{fold}-{label}-0.wav", fold, label) for fold in range(1, 11) for label in ("siren", "drilling")]
    sounds(root, *(f"audio/fold{fold}/{name}" for name, fold, _ in names))
    (root / "metadata").mkdir()
    rows = [f"{name},{n},0.0,0.1,1,{fold},{len(label)},{label}" for n, (name, fold, label) in enumerate(names)]
    header = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join([header, *rows, ""]))
    return root


def test_urbansound8k_is_read_with_its_ten_folds(tmp_path: Path) -> None:
    dataset = open_dataset(urbansound8k(tmp_path))
    assert dataset.labels == ("drilling", "siren")
    assert dataset.folds == tuple(range(1, 11))
    assert all(clip.path.parent.name == f"fold{clip.fold}" and clip.path.is_file() for clip in dataset.clips)
    assert all(dataset.labels[clip.class_id] in clip.name for clip in dataset.clips)
    with pytest.raises(DatasetError, match="no class") as caught:  # the folder of its folds, which are no classes
        open_dataset(tmp_path / "audio")
    assert str(tmp_path) in (caught.value.hint or "")


@pytest.mark.parametrize("header", ["filename,label,fold", "file,class,Fold", "path,category,fold", "Name,Labels,FOLD"])
@pytest.mark.parametrize("place", ["clips.csv", "metadata/clips.csv", "meta/clips.csv"])
def test_names_labels_and_folds_are_recognised(tmp_path: Path, header: str, place: str) -> None:
    sounds(tmp_path, "a/1.wav", "b/deep/2.wav", "3.wav")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(f"{header}\na/1.wav,NA,1\nb/deep/2.wav,None,2\n3.wav,NA,7\n", "utf-8-sig")
    for root in (tmp_path, tmp_path / place):
        dataset = open_dataset(root)
        assert dataset.labels == ("NA", "None")
        found = [(clip.name, clip.class_id, clip.fold) for clip in dataset.clips]
        assert found == [("3.wav", 0, 7), ("a/1.wav", 0, 1), ("b/deep/2.wav", 1, 2)]


def test_a_table_without_folds_is_dealt_as_folders_are(tmp_path: Path) -> None:
    names = [f"{number}.wav" for number in range(20)]
    sounds(tmp_path, *names)
    rows = [f"{name},{'even' if number % 2 else 'odd'}" for number, name in enumerate(names)]
    (tmp_path / "clips.csv").write_text("\n".join(["filename,label", *rows]))
    dataset = open_dataset(tmp_path)
    assert {(clip.class_id, clip.fold) for clip in dataset.clips} == {(c, fold) for c in (0, 1) for fold in range(1, 6)}


def test_clips_that_are_not_there_are_named(tmp_path: Path) -> None:
    sounds(tmp_path, "a.wav", "b.wav")
    (tmp_path / "clips.csv").write_text("filename,label,fold\na.wav,x,1\nb.wav,y,2\nc.wav,y,2\n")
    assert open_dataset(tmp_path).missing == ("c.wav",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a.wav,x,1\nb.wav,y,2\na.wav,x,2\n", r"lines 2 and 4 both list a\.wav"),
        ("a.wav,x,1\nb.wav,y,2\na.wav,y,1\n", r"lines 2 and 4 both list a\.wav"),
        ("a.wav,x,1\nb.wav,y,2\n./a.wav,y,1\n", r"lines 2 and 4 both list"),
        ("../a.wav,x,1\n", "line 2: .*not below"),
        ("/etc/passwd,x,1\n", "line 2: .*not below"),
        ("a.wav,,1\n", "line 2: no label"),
        ("a.wav,x,0\n", "line 2: fold '0'"),
        ("a.wav,x,one\n", "line 2: fold 'one'"),
        ("a.wav,x,1\nb.wav,X,2\n", "one class or two"),
        ("c.wav,x,1\n", "none of the 1 clips is there"),
        ("a.wav,x,1,2\n", "cannot be used"),
        ("\0\xff", "cannot be used"),
        ("", "lists no clip"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    sounds(tmp_path, "a.wav", "b.wav")
    (tmp_path / "clips.csv").write_bytes(b"filename,label,fold\n" + rows.encode("latin-1"))
    with pytest.raises(DatasetError, match=said) as caught:
        open_dataset(tmp_path)
    assert "\n" not in caught.value.message


def test_tables_of_something_else_are_no_data_set(tmp_path: Path) -> None:
    sounds(tmp_path, "dog/1.wav", "cat/1.wav")
    (tmp_path / "notes.csv").write_text("when,where\ntoday,here\n")
    assert open_dataset(tmp_path).labels == ("cat", "dog")
    with pytest.raises(DatasetError, match="no column of names"):
        open_dataset(tmp_path / "notes.csv")


def test_of_two_tables_one_is_to_be_named(tmp_path: Path) -> None:
    sounds(tmp_path, "a.wav", "b.wav")
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("filename,label,fold\na.wav,x,1\nb.wav,y,2\n")
    with pytest.raises(DatasetError, match=r"one\.csv.*two\.csv") as caught:
        open_dataset(tmp_path)
    assert "--data" in (caught.value.hint or "")
