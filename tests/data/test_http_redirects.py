"""A redirect is followed on the web only, and never out of encryption."""

from pathlib import Path

import archive_server as server_manners
import pytest
from archive_server import ArchiveServer
from small_archive import assert_nothing_left, assert_whole

from escnn.data.download import download
from escnn.errors import NetworkError

pytestmark = pytest.mark.usefixtures("small_and_quick")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x.zip", "gopher://x", "http://two..dots/"])
def test_redirect_to_anything_but_the_web_is_refused(server: ArchiveServer, folder: Path, target: str) -> None:
    server.answers = [server_manners.status(302, Location=target)]
    with pytest.raises(NetworkError):
        download(folder, source=server.url)
    assert_nothing_left(folder)


def test_redirect_out_of_https_is_refused(server: ArchiveServer, encrypted: ArchiveServer, folder: Path) -> None:
    address = f"https://127.0.0.1:{encrypted.server_port}/ESC-50.zip"
    for target in (server.url, server.url.replace("http", "HTTP"), "file:///etc/passwd"):
        encrypted.answers = [server_manners.status(302, Location=target)]
        with pytest.raises(NetworkError, match="leads to an address that is not followed") as caught:
            download(folder, source=address)
        assert caught.value.exit_code == 6
    assert server.asked == []
    assert_nothing_left(folder)
    encrypted.answers = [server_manners.status(302, Location="/elsewhere.zip"), server_manners.good(cut_after=6000)]
    assert download(folder, source=address).complete  # from https to https, and resumed
    assert encrypted.ranges[-1] == "bytes=6000-"
    assert_whole(folder)


def test_redirect_into_https_is_followed(server: ArchiveServer, encrypted: ArchiveServer, folder: Path) -> None:
    server.answers = [server_manners.status(302, Location=f"https://127.0.0.1:{encrypted.server_port}/ESC-50.zip")]
    assert download(folder, source=server.url).complete


def test_what_a_redirect_has_for_a_body_is_not_read(server: ArchiveServer, folder: Path) -> None:
    sent: list[int] = []

    def endless(request: server_manners.Request) -> None:
        request.say(302, {"Location": server.url})
        try:
            while sum(sent) < 64 << 20:
                sent.append(request.wfile.write(bytes(1 << 16)))
        except OSError:
            pass  # it hung up

    server.answers = [endless]
    assert download(folder, source=server.url).complete
    assert sum(sent) < 16 << 20  # what fits between the two of them


def test_redirect_keeps_the_range(server: ArchiveServer, folder: Path) -> None:
    moved = server_manners.status(302, Location=server.url)
    server.answers = [moved, server_manners.good(cut_after=6000), moved]
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, None, "bytes=6000-", "bytes=6000-"]
