"""A small ESC-50, and a server that hands it out."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import archive_server
import pytest
from archive_server import ArchiveServer
from small_archive import a_metadata, a_zip, members

from escnn.data import esc50, http


@pytest.fixture
def small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small archive is the official one, and no failure is waited for."""
    monkeypatch.setattr(esc50, "CLIPS_PER_FOLD", 2)
    monkeypatch.setattr(esc50, "METADATA_SHA256", hashlib.sha256(a_metadata()).hexdigest())
    monkeypatch.setattr(http, "PIECE", 1000)
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(http, "TIMEOUTS", (1.0, 0.3))


@pytest.fixture
def server(small_and_quick: None) -> Iterator[ArchiveServer]:
    """A server with the small archive."""
    with archive_server.running() as server:
        server.body = a_zip(members())
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the data set is to be."""
    return tmp_path / "data" / "ESC-50"


@pytest.fixture
def archive(small_and_quick: None, tmp_path: Path) -> Path:
    """The small archive at hand."""
    path = tmp_path / "archive.zip"
    path.write_bytes(a_zip(members()))
    return path
