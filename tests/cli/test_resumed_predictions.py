"""`escnn predict --resume` goes on with what was begun in the same way, and nobody else writes meanwhile."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from conftest import assert_ends, escnn

from escnn import files
from escnn.inference.formats import schema
from escnn.model.model_file import add_score


@pytest.fixture
def command(model: Path, class_folders: Path, tmp_path: Path) -> list[object]:
    """Names ten sounds, with settings of its own."""
    return ["predict", class_folders / "low", "--top-k", 2, "--min-score", 0.1, "--resume", "--out", tmp_path / "out"]


@pytest.fixture
def begun(command: list[object], tmp_path: Path) -> Iterator[Path]:
    """The file of a call that was stopped after three sounds."""
    assert escnn(*command).exit_code == 0
    lines = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    (tmp_path / "out").write_bytes(b"".join(lines[:3]))
    yield tmp_path / "out"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--tta", 2], "--tta 1, not 2"),
        (["--views", 2], "--tta 1, not 2"),
        (["--top-k", 1], "--top-k 2, not 1"),
        (["--min-score", 0.2], "--min-score 0.1, not 0.2"),
        (["--windows"], "without --windows"),
        (["--hop-seconds", "0.25"], "without --hop-seconds"),
        (["--runtime", "torch"], "--runtime onnx, not torch"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_changed(
    begun: Path, command: list[object], change: list[object], said: str
) -> None:
    before = begun.read_bytes()
    refused = escnn(*command, *change)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert begun.read_bytes() == before
    assert escnn(*command).exit_code == 0
    assert len(begun.read_bytes().splitlines()) == 10


def test_each_line_says_how_it_came_about_and_keeps_the_schema(begun: Path) -> None:
    for line in begun.read_text().splitlines():
        document = json.loads(line)
        jsonschema.validate(document, schema())
        assert document["settings"] == {
            "weights_sha256": document["settings"]["weights_sha256"],
            "tta": 1, "top_k": 2, "min_score": 0.1, "windows": False, "runtime": "onnx",
            "hop_seconds": None,
        }  # fmt: skip


def test_without_resume_nothing_is_added(model: Path, clip: Path) -> None:
    assert "settings" not in json.loads(escnn("predict", clip).stdout)


def without_settings(path: Path, change: float | None = None) -> None:
    """Make the file one of 0.1.0, perhaps with another score in its first line."""
    documents = [json.loads(line) for line in path.read_text().splitlines()]
    for document in documents:
        del document["settings"]
    if change is not None:
        documents[0]["predictions"][1]["score"] = change
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))


def test_a_file_of_0_1_0_is_gone_on_with_unless_something_contradicts(begun: Path, command: list[object]) -> None:
    without_settings(begun)
    before = begun.read_bytes()
    for contradiction in (["--top-k", 1], ["--top-k", 3, "--min-score", 0], ["--min-score", 0.9]):
        refused = escnn(*command, *contradiction)
        assert refused.exit_code == 2, contradiction
        assert "begun with another --top-k or --min-score" in refused.stderr
        assert begun.read_bytes() == before
    assert escnn(*command).exit_code == 0
    assert len(begun.read_bytes().splitlines()) == 10


def test_a_score_below_the_bound_contradicts(begun: Path, command: list[object]) -> None:
    without_settings(begun, change=0.01)
    assert escnn(*command).exit_code == 2


def test_the_same_weights_in_another_file_go_on_and_others_do_not(
    begun: Path, command: list[object], small_model: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(small_model.read_bytes())
    add_score(copy, {"accuracy": 0.5, "clips": 6, "fold": 5})
    assert copy.read_bytes() != small_model.read_bytes()
    assert escnn(*command, "--model", copy).exit_code == 0
    without_settings(begun)  # which know the file only
    assert_ends(2, "begun with another model, small", *command, "--model", copy)


@pytest.mark.parametrize("resume", [True, False])
def test_two_at_once_do_not_write_one_file(begun: Path, command: list[object], clip: Path, resume: bool) -> None:
    before = begun.read_bytes()
    with files.claimed(begun):
        refused = escnn(*command) if resume else escnn("predict", clip, "--out", begun, "--force")
    assert refused.exit_code == 7
    assert "another process is writing it" in refused.stderr
    assert begun.read_bytes() == before
    assert [path.name for path in begun.parent.iterdir() if path.name.endswith(".lock")] == []


def test_names_that_begin_alike_are_written_side_by_side(tmp_path: Path) -> None:
    one, other = (tmp_path / f"{'results-of-the-long-campaign' * 3}-{number}.jsonl" for number in (1, 2))
    with files.output_file(one) as first, files.output_file(other) as second:
        first.write("1")
        second.write("2")
    assert (one.read_text(), other.read_text()) == ("1", "2")


def test_what_goes_wrong_while_results_are_written_is_not_blamed_on_their_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for opened in (files.output_file(out), files.appended_lines(out)):
        with pytest.raises(PermissionError, match="somewhere else"), opened:
            raise PermissionError(13, "somewhere else", "x")


def test_many_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    refused: list[Exception] = []

    def write(number: int) -> None:
        try:
            with files.output_file(tmp_path / "out", force=True) as file:
                for _ in range(200):
                    print(number, file=file)
        except files.OutputError as error:
            refused.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "out").read_text().splitlines()
    assert (len(lines), len(set(lines))) == (200, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
