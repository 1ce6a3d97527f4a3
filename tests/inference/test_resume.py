"""A file of predictions is gone on with where it stopped, and a file of anything else is left as it is."""

import dataclasses
import json
from pathlib import Path

import pytest
from conftest import SMALL_AUDIO, SMALL_MODEL
from msgspec import UNSET, UnsetType

from escnn.audio.log_mel import Normalization
from escnn.errors import OutputError, UsageError
from escnn.inference import resume
from escnn.inference.formats import ClassScore, ModelReference, ScoringSettings, document
from escnn.inference.resume import ResumeState
from escnn.model.card import ModelCard

CARD = ModelCard(
    "small", ("low", "middle", "high"), SMALL_AUDIO, SMALL_MODEL, Normalization(-60.0, 25.0), sha256="ab" * 32
)
SETTINGS = ScoringSettings("12" * 32, tta=1, top_k=1, min_score=0.0, windows=False, runtime="onnx")


def line(path: str, *, status: str = "ok", settings: ScoringSettings | UnsetType = UNSET) -> bytes:
    answers = [ClassScore("low", 0, 0.5)] if status == "ok" else []
    about = {"path": path, "status": status, "duration_seconds": 0.5, "windows": 1, "predictions": answers}
    written = document(**about, model=ModelReference(**CARD.describe()), settings=settings)
    return json.dumps(written).encode() + b"\n"


def reopen(path: Path, card: ModelCard = CARD, settings: ScoringSettings = SETTINGS) -> ResumeState:
    with resume.going_on(path, card, settings) as done:
        return done


def sounds(*names: str) -> list[tuple[Path, str]]:
    return [(Path(name), name) for name in names]


def test_what_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    assert reopen(tmp_path / "new.jsonl") == ResumeState()
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.parametrize("cut", range(0, 160, 7))
def test_a_line_cut_off_anywhere_is_removed_and_its_sound_is_next(tmp_path: Path, cut: int) -> None:
    whole, torn = line("a.wav") + line("b.wav", status="error"), line("c.wav")
    path = tmp_path / "out.jsonl"
    path.write_bytes(whole + torn[: min(cut, len(torn) - 1)])
    done = reopen(path)
    assert done == ResumeState(("a.wav", "b.wav"), failures=1)
    assert path.read_bytes() == whole
    assert list(resume.remaining(sounds("a.wav", "b.wav", "c.wav"), done.names, path)) == sounds("c.wav")


@pytest.mark.parametrize("now", [["b.wav", "a.wav"], ["a.wav"], ["a.wav", "a2.wav", "b.wav"], []])
def test_other_sounds_than_before_are_refused(tmp_path: Path, now: list[str]) -> None:
    done = ResumeState(("a.wav", "b.wav"))
    with pytest.raises(UsageError, match=r"sound \d in it is [ab]\.wav"):
        list(resume.remaining(sounds(*now), done.names, tmp_path / "out.jsonl"))


def test_another_model_is_refused_and_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line("a.wav"))
    with pytest.raises(UsageError, match="begun with another model, small"):
        reopen(path, dataclasses.replace(CARD, sha256="cd" * 32))
    assert path.read_bytes() == line("a.wav")


@pytest.mark.parametrize(
    "content",
    [b"label,score\n", b"{}\n", b"[]\n", b"null\n", b"\xff\xfe\n", b'{"schema": 1}\n', b"[" * 100_000 + b"\n",
     line("a.wav").replace(b'"a.wav"', b"7"), line("a.wav").replace(b"escnn.prediction", b"other"), b"\n"],
    ids=repr,
)  # fmt: skip
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line("a.wav") + content)
    with pytest.raises(OutputError, match=r"line 2: not a prediction"):
        reopen(path)


@pytest.mark.parametrize(
    "content", [b"notes without an end of line", b"a shopping list\nmilk\n", b"\x00" * 5_000, b'{"schema": "other"}']
)
def test_nothing_is_changed_in_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    for whole in (b"", line("a.wav")):
        path.write_bytes(whole + content)
        with pytest.raises(OutputError, match="not a prediction"):
            reopen(path)
        assert path.read_bytes() == whole + content


def test_all_of_a_file_is_looked_at_before_its_end_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"notes\n" + line("a.wav") + line("b.wav")[:40])
    with pytest.raises(OutputError, match="line 1: not a prediction"):
        reopen(path)
    assert path.read_bytes() == b"notes\n" + line("a.wav") + line("b.wav")[:40]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        reopen(tmp_path)
