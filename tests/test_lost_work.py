"""No command loses what people have made: outputs are claimed before work starts, and only what is ours is replaced."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ESCNN, escnn, tone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from escnn import files
from escnn.errors import OutputError

Writer = Callable[..., Path]
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX names and devices")
NEVER_READ = "never-read.wav"  # a sound that is not there: who opens it says so, with exit code 3


def everything_below(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@posix
@pytest.mark.parametrize("name", ["...wav", "...", "..wav", "a\\b.wav", "a\nb.wav", "CON.wav", "x" * 240 + ".wav"])
def test_a_page_lands_below_out_whatever_its_sound_is_called(
    model: Path, tmp_path: Path, write_sound: Writer, name: str
) -> None:
    sounds, out = tmp_path / "sounds", tmp_path / "outer" / "out"
    sounds.mkdir()
    (sounds / name).write_bytes(write_sound("a.wav", tone(440, 0.5, 8_000)).read_bytes())
    (sounds / "z.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    result = escnn("visualize", sounds / name, sounds / "z.wav", "--layers", "conv1", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert len(list(out.glob("*/report.html"))) == 2
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == ["index.html"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=8))
@example([b"..", b".", b"a", b"A", b"index.html", b"nul", b"\xe9", b"e\xcc\x81", b"\xc3\xa9", b" ", b"a."])
def test_names_of_folders_are_different_plain_and_short(names: list[bytes]) -> None:
    taken = {"index.html"}
    for name in map(os.fsdecode, names):
        given = files.folder_name(name, taken)
        assert files.same_name(given) not in taken
        assert given.isprintable()
        assert not set(given) & set('/\\:*?"<>|')
        assert given.strip(" .") == given != ""
        assert len(given.encode()) <= 255
        assert given.upper() not in {"CON", "NUL", "PRN", "AUX", "COM1", "LPT1"}
        taken.add(files.same_name(given))


@posix
def test_forced_pages_are_not_written_through_links_or_over_files(
    model: Path, tmp_path: Path, class_folders: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "0").symlink_to(elsewhere)
    (out / "1").write_text("mine")
    sounds = [class_folders / "low" / "0.wav", class_folders / "low" / "1.wav"]
    assert escnn("visualize", *sounds, "--layers", "conv1", "--out", out, "--force").exit_code == 0
    assert list(elsewhere.iterdir()) == []
    assert (out / "1").read_text() == "mine"
    assert len(list(out.glob("*-2/report.html"))) == 2


@pytest.mark.parametrize(
    "content",
    [b"notes without an end of line", b"a shopping list\nmilk\n", b"\x00" * 5_000, b'{"schema": "other"}', b"{"],
    ids=["notes", "list", "zeros", "json", "ours"],
)
def test_resume_changes_nothing_in_a_file_of_something_else(
    model: Path, clip: Path, tmp_path: Path, content: bytes
) -> None:
    out = tmp_path / "notes.txt"
    out.write_bytes(content)
    result = escnn("predict", clip, "--out", out, "--resume")
    if content == b"{":  # that is how every line of ours begins
        assert (result.exit_code, json.loads(out.read_bytes())["status"]) == (0, "ok")
    else:
        assert (result.exit_code, out.read_bytes()) == (7, content)
        assert "not a prediction" in result.stderr


def test_resume_validates_before_it_cuts(model: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    escnn("predict", clip, "--out", out, "--resume")
    content = b"notes\n" + out.read_bytes() + b'{"schema": "escnn.prediction/1", "pa'
    out.write_bytes(content)
    assert escnn("predict", clip, clip, "--out", out, "--resume").exit_code == 7
    assert out.read_bytes() == content


@posix
def test_results_go_into_a_pipe_and_through_a_link(model: Path, clip: Path, tmp_path: Path) -> None:
    expected = escnn("predict", clip).stdout
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target.json"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    assert escnn("predict", clip, "--out", pipe, "--force").exit_code == 0
    reader.join(timeout=10)
    assert received == [expected]
    assert pipe.is_fifo()

    target.write_text("old")
    link.symlink_to(target)
    assert escnn("predict", clip, "--out", link).exit_code == 7
    assert escnn("predict", clip, "--out", link, "--force").exit_code == 0
    assert link.is_symlink()
    assert target.read_text() == expected
    target.unlink()
    assert escnn("predict", clip, "--out", link).exit_code == 0  # a link to what is not there yet
    assert target.read_text() == expected


@posix
@pytest.mark.parametrize("device", ["/dev/stdout", "/dev/null"])
def test_a_device_stays_one(model: Path, clip: Path, device: str) -> None:
    kind = Path(device).stat().st_mode
    done = subprocess.run([*ESCNN, "predict", str(clip), "--out", device], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(device).stat().st_mode == kind or device == "/dev/stdout"
    assert (json.loads(done.stdout)["path"] == str(clip)) if device == "/dev/stdout" else done.stdout == ""
    assert Path("/dev/stdout").exists()


@pytest.mark.parametrize("out", [".", "", "folder"])
def test_a_folder_as_out_is_refused_before_a_sound_is_read(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for more in ([], ["--force"], ["--resume"]):
        result = escnn("predict", NEVER_READ, "--out", out, *more)
        assert result.exit_code == 7, result.stderr
        assert "is a folder" in result.stderr
        assert "--force" not in result.stderr
        assert NEVER_READ not in result.stderr


def test_an_occupied_folder_for_a_page_is_refused_before_a_sound_is_read(model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("")
    assert escnn("visualize", NEVER_READ, "--out", tmp_path / "out").exit_code == 7
    assert escnn("visualize", NEVER_READ, "--out", tmp_path / "out" / "mine.txt").exit_code == 7


def test_a_name_is_claimed_while_it_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code = (
        "import sys; from pathlib import Path; from escnn.files import output_file\n"
        "from escnn.errors import OutputError\n"
        "try:\n"
        "    with output_file(Path(sys.argv[1]), force=True) as file: file.write('second')\n"
        "except OutputError as error: sys.exit(str(error))"
    )
    with files.output_file(out) as file:
        file.write("first")
        second = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=False)
        assert "another process is writing it" in second.stderr
    assert out.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("links", [True, False])
def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    out = tmp_path / "out.csv"
    with pytest.raises(OutputError, match="appeared meanwhile") as refused, files.output_file(out) as file:
        file.write("results of hours")
        out.write_text("mine")
    assert out.read_text() == "mine"
    assert str(tmp_path / "out-2.csv") in (refused.value.hint or "")
    assert (tmp_path / "out-2.csv").read_text() == "results of hours"
    assert len(list(tmp_path.iterdir())) == 2
    with files.output_file(tmp_path / "new.csv") as file:
        file.write("plain")
    assert (tmp_path / "new.csv").read_text() == "plain"


@posix
def test_a_private_file_stays_private(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    out.chmod(0o600)
    with files.output_file(out, force=True) as file:
        file.write("new")
    assert (out.stat().st_mode & 0o777, out.read_text()) == (0o600, "new")


OWN = b"filename,fold,target,category\nmy-dog.wav,1,0,dog\nmy-cat.wav,2,1,cat\n"


@pytest.mark.parametrize(
    "metadata",
    [OWN, OWN.replace(b",", b";"), OWN.replace(b"dog", b"d\xf6g"), OWN.replace(b"category", b"label"), b"?"],
    ids=["own", "semicolons", "latin-1", "a column missing", "damaged"],
)
def test_nothing_that_is_printed_deletes_somebodys_own_clips(tmp_path: Path, metadata: bytes) -> None:
    data = tmp_path / "ESC-50"
    for name in ("audio", "meta"):
        (data / name).mkdir(parents=True)
    (data / "meta" / "esc50.csv").write_bytes(metadata)
    (data / "audio" / "my-dog.wav").write_bytes(b"years of work")
    before = everything_below(tmp_path)
    said = [
        escnn("train", "--data", data),
        escnn("download", "--data", data),
        escnn("download", "--check", "--data", data),
    ]
    assert all("--force" not in result.stderr for result in said), [result.stderr for result in said]
    forced = escnn("download", "--force", "--data", data, "--from", tmp_path / "gone.zip")
    assert forced.exit_code == 5
    assert "not replaced" in forced.stderr
    assert everything_below(tmp_path) == before
