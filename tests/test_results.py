import json
from pathlib import Path

import pytest

from escnn import results
from escnn.errors import EscnnError, OutputError, UsageError
from escnn.files import appended_lines

MODEL = {"name": "small", "sha256": "ab" * 32, "classes": 3}


def line(path: str, *, status: str = "ok", sha256: str = MODEL["sha256"]) -> bytes:
    document = {"schema": "escnn.prediction/1", "path": path, "status": status, "model": {**MODEL, "sha256": sha256}}
    return json.dumps(document).encode() + b"\n"


def sounds(*names: str) -> list[tuple[Path, str]]:
    return [(Path(name), name) for name in names]


def test_what_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    assert results.reopen(tmp_path / "new.jsonl", MODEL["sha256"]) == results.Done()
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.parametrize("cut", range(0, 160, 7))
def test_a_line_cut_off_anywhere_is_removed_and_its_sound_is_next(tmp_path: Path, cut: int) -> None:
    whole, torn = line("a.wav") + line("b.wav", status="error"), line("c.wav")
    path = tmp_path / "out.jsonl"
    path.write_bytes(whole + torn[: min(cut, len(torn) - 1)])
    done = results.reopen(path, MODEL["sha256"])
    assert done == results.Done(("a.wav", "b.wav"), failures=1)
    assert path.read_bytes() == whole
    assert list(results.remaining(sounds("a.wav", "b.wav", "c.wav"), done, path)) == sounds("c.wav")


@pytest.mark.parametrize("now", [["b.wav", "a.wav"], ["a.wav"], ["a.wav", "a2.wav", "b.wav"], []])
def test_other_sounds_than_before_are_refused(tmp_path: Path, now: list[str]) -> None:
    done = results.Done(("a.wav", "b.wav"))
    with pytest.raises(UsageError, match=r"line \d is about [ab]\.wav"):
        list(results.remaining(sounds(*now), done, tmp_path / "out.jsonl"))


def test_another_model_is_refused_and_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line("a.wav"))
    with pytest.raises(UsageError, match="begun with another model, small"):
        results.reopen(path, "cd" * 32)
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
        results.reopen(path, MODEL["sha256"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to")
def test_a_full_disk_is_our_error() -> None:
    with pytest.raises(EscnnError) as raised, appended_lines(Path("/dev/full")) as append:
        append("a")
    assert raised.value.exit_code == 7
