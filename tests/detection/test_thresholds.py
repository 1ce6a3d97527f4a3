"""Onset scores of single classes, from files."""

import json
from pathlib import Path

import pytest
from conftest import SMALL_AUDIO

from escnn.audio.log_mel import Normalization
from escnn.detection.thresholds import read_thresholds, write_thresholds
from escnn.errors import UsageError
from escnn.model.architecture import ModelConfig
from escnn.model.card import ModelCard


@pytest.mark.parametrize(
    "text",
    [
        "dog,0.5\ncat,0.25\n",
        "label,threshold\r\ndog,0.5\r\n\r\ncat,0.25",
        "\ufefflabel;threshold\ndog;0,5\ncat;0,25\n",
        "dog\t0.5\ncat\t0.25",
        '{"dog": 0.5, "cat": 0.25}',
        '{"schema": "escnn.thresholds/1", "precision": 0.9, "thresholds": {"dog": 0.5, "cat": 0.25}}',
    ],
)
def test_tables_and_json_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t"
    path.write_text(text, "utf-8")
    assert read_thresholds(path).by_label == {"dog": 0.5, "cat": 0.25}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_thresholds(path, {"dog": 0.45}, {"precision": 0.9})
    assert read_thresholds(path).by_label == {"dog": 0.45}
    assert json.loads(path.read_text())["precision"] == 0.9


def test_that_they_are_of_another_model_is_told_where_the_file_says_of_which(tmp_path: Path) -> None:
    path, ours, other = tmp_path / "t.json", "ab" * 32, "cd" * 32
    card = ModelCard("mine", ("dog", "cat"), SMALL_AUDIO, ModelConfig(), Normalization(0.0, 1.0), weights_sha256=ours)
    write_thresholds(path, {"dog": 0.45}, {"model": "theirs", "weights_sha256": other})
    assert read_thresholds(path).caveat(card) == (
        f"{path}: made for the model theirs (cdcdcdcdcdcd), not for the model mine (abababababab): scores of different "
        "models are not comparable"
    )
    write_thresholds(path, {"dog": 0.45}, {"weights_sha256": other})  # as escnn wrote it before it named the model
    assert "made for the model cdcdcdcdcdcd, not" in str(read_thresholds(path).caveat(card))
    for same in ({"model": "renamed", "weights_sha256": ours}, {"precision": 0.9}):
        write_thresholds(path, {"dog": 0.45}, same)
        assert read_thresholds(path).caveat(card) is None
    path.write_text('{"dog": 0.5, "weights_sha256": 0.5}')  # labels and nothing else
    assert read_thresholds(path).caveat(card) is None
    assert read_thresholds(path).by_label == {"dog": 0.5, "weights_sha256": 0.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no threshold"),
        ("label,threshold\n", "holds no threshold"),
        ("dog,0.5\ncat\n", "line 2: no threshold"),
        ("dog,0.5\ndog,0.6\n", "line 2: dog a second time"),
        ("dog,0.5\ncat,loud\n", "cat: 'loud' is no score"),
        ("dog,1.5", "no score from 0 to 1"),
        ("dog,nan", "no score from 0 to 1"),
        ('{"dog": true}', "no score from 0 to 1"),
        ('{"thresholds": [1]}', "no object"),
        ('{"dog": 0.5', "cannot be used"),
        ("[" * 100_000, "line 1: no threshold"),
        ("a" * 200_000, "cannot be used"),
        ("{" * 100_000, "cannot be used"),
        ("\udcff\udcfe,0.5", "cannot be used"),
    ],
)
def test_what_holds_none_says_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=said):
        read_thresholds(path)
    with pytest.raises(UsageError, match="cannot be used"):
        read_thresholds(tmp_path / "gone")
