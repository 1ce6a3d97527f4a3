"""What stands between here and the archive is named: certificates, proxies, names. No password is shown or kept."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import archive_server as server_manners
import pytest
from archive_server import ArchiveServer
from conftest import escnn
from small_archive import assert_nothing_left, assert_whole

from escnn.data import http
from escnn.data.download import download
from escnn.errors import NetworkError

pytestmark = pytest.mark.usefixtures("small_and_quick")
CREDENTIALS = "somebody:s3cr3t%20@"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def refused(url: str, folder: Path) -> tuple[NetworkError, list[str]]:
    """The error of a download, and what was said before."""
    said: list[str] = []
    with pytest.raises(NetworkError) as caught:
        download(folder, source=url, on_message=said.append)
    assert_nothing_left(folder)
    return caught.value, said


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_a_certificate_that_nobody_vouches_for_is_tried_once(
    encrypted: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    error, said = refused(encrypted.url.replace("http:", "https:"), folder)
    assert said == []
    assert "certificate" in error.message
    assert "REQUESTS_CA_BUNDLE" in (error.hint or "")


@pytest.mark.parametrize("kind", ["missing", "no certificate", "folder below a file"])
def test_certificates_that_cannot_be_read_are_named(
    encrypted: ArchiveServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    if kind != "missing":
        bundle.write_text("no certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle / "x" if kind == "folder below a file" else bundle))
    error, said = refused(encrypted.url.replace("http:", "https:"), folder)
    assert said == []
    assert "REQUESTS_CA_BUNDLE" in (error.hint or "")
    assert "cannot be written" not in error.message


def test_http_where_https_was_asked_for_is_tried_once(server: ArchiveServer, folder: Path) -> None:
    error, said = refused(server.url.replace("http:", "https:"), folder)
    assert said == []
    assert "encrypted" in error.message


def test_a_connection_cut_within_the_handshake_is_tried_again(
    server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ATTEMPTS", 2)
    with hanging_up(b"") as port:
        _, said = refused(f"https://127.0.0.1:{port}/a.zip", folder)
    assert len(said) == 1


@contextmanager
def hanging_up(answer: bytes) -> Iterator[int]:
    """A server that reads a little, gives one answer to everybody, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(10_000)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY"])
def test_a_dead_proxy_is_named_without_its_password(
    server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    port = closed_port()
    monkeypatch.setenv(name, f"http://{CREDENTIALS}127.0.0.1:{port}")
    error, said = refused(server.url, folder)
    assert said == []
    assert f"proxy http://127.0.0.1:{port}" in error.message
    assert "s3cr3t" not in error.message
    assert "HTTPS_PROXY" in (error.hint or "")


@pytest.mark.parametrize(("status", "tries"), [("407 Proxy Authentication Required", 1), ("503 Busy", 3)])
def test_a_proxy_that_refuses_is_named_and_one_that_is_busy_is_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, status: str, tries: int
) -> None:
    monkeypatch.setattr(http, "ATTEMPTS", 3)
    with hanging_up(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        error, said = refused("https://127.0.0.1:9/a.zip", folder)
    assert len(said) == tries - 1
    assert "proxy" in error.message
    assert status[:3] in error.message


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "socks5h://127.0.0.1:9", "http://:bad:port", "http://"])
def test_a_proxy_that_cannot_be_used_is_named(
    server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    error, said = refused(server.url, folder)
    assert said == []
    assert "proxy" in error.message
    assert proxy in error.message


def test_a_name_that_nobody_has_is_tried_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error, said = refused("https://no-such-host.example/a.zip", folder)
    assert said == []
    assert "no-such-host.example" in error.message

    def not_now(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", not_now)
    _, said = refused("https://no-such-host.example/a.zip", folder)
    assert len(said) == http.ATTEMPTS - 1


@pytest.mark.parametrize(
    "answer",
    [
        server_manners.status(404),
        server_manners.good(cut_after=0),
        lambda request: request.say(200, {}, b"<html>please log in</html>"),
        lambda request: request.say(200, {"Content-Length": 1 << 40}, b"PK" * 4000),
    ],
    ids=["404", "nothing", "a login page", "too much"],
)
def test_no_password_is_shown(server: ArchiveServer, folder: Path, answer: server_manners.Answer) -> None:
    server.answers = [answer] * 20
    url = server.url.replace("//", f"//{CREDENTIALS}") + "?token=s3cr3t"
    result = escnn("download", "--from", url, "--data", folder)
    assert result.exit_code in (5, 6)
    assert "s3cr3t" not in result.output
    assert f"127.0.0.1:{server.server_port}/ESC-50.zip" in result.output
    assert server.asked[0]["Authorization"].startswith("Basic")


@pytest.mark.parametrize(
    "url", [f"http://{CREDENTIALS}", f"http://{CREDENTIALS}:x/a", f"https://{CREDENTIALS}two..dots/a.zip",
            "https://somebody:s3/cr3t@host:x/a", f"HTTP://{CREDENTIALS}[::1/a"],
)  # fmt: skip
def test_no_password_of_an_address_that_is_none_is_shown(folder: Path, url: str) -> None:
    result = escnn("download", "--from", url, "--data", folder)
    assert result.exit_code == 6, result.output
    for part in ("s3cr3t", "s3/cr3t", "somebody"):
        assert part not in result.output


def test_no_password_is_kept_on_disk_and_the_download_goes_on(cutting_off: ArchiveServer, folder: Path) -> None:
    url = cutting_off.url.replace("//", f"//{CREDENTIALS}")
    with pytest.raises(NetworkError):
        download(folder, source=url)
    (note,) = folder.parent.rglob("*.json")
    assert "s3cr3t" not in note.read_text()
    assert download(folder, source=url).complete
    assert cutting_off.ranges == [None, "bytes=6000-"]
    assert_whole(folder)
