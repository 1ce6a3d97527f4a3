"""`escnn detect --page`: pages of recordings as a user meets them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli.commands.conftest import LOW_SCORE
from conftest import assert_ends, documents, escnn
from report.outline import Outline

from escnn import files
from escnn.cli.output import pages as pages_module


def data_of(page: Path) -> Any:
    html = page.read_text("utf-8")
    return json.loads(html.split('id="data">')[1].split("</script>")[0])


def test_one_recording_has_one_page_that_holds_its_events(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    recording = night / "A_20240702_064404.wav"
    done = escnn("detect", recording, *LOW_SCORE, "--page", out)
    assert done.exit_code == 0, done.stderr
    assert [path.name for path in out.iterdir()] == ["report.html"]
    assert f"page: {out / 'report.html'}" in done.stderr
    events = sorted(
        (line for line in documents(done.stdout) if line["schema"] == "escnn.event/1"),
        key=lambda line: (line["start_seconds"], line["class_id"]),
    )
    data = data_of(out / "report.html")
    assert events
    assert [start / 1_000 for start in data["events"]["start"]] == pytest.approx([e["start_seconds"] for e in events])
    assert [data["lanes"][lane]["label"] for lane in data["events"]["lane"]] == [e["label"] for e in events]
    words = Outline((out / "report.html").read_text("utf-8")).words
    assert "All recordings" not in words
    assert "Began 2024-07-02 06:44:04" in words
    assert f"--page {out}" in words or "escnn " in words


@pytest.mark.parametrize("kind", ["jsonl", "csv", "raven"])
def test_a_folder_has_a_page_of_all_whatever_else_is_written(night: Path, tmp_path: Path, kind: str) -> None:
    out, page = tmp_path / f"events.{kind}", tmp_path / "page"
    plain = tmp_path / f"plain.{kind}"
    assert escnn("detect", night, *LOW_SCORE, "--format", kind, "--out", plain).exit_code == 3
    done = escnn("detect", night, *LOW_SCORE, "--format", kind, "--out", out, "--page", page)
    assert done.exit_code == 3
    assert out.read_bytes() == plain.read_bytes()
    assert [path.name for path in page.iterdir()] == ["index.html"]
    html = (page / "index.html").read_text("utf-8")
    assert "A_20240702_064404.wav" in html
    assert "report.html" not in html
    words = Outline(html).words
    assert "2024-07-02 06:44" in words
    assert "1 file could not be read." in words
    assert "C.wav: not an audio file" in words


def test_pages_of_each_lie_beside_the_page_of_all(night: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    shutil.copy(night / "A_20240702_064404.wav", night / "a_20240702_064404.WAV")  # the same on some disks
    (night / "index.html.wav").write_bytes((night / "B_20240702_070000.wav").read_bytes())
    assert escnn("detect", night, *LOW_SCORE, "--page", page, "--pages").exit_code == 3
    index = (page / "index.html").read_text("utf-8")
    links = [str(link["href"]) for link in Outline(index).all("a") if "report.html" in str(link["href"])]
    assert len(links) == 4
    assert len({link.casefold() for link in links}) == 4
    for link in links:
        own = page / link.removeprefix("./")
        back = [str(to["href"]) for to in Outline(own.read_text("utf-8")).all("a")]
        assert back.count("../index.html") == 1
    assert "Recording" in index


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pages"], "--page"),
        (["--page", "{page}", "--resume", "--out", "{out}", "-"], "stdin"),
        (["--page", "{page}", "--out", "{page}"], "--out is in its way"),
        (["--page", "{page}", "--out", "{page}/index.html"], "--out is in its way"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    night: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    filled = [text.format(page=tmp_path / "page", out=tmp_path / "out.jsonl") for text in arguments]
    before = set(tmp_path.iterdir())
    assert_ends(2, said, "detect", night, *filled, "--model", "never opened")
    assert set(tmp_path.iterdir()) == before


def test_nothing_is_overwritten_without_force(night: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.mkdir()
    (page / "mine.txt").write_text("notes")
    recording = night / "B_20240702_070000.wav"
    assert_ends(7, "--page, or add --force", "detect", recording, "--page", page, "--model", "never opened")
    assert escnn("detect", recording, *LOW_SCORE, "--page", page, "--force").exit_code == 0
    assert {path.name for path in page.iterdir()} == {"mine.txt", "report.html"}


def test_pages_of_an_earlier_call_go_and_nothing_else(night: Path, tmp_path: Path) -> None:
    page, elsewhere = tmp_path / "page", tmp_path / "elsewhere"
    of_all, one = [*LOW_SCORE, "--page", page, "--pages"], night / "B_20240702_070000.wav"
    assert escnn("detect", night, *of_all).exit_code == 3
    linked = elsewhere / "report.html"
    elsewhere.mkdir()
    linked.write_bytes((page / "B_20240702_070000" / "report.html").read_bytes())
    (page / "linked").symlink_to(elsewhere)
    visualized = [page / "visualized" / "report.html", page / "visualized" / "prediction.json"]
    mine = [page / "notes.txt", page / "A_20240702_064404" / "mine.txt", page / "other" / "report.html", *visualized]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"schema": "escnn.prediction/1"}')
    mine.append(linked)
    before = [path.read_bytes() for path in mine]

    def pages() -> list[str]:
        return sorted(str(path.relative_to(page)) for path in page.rglob("*.html") if path not in mine)

    (night / "A_20240702_064404.wav").unlink()
    assert escnn("detect", night, *of_all, "--force").exit_code == 3
    assert pages() == ["B_20240702_070000/report.html", "index.html"]
    assert escnn("detect", night, *of_all[:-1], "--force").exit_code == 3
    assert pages() == ["index.html"]
    assert not (page / "B_20240702_070000").exists()
    assert escnn("detect", night, *of_all, "--force").exit_code == 3
    assert escnn("detect", one, *of_all[:-1], "--force").exit_code == 0
    assert pages() == ["report.html"], "those of many are of an earlier call, too"
    (page / "index.html").write_text("<title>my own</title>")
    assert escnn("detect", one, *of_all[:-1], "--force").exit_code == 0
    assert (page / "index.html").read_text() == "<title>my own</title>"
    assert [path.read_bytes() for path in mine] == before


def test_clips_and_pages_have_a_folder_each(night: Path, tmp_path: Path) -> None:
    assert_ends(2, "is the folder of --clips", "detect", night, "--page", tmp_path / "q", "--clips", tmp_path / "q")
    assert not (tmp_path / "q").exists()


def test_pages_are_not_written_through_links_or_over_files(night: Path, tmp_path: Path) -> None:
    page, elsewhere = tmp_path / "page", tmp_path / "elsewhere"
    page.mkdir()
    elsewhere.mkdir()
    (page / "A_20240702_064404").symlink_to(elsewhere)
    (page / "B_20240702_070000").write_text("mine")
    assert escnn("detect", night, *LOW_SCORE, "--page", page, "--pages", "--force").exit_code == 3
    assert list(elsewhere.iterdir()) == []
    assert (page / "B_20240702_070000").read_text() == "mine"
    assert len(list(page.glob("*-2/report.html"))) == 2


def test_a_recording_on_stdin_has_a_page(night: Path, tmp_path: Path) -> None:
    sound = (night / "A_20240702_064404.wav").read_bytes()
    assert escnn("detect", "-", *LOW_SCORE, "--page", tmp_path / "page", stdin=sound).exit_code == 0
    data = data_of(tmp_path / "page" / "report.html")
    assert data["name"] == "stdin"
    assert data["excerpts"]


def test_a_stopped_command_goes_on_to_the_same_pages(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, page, out = tmp_path / "whole", tmp_path / "page", tmp_path / "events.csv"
    asked = [*LOW_SCORE, "--format", "csv", "--pages"]
    assert escnn("detect", night, *asked, "--out", tmp_path / "w.csv", "--page", whole).exit_code == 3
    original = pages_module.save_recording

    def killed(analysis: Any, folder: Path, **options: Any) -> Path:
        if folder.name.startswith("B_"):
            raise KeyboardInterrupt
        return original(analysis, folder, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pages_module, "save_recording", killed)
        assert escnn("detect", night, *asked, "--out", out, "--page", page).exit_code == 130
    assert not out.exists()
    assert [path.name for path in page.iterdir()] == ["A_20240702_064404"]
    done = escnn("detect", night, *asked, "--out", out, "--page", page, "--resume")
    assert done.exit_code == 3, done.stderr
    assert out.read_bytes() == (tmp_path / "w.csv").read_bytes()
    for name in ("A_20240702_064404", "B_20240702_070000"):
        assert data_of(page / name / "report.html") == data_of(whole / name / "report.html")
    assert "C.wav: not an audio file" in (page / "index.html").read_text("utf-8")


def test_a_recording_that_is_gone_when_its_page_is_made_is_told(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pages_module.revisit

    def gone(source: Any, found: Any, classifier: Any, **options: Any) -> Any:
        if "B_" in found.name:
            Path(source).unlink()
        return original(source, found, classifier, **options)

    monkeypatch.setattr(pages_module, "revisit", gone)
    (night / "C.wav").unlink()
    out = tmp_path / "events.csv"
    done = escnn("detect", night, *LOW_SCORE, "--format", "csv", "--out", out, "--page", tmp_path / "page", "--pages")
    assert done.exit_code == 3
    assert "no such file" in done.stderr
    with out.open(newline="", encoding="utf-8") as file:
        assert {Path(row["path"]).name[0] for row in csv.DictReader(file)} == {"A", "B"}, "what was found is kept"
    html = (tmp_path / "page" / "index.html").read_text("utf-8")
    assert "./A_20240702_064404/report.html" in html
    assert "./B_20240702_070000/report.html" not in html


def test_a_page_that_cannot_be_written_is_an_error_and_the_events_stay(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: Path, text: str) -> None:
        raise files.output_error(target, OSError(28, "No space left on device"))

    monkeypatch.setattr("escnn.report.recording.folder.files.write_text", full)
    out = tmp_path / "events.jsonl"
    recording = night / "A_20240702_064404.wav"
    assert_ends(7, "No space left", "detect", recording, *LOW_SCORE, "--out", out, "--page", tmp_path / "page")
    assert documents(out.read_text())[-1]["status"] == "ok"


def test_nothing_found_is_a_page_as_well(night: Path, tmp_path: Path) -> None:
    recording = night / "A_20240702_064404.wav"
    assert escnn("detect", recording, "--min-score", "1", "--page", tmp_path / "page").exit_code == 0
    words = Outline((tmp_path / "page" / "report.html").read_text("utf-8")).words
    assert "Nothing found" in words
    assert "Closest came" in words
