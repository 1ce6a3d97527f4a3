"""No command loses what people have made: outputs are claimed before work starts, and only what is ours is replaced."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import ESCNN, assert_ends, escnn

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX names and devices")
NEVER_READ = "never-read.wav"  # a sound that is not there: who opens it says so, with exit code 3


def everything_below(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@posix
def test_a_page_lands_below_out_whatever_its_sound_is_called(model: Path, clip: Path, tmp_path: Path) -> None:
    sounds, out = tmp_path / "sounds", tmp_path / "outer" / "out"
    sounds.mkdir()
    names = ["...wav", "...", "..wav", "a\\b.wav", "a\nb.wav", "CON.wav", "x" * 240 + ".wav"]
    for name in names:
        (sounds / name).write_bytes(clip.read_bytes())
    paths = [sounds / name for name in names]
    result = escnn("visualize", *paths, "--layers", "conv1", "--top-k", 1, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert len(list(out.glob("*/report.html"))) == len(names)
    assert [path.name for path in out.iterdir() if path.is_file()] == ["index.html"]


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
    assert escnn("visualize", *sounds, "--layers", "conv1", "--top-k", 1, "--out", out, "--force").exit_code == 0
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


@pytest.mark.parametrize("out", [".", "./", "folder"])
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
    assert_ends(5, "not replaced", "download", "--force", "--data", data, "--from", tmp_path / "gone.zip")
    assert everything_below(tmp_path) == before


@pytest.mark.parametrize("options", [["--force"], ["--resume"]])
def test_a_sound_is_not_replaced_by_its_own_result(
    model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    before = clip.read_bytes()
    monkeypatch.chdir(clip.parent)
    for sound in (clip, clip.name, "."):
        refused = escnn("predict", sound, "--format", "jsonl", "--out", clip.name, *options)
        assert refused.exit_code in (2, 7), sound
        assert clip.read_bytes() == before
    assert "is one of the sounds" in escnn("predict", clip, "--out", clip.name, "--force").stderr
    for link in (clip.parent / "link", clip.parent / "results" / "link"):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(clip)
        for command in ("predict", "detect"):
            for written in ("jsonl", "csv"):
                refused = escnn(command, clip, "--format", written, "--out", link, *options)
                assert refused.exit_code in (2, 7), refused.stderr
                assert clip.read_bytes() == before, "by whatever name"
    fresh = escnn("predict", "not-there.wav", clip, "--resume", "--out", "not-there.wav")
    assert fresh.exit_code == 2, "it would be another file the next time"
