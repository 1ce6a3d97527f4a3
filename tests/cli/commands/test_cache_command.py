"""`escnn cache` as a user meets it."""

from pathlib import Path

import pytest
from conftest import SMALL_TRAINING, escnn

from escnn import cache, files
from escnn.config import to_json


def test_what_is_kept_is_shown_and_cleared_and_made_again(
    model: Path, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCNN_CACHE", str(tmp_path / "cache"))
    assert "features" in escnn("cache").stdout, "also where there is nothing yet"
    assert not (tmp_path / "cache").exists()
    files.write_json(tmp_path / "settings.json", to_json(SMALL_TRAINING) | {"epochs": 1})
    train = ["train", "--data", class_folders, "--config", tmp_path / "settings.json", "--out"]
    assert escnn(*train, tmp_path / "one").exit_code == 0
    (tmp_path / "cache" / "ESC-50").mkdir()
    (tmp_path / "cache" / "ESC-50" / "a.wav").write_text("a data set")
    shown = escnn("cache")
    (row,) = [line.split() for line in shown.stdout.splitlines() if line.startswith("features")]
    assert row[-3:] == ["1", "0.1", "MB"]
    assert str(tmp_path / "cache") in shown.stderr
    assert "10 GB" in shown.stderr
    cleared = escnn("cache", "--clear")
    assert (cleared.exit_code, cleared.stdout) == (0, "")
    assert [kept.files for kept in cache.contents()] == [0] * len(cache.KINDS)
    assert (tmp_path / "cache" / "ESC-50" / "a.wav").exists()
    assert escnn(*train, tmp_path / "two").exit_code == 0
    same = [(tmp_path / name / "metrics.csv").read_text().splitlines()[1].split(",")[:2] for name in ("one", "two")]
    assert same[0] == same[1]
