"""`escnn visualize` as a user meets it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_ends, escnn, random_model, tone
from report.outline import Outline

from escnn.model.frames import EventSettings, FrameHeadConfig, FrameRecord
from escnn.model.model_file import write_model


def test_missing_treble_is_told_once_a_command(write_sound: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        write_sound(name, tone(440, 5.0, 8_000))
    sounds = [tmp_path / "a.wav", tmp_path / "b.wav"]
    said = escnn("visualize", *sounds, "--out", tmp_path / "out", "--layers", "conv1").stderr
    assert said.count("nothing above") == 1
    assert "2 sounds lack treble" in said


def test_visualize_writes_pictures_and_a_page(model: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    result = escnn("visualize", clip, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out / 'report.html'}\n"
    assert {path.name for path in out.iterdir()} == {
        "waveform.png", "spectrogram.png", "evidence.png", "feature-maps", "prediction.json", "report.html",
    }  # fmt: skip
    assert (
        len(list((out / "feature-maps").glob("*.png"))) == len(list((out / "feature-maps" / "native").iterdir())) == 7
    )
    document = json.loads((out / "prediction.json").read_text())
    assert document == json.loads(escnn("predict", clip).stdout)
    assert_ends(7, "--force", "visualize", clip, "--out", out)
    assert escnn("visualize", clip, "--out", out, "--force", "--layers", "conv1,layer2.block0.relu").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layers", "conv1,layr2"], "did you mean layer2"),
        (["--colormap", "virids"], "did you mean viridis"),
        (["--class", "hihg"], "did you mean high"),
    ],
)
def test_visualize_refuses_what_is_not_there_and_writes_nothing(
    model: Path, clip: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    assert_ends(2, said, "visualize", clip, "--out", tmp_path / "report", *arguments)
    assert not (tmp_path / "report").exists()


def test_visualize_of_a_folder_writes_a_page_each_and_one_that_compares(
    model: Path, class_folders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    result = escnn("visualize", class_folders / "low", bad, "--layers", "conv1", "--class", "high", "--out", out)
    assert result.exit_code == 3
    assert result.stdout == f"{out / 'index.html'}\n"
    assert "bad.wav: not an audio file" in result.stderr
    index = (out / "index.html").read_text("utf-8")
    for number in range(10):
        assert f"./{number}/report.html" in index
        assert (out / str(number) / "report.html").is_file()
    assert "bad.wav" in index


def test_visualize_a_bad_file_is_one_line_and_no_folder(model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    assert_ends(3, "bad.wav: not an audio file", "visualize", tmp_path / "bad.wav", "--out", tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.fixture
def long_sound(write_sound: Callable[..., Path]) -> Path:
    """A sound of a minute and a second."""
    rng = np.random.default_rng(0)
    sound = 0.01 * rng.standard_normal(61 * 8_000).astype(np.float32)
    sound[80_000:88_000] += tone(700, 1.0, 8_000)
    return write_sound("long_20240702_064404.wav", sound)


@pytest.fixture
def eager_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with random weights whose scores make events."""
    record = FrameRecord(FrameHeadConfig(channels=4, mixed=8), EventSettings(onset_score=0.3))
    path = tmp_path / "eager.safetensors"
    write_model(path, random_model(frames=record))
    monkeypatch.setenv("ESCNN_MODEL", str(path))
    return path


def test_visualize_of_a_long_sound_is_the_page_of_a_recording(
    eager_model: Path, long_sound: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    result = escnn("visualize", long_sound, "--out", out, "--layers", "conv1")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out / 'report.html'}\n"
    assert {path.name for path in out.iterdir()} == {"report.html", "surest-event"}
    page = (out / "report.html").read_text("utf-8")
    assert 'id="timeline"' in page
    assert "2024-07-02 06:44:04" in page
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    events = data["events"]
    surest = max(range(len(events["score"])), key=lambda number: events["score"][number])
    assert {path.name for path in (out / "surest-event").iterdir()} == {
        "waveform.png", "spectrogram.png", "evidence.png", "feature-maps", "prediction.json", "report.html",
    }  # fmt: skip
    document = json.loads((out / "surest-event" / "prediction.json").read_text())
    label = data["lanes"][events["lane"][surest]]["label"]
    start = max(0.0, events["peak"][surest] / 1_000 - 0.25)
    assert document["path"].startswith(f"long_20240702_064404.wav, {label}, 0:{int(start):02}")
    assert document["duration_seconds"] == 0.5
    assert "events in 1" in result.stderr.replace("\u00a0", " ") or "times" in result.stderr
    again = escnn("visualize", long_sound, "--out", out, "--force", "--layers", "conv1")
    assert again.exit_code == 0


def test_a_short_sound_after_a_long_one_leaves_nothing_of_it(
    eager_model: Path, long_sound: Path, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    assert escnn("visualize", long_sound, "--out", out, "--layers", "conv1").exit_code == 0
    (out / "surest-event" / "mine.txt").write_text("notes")
    assert escnn("visualize", clip, "--out", out, "--force", "--layers", "conv1").exit_code == 0
    assert "Predicted class" in (out / "report.html").read_text("utf-8")
    assert [path.name for path in (out / "surest-event").iterdir()] == ["mine.txt"]


def test_long_and_short_sounds_stand_side_by_side(
    eager_model: Path, long_sound: Path, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    result = escnn("visualize", long_sound, clip, "--out", out, "--layers", "conv1")
    assert result.exit_code == 0, result.stderr
    index = (out / "index.html").read_text("utf-8")
    words = Outline(index).words
    assert "events" in words or "1 event" in words
    assert "./long_20240702_064404/report.html" in index
    assert "./clip/report.html" in index
    assert (out / "long_20240702_064404" / "surest-event" / "waveform.png").is_file()
    assert "How often each class was predicted" in words, "of the short sound"
    only = escnn("visualize", long_sound, long_sound, "--out", tmp_path / "only", "--layers", "conv1")
    assert only.exit_code == 0
    assert "How often" not in (tmp_path / "only" / "index.html").read_text("utf-8")


def test_a_long_sound_without_events_has_no_surest_one(
    model: Path, write_sound: Callable[..., Path], tmp_path: Path
) -> None:
    record = FrameRecord(FrameHeadConfig(channels=4, mixed=8), EventSettings(onset_score=1.0))
    write_model(tmp_path / "m.safetensors", random_model(frames=record))
    sound = write_sound("long.wav", tone(440, 61.0, 8_000))
    out = tmp_path / "report"
    result = escnn("visualize", sound, "--out", out, "--model", tmp_path / "m.safetensors")
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in out.iterdir()] == ["report.html"]
    assert "Nothing found" in result.stderr
