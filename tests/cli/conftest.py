from __future__ import annotations

from pathlib import Path

import pytest
from conftest import SMALL_TRAINING

from escnn import files
from escnn.config import to_json


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The small network's settings as a file for --config, for one epoch."""
    path = tmp_path / "settings.json"
    files.write_json(path, to_json(SMALL_TRAINING) | {"epochs": 1})
    return path
