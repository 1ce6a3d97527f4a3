"""`escnn detect --out` that is still running, was stopped, or finds no room: what is said, and how it goes on."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import escnn

from escnn import files
from escnn.detection.output.journal import note_of

LOW_SCORE = ["--min-score", "0.1", "--merge-seconds", "0"]  # what a network with random weights says
KINDS = ["jsonl", "csv"]


@pytest.fixture
def night(night: Path) -> Path:
    """The folder of recordings without the damaged one."""
    (night / "C.wav").unlink()
    return night


def journal_of(out: Path) -> Path:
    return out if out.suffix == ".jsonl" else files.beside(out, "journal")


@contextmanager
def disk_with_room_for(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_running_and_one_that_was_stopped_are_told_apart(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    out = tmp_path / f"events.{kind}"
    command = ["detect", night, *LOW_SCORE, "--format", kind, "--out", out]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("escnn.cli.output.events.recording_document", stop)  # after the events of the first recording
        assert escnn(*command).exit_code == 130
    before = journal_of(out).read_bytes()
    assert before.count(b"escnn.event/1") > 1
    with files.claimed(journal_of(out)):
        for more in ([], ["--resume"], ["--force"]):
            refused = escnn(*command, *more, "--model", "never opened")
            assert refused.exit_code == 7
            assert f"{out}: being written by another escnn" in refused.stderr
            assert "--resume" not in refused.stderr
    stopped = escnn(*command, "--model", "never opened")
    assert stopped.exit_code == 7
    assert "go on with --resume" in stopped.stderr
    assert "begin anew with --force" in stopped.stderr
    assert journal_of(out).read_bytes() == before
    assert escnn(*command, "--resume").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, "night"])


def test_one_that_was_stopped_before_it_found_anything_is_gone_on_with(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    out.touch()
    assert "--resume" not in escnn("detect", night, "--out", out).stderr  # an empty file may be of anybody
    note_of(out).touch()
    assert "--resume" in escnn("detect", night, "--out", out).stderr
    out.write_text("of last year")
    note_of(out).unlink()
    assert "--resume" not in escnn("detect", night, "--out", out).stderr


@pytest.mark.parametrize("kind", KINDS)
def test_where_a_full_disk_stops_it_what_was_found_is_named_and_gone_on_with(
    night: Path, tmp_path: Path, kind: str
) -> None:
    whole, out = tmp_path / f"whole.{kind}", tmp_path / f"events.{kind}"
    command = ["detect", night, *LOW_SCORE, "--format", kind]
    assert escnn(*command, "--out", whole).exit_code == 0
    with disk_with_room_for(700):
        full = escnn(*command, "--out", out)
    assert full.exit_code == 7
    assert "File too large" in full.stderr
    assert f"What was found until then is in {journal_of(out)}, and --resume goes on with it" in full.stderr
    first = journal_of(out).read_text().splitlines()[0]
    assert json.loads(first)["schema"] == "escnn.event/1"
    assert escnn(*command, "--out", out, "--resume").exit_code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_table_that_does_not_fit_leaves_what_was_found(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "events.csv"
    command = ["detect", night, *LOW_SCORE, "--format", "csv", "--out", out]

    def full(target: Path, _: str) -> None:
        raise files.output_error(target, OSError(28, "No space left on device"))

    with monkeypatch.context() as patch:
        patch.setattr("escnn.detection.output.tables.write_text", full)
        refused = escnn(*command)
    assert refused.exit_code == 7
    assert f"{out}: cannot be written (No space left on device)" in refused.stderr
    assert f"{journal_of(out)}, and --resume goes on with it" in refused.stderr
    assert escnn(*command, "--resume").exit_code == 0
    assert out.exists()


def test_nothing_goes_on_with_stdin_and_nothing_says_so(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    with disk_with_room_for(700):
        full = escnn("detect", "-", *LOW_SCORE, "--out", out, stdin=next(night.iterdir()).read_bytes())
    assert full.exit_code == 7
    assert f"What was found until then is in {out}" in full.stderr
    assert "--resume" not in full.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_leads_to_itself_is_no_place_for_results(night: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / f"out.{kind}"
    out.symlink_to(out)
    refused = escnn("detect", night, "--format", kind, "--out", out, "--model", "never opened")
    assert refused.exit_code == 7
    assert f"{out}: cannot be written" in refused.stderr
