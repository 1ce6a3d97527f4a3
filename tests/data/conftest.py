"""A small ESC-50, and a server that hands it out."""

import hashlib
import shutil
import ssl
import subprocess
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
def cutting_off(server: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> ArchiveServer:
    """The server, cutting its first answer off after 6,000 bytes; a call asks once."""
    monkeypatch.setattr(http, "ATTEMPTS", 1)
    server.answers = [archive_server.good(cut_after=6000)]
    return server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made.split(), *names], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def encrypted(
    server: ArchiveServer, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ArchiveServer]:
    """A server that speaks TLS, with a certificate that is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    monkeypatch.setattr(http, "TIMEOUTS", (5.0, 5.0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with archive_server.running() as other:
        other.socket = context.wrap_socket(other.socket, server_side=True)
        other.body = server.body
        yield other


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
