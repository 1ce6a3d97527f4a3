"""Onset scores of single classes, from files."""

import json
from pathlib import Path

import pytest

from escnn.detection.thresholds import read_thresholds, write_thresholds
from escnn.errors import UsageError


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
    assert read_thresholds(path) == {"dog": 0.5, "cat": 0.25}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_thresholds(path, {"dog": 0.45}, {"precision": 0.9})
    assert read_thresholds(path) == {"dog": 0.45}
    assert json.loads(path.read_text())["precision"] == 0.9


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
