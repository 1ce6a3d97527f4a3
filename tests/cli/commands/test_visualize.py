"""`escnn visualize` as a user meets it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import escnn, tone


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
    refused = escnn("visualize", clip, "--out", out)
    assert refused.exit_code == 7
    assert "--force" in refused.stderr
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
    result = escnn("visualize", clip, "--out", tmp_path / "report", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
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
    result = escnn("visualize", tmp_path / "bad.wav", "--out", tmp_path / "report")
    assert result.exit_code == 3
    assert "bad.wav: not an audio file" in result.stderr
    assert not (tmp_path / "report").exists()
