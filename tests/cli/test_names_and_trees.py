"""Whatever sounds and folders are called: every input has one result, in order, and nothing outside `--out` changes."""

import csv
import io
import json
import os
import shutil
from pathlib import Path
from random import Random

import pytest
from conftest import escnn
from fuzz.draws import DRAWS, examples
from fuzz.judge import snapshot
from fuzz.names import LONGEST, TWINS, make_tree, odd_name, odd_names, sounds_below
from hypothesis import given
from hypothesis import strategies as st

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="names of any bytes are those of POSIX"),
]

NAMES = (
    st.binary(min_size=1, max_size=LONGEST)
    .map(lambda name: name.replace(b"\0", b"0").replace(b"/", b"\\"))
    .filter(lambda name: name not in (b".", b"..", b"-"))
)


@pytest.fixture
def work(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, beside a folder that is another's."""
    (tmp_path / "work").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def emptied(work: Path) -> Path:
    shutil.rmtree(work)
    work.mkdir()
    os.chdir(work)
    return work


@examples(60)
@given(raw=st.lists(NAMES, min_size=1, max_size=4, unique=True), whole=st.lists(st.booleans(), min_size=4, max_size=4))
def test_every_name_has_one_result_in_order(work: Path, clip: Path, raw: list[bytes], whole: list[bool]) -> None:
    emptied(work)
    names = [os.fsdecode(name) for name in raw]
    for name, good in zip(names, whole, strict=False):
        (work / name).write_bytes(clip.read_bytes() if good else b"no sound")
    before = snapshot(work.parent)
    result = escnn("predict", "--format", "jsonl", "--", *names)
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [document["path"] for document in documents] == names
    statuses = ["ok" if good else "error" for good, _ in zip(whole, names, strict=False)]
    assert [document["status"] for document in documents] == statuses
    assert result.exit_code == (3 if "error" in statuses else 0)
    assert result.stderr.replace("\n", "").isprintable()
    assert snapshot(work.parent) == before


@examples(40)
@given(rng=DRAWS)
def test_a_tree_is_all_of_its_sounds_once_and_in_order(work: Path, clip: Path, rng: Random) -> None:
    emptied(work)
    make_tree(work / "tree", rng, [clip.read_bytes(), b"no sound"], work.parent / "outside")
    before = snapshot(work.parent)
    result = escnn("predict", "tree", "--format", "csv", "--out", "results.csv", "--top-k", 2)
    after = snapshot(work.parent)
    assert result.exit_code in (0, 3), result.stderr
    out = str(work / "results.csv")
    assert {path: what for path, what in after.items() if path != out} == before
    rows = list(csv.reader(io.StringIO(Path(out).read_bytes().decode(), newline=""), strict=True))[1:]
    names = [row[0] for row in rows if row[3] in ("", "1")]
    wanted = sounds_below(Path("tree")) or ["tree"]
    assert names == [name.encode("utf-8", "backslashreplace").decode() for name in wanted]


@examples(40)
@given(rng=DRAWS)
def test_a_result_takes_any_name_and_changes_nothing_else(work: Path, clip: Path, rng: Random) -> None:
    emptied(work)
    out = os.fsdecode(odd_name(rng))
    for name in odd_names(rng, 3):
        (work / name).write_text("a neighbour")
    before, there = snapshot(work.parent), os.path.lexists(work / out)
    result = escnn("predict", clip, f"--out={work / out}", *["--force"] * there)
    assert result.exit_code == 0, result.stderr
    after = snapshot(work.parent)
    written = str(work / out)
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == {written}
    assert json.loads(Path(written).read_text())["path"] == str(clip)


@pytest.mark.parametrize("extension", [b"", b".wav"], ids=["bare", "wav"])
def test_twins_in_case_and_composition_are_two_sounds(work: Path, clip: Path, extension: bytes) -> None:
    names = [os.fsdecode(half + extension) for pair in TWINS for half in pair]
    for name in names:
        (work / name).write_bytes(clip.read_bytes())
    if len(list(work.iterdir())) < len(names):
        pytest.skip("this disk takes twins for one name")
    result = escnn("predict", *names, "--format", "jsonl")
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == names


def test_a_link_that_leads_to_itself_is_one_failure(work: Path, clip: Path) -> None:
    (work / "tree").mkdir()
    (work / "tree" / "loop.wav").symlink_to(work / "tree" / "loop.wav")
    (work / "tree" / "sound.wav").write_bytes(clip.read_bytes())
    result = escnn("predict", "tree", "--format", "jsonl")
    assert result.exit_code == 3, result.stderr
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["error", "ok"]
    (work / "out").symlink_to(work / "out")
    assert escnn("predict", clip, "--out", "out").exit_code == 7
