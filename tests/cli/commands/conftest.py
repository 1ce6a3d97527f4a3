"""Recordings for `escnn detect`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

RATE = 8_000
LOW_SCORE = ["--min-score", "0.1", "--merge-seconds", "0"]  # what a network with random weights says


@pytest.fixture
def night(model: Path, tmp_path: Path) -> Path:
    """A folder of three recordings, one of them damaged."""
    folder = tmp_path / "night"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, seconds in (("A_20240702_064404.wav", 6), ("B_20240702_070000.wav", 2)):
        sound = 0.01 * rng.standard_normal(seconds * RATE).astype(np.float32)
        sound[RATE : 2 * RATE] += tone(700, 1.0, RATE)
        soundfile.write(folder / name, sound, RATE)
    (folder / "C.wav").write_bytes(b"no sound at all")
    return folder
