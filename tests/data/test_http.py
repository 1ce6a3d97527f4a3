"""The archive comes whole, over any network and from any server, or not at all."""

import errno
import socket
from pathlib import Path

import archive_server as server_manners
import pytest
from archive_server import ArchiveServer
from small_archive import assert_nothing_left, assert_whole

from escnn.data import http
from escnn.data.download import Progress, download
from escnn.data.esc50 import check
from escnn.errors import DatasetError, NetworkError, OutputError

pytestmark = pytest.mark.usefixtures("small_and_quick")


def test_good_server(server: ArchiveServer, folder: Path) -> None:
    steps: list[Progress] = []
    found = download(folder, source=server.url, on_progress=steps.append)
    assert found.complete
    assert found == check(folder)
    assert_whole(folder)
    size = len(server.body)
    assert [step for step in steps if step.stage == "download"][-1] == Progress("download", size, size)
    assert steps[-1] == Progress("extract", 13, 13)  # ten clips, metadata, licence, readme
    assert server.asked[0]["User-Agent"].startswith("escnn/")


def test_connection_dropped_twice_is_resumed_at_the_byte_it_stopped(server: ArchiveServer, folder: Path) -> None:
    server.answers = [server_manners.good(cut_after=6000), server_manners.good(cut_after=3000)]
    messages: list[str] = []
    assert download(folder, source=server.url, on_message=messages.append).complete
    assert server.ranges == [None, "bytes=6000-", "bytes=9000-"]
    assert server.asked[1]["If-Range"] == '"first"'
    assert len([message for message in messages if "trying again" in message]) == 2
    assert_whole(folder)


def test_attempts_are_counted_only_while_nothing_new_comes(
    server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ATTEMPTS", 2)
    server.answers = [server_manners.good(cut_after=1000) for _ in range(8)]
    assert download(folder, source=server.url).complete
    assert len(server.asked) == 9


def test_server_that_always_starts_over_and_stops_at_the_same_byte_is_given_up(
    server: ArchiveServer, folder: Path
) -> None:
    server.answers = [server_manners.ignoring_ranges(cut_after=6000) for _ in range(50)]
    with pytest.raises(NetworkError):
        download(folder, source=server.url)
    assert len(server.asked) == http.ATTEMPTS


def test_resumes_in_the_next_call(cutting_off: ArchiveServer, folder: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        download(folder, source=cutting_off.url)
    assert "kept" in (caught.value.hint or "")
    assert not folder.exists()
    assert download(folder, source=cutting_off.url).complete
    assert cutting_off.ranges == [None, "bytes=6000-"]
    assert_whole(folder)


@pytest.mark.parametrize("note", ["[]", "{}", '{"url": 1}', "[" * 100_000])
def test_a_note_that_says_nothing_is_not_gone_on_from(cutting_off: ArchiveServer, folder: Path, note: str) -> None:
    with pytest.raises(NetworkError):
        download(folder, source=cutting_off.url)
    (folder.parent / ".ESC-50.download" / "archive.zip.json").write_text(note)
    assert download(folder, source=cutting_off.url).complete
    assert cutting_off.ranges == [None, None]


def test_what_came_from_another_address_is_not_gone_on_from(cutting_off: ArchiveServer, folder: Path) -> None:
    with pytest.raises(NetworkError):
        download(folder, source=cutting_off.url)
    assert download(folder, source=cutting_off.url + "?mirror").complete
    assert cutting_off.ranges == [None, None]


def test_archive_that_had_come_whole_is_not_fetched_twice(server: ArchiveServer, folder: Path) -> None:
    def stop(step: Progress) -> None:
        if step.stage == "extract":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(folder, source=server.url, on_progress=stop)
    assert not folder.exists()
    steps: list[Progress] = []
    assert download(folder, source=server.url, on_progress=steps.append).complete
    assert server.ranges == [None, f"bytes={len(server.body)}-"]
    assert {step.stage for step in steps} == {"extract"}
    assert_whole(folder)


def test_server_that_ignores_ranges(server: ArchiveServer, folder: Path) -> None:
    server.answers = [server_manners.good(cut_after=6000), server_manners.ignoring_ranges()]
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, "bytes=6000-"]
    assert_whole(folder)


def test_answer_that_begins_at_another_byte(server: ArchiveServer, folder: Path) -> None:
    server.answers = [server_manners.good(cut_after=6000), server_manners.from_another_byte()]
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, "bytes=6000-", None]


@pytest.mark.parametrize("second", [server_manners.good(), server_manners.ignoring_if_range()])
def test_file_that_changes_between_two_tries(
    server: ArchiveServer, folder: Path, second: server_manners.Answer
) -> None:
    new = server.body

    def old(request: server_manners.Request) -> None:
        server.body, server.etag = bytes(20_000), '"old"'
        server_manners.good(cut_after=6000)(request)
        server.body, server.etag = new, '"new"'

    server.answers = [old, second]
    assert download(folder, source=server.url).complete
    assert_whole(folder)


def test_server_that_sends_less_than_it_was_asked_for(server: ArchiveServer, folder: Path) -> None:
    server.answers = [server_manners.good(cut_after=6000), server_manners.in_pieces(2000)]
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, "bytes=6000-", "bytes=8000-"]


def test_part_longer_than_the_file_is_now(server: ArchiveServer, folder: Path) -> None:
    server.answers = [server_manners.good(cut_after=6000), server_manners.status(416, **{"Content-Range": "bytes */5"})]
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, "bytes=6000-", None]


def test_without_a_version_there_is_no_resuming(server: ArchiveServer, folder: Path) -> None:
    server.etag = 'W/"weak"'  # may not be used in If-Range
    server.answers = [server_manners.good(cut_after=6000)]
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, None]


def test_no_content_length(server: ArchiveServer, folder: Path) -> None:
    server.answers = [server_manners.without_length(cut_after=6000)]
    steps: list[Progress] = []
    assert download(folder, source=server.url, on_progress=steps.append).complete
    assert steps[0] == Progress("download", 1000, None)
    assert server.ranges == [None, "bytes=6000-"]
    server.answers = [server_manners.without_length()]
    assert download(folder, source=server.url, force=True).complete
    assert_whole(folder)


def test_connection_cut_within_the_headers_costs_nothing_that_had_come(server: ArchiveServer, folder: Path) -> None:
    def cut(request: server_manners.Request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Le")

    server.answers = [cut, server_manners.good(cut_after=6000), cut]
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, None, "bytes=6000-", "bytes=6000-"]
    assert_whole(folder)


@pytest.mark.parametrize("span", ["bytes 6000-6999/7000", "bytes */9", "bytes 6000-", "6000", "bytes 6000-1/99999999"])
def test_content_range_that_is_not_true(server: ArchiveServer, folder: Path, span: str) -> None:
    """However it lies, the bytes that follow are those asked for: either they are used or fetched again."""

    def lie(request: server_manners.Request) -> None:
        request.say(206, {"ETag": server.etag, "Content-Range": span}, server.body[6000:])

    server.answers = [server_manners.good(cut_after=6000), lie]
    assert download(folder, source=server.url).complete
    assert_whole(folder)


def test_page_of_a_login_portal(server: ArchiveServer, folder: Path) -> None:
    server.answers = [lambda request: request.say(200, {}, b"<html>please log in</html>")]
    with pytest.raises(DatasetError, match="not a zip file"):
        download(folder, source=server.url)
    assert len(server.asked) == 1
    assert_nothing_left(folder)


@pytest.mark.parametrize("code", [404, 403, 401, 304])
def test_refusal_is_final(server: ArchiveServer, folder: Path, code: int) -> None:
    server.answers = [server_manners.status(code)]
    with pytest.raises(NetworkError, match=str(code)) as caught:
        download(folder, source=server.url)
    assert caught.value.exit_code == 6
    assert "--from" in (caught.value.hint or "")
    assert len(server.asked) == 1
    assert_nothing_left(folder)


@pytest.mark.parametrize("code", [500, 503, 429])
def test_trouble_that_passes(server: ArchiveServer, folder: Path, code: int) -> None:
    server.answers = [server_manners.status(code), server_manners.status(code)]
    assert download(folder, source=server.url).complete


def test_pauses_grow(server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(http.time, "sleep", pauses.append)
    monkeypatch.setattr(http, "FIRST_PAUSE", 1.0)
    server.answers = [server_manners.status(503) for _ in range(50)]
    with pytest.raises(NetworkError, match="503"):
        download(folder, source=server.url)
    assert pauses == [1, 2, 4, 8]


def test_server_that_falls_silent(server: ArchiveServer, folder: Path) -> None:
    def silent(request: server_manners.Request) -> None:
        request.say(200, {"Content-Length": 5000})
        request.rfile.read(1)  # until the client hangs up

    server.answers = [silent]
    messages: list[str] = []
    assert download(folder, source=server.url, on_message=messages.append).complete
    assert "timed out" in messages[0]


def test_nobody_listens(folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(NetworkError, match="refused") as caught:
            download(folder, source=f"http://127.0.0.1:{unused.getsockname()[1]}/ESC-50.zip")
    assert "ConnectionPool" not in caught.value.message  # nothing of urllib3's inner life
    assert "kept" not in (caught.value.hint or "")
    assert_nothing_left(folder)


@pytest.mark.parametrize("answer", [server_manners.good(), server_manners.without_length()])
def test_archive_beyond_any_reason(
    server: ArchiveServer, folder: Path, answer: server_manners.Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LARGEST_ARCHIVE", 5000)
    server.answers = [answer]
    steps: list[Progress] = []
    with pytest.raises(DatasetError, match="5,000 bytes"):
        download(folder, source=server.url, on_progress=steps.append)
    assert all(step.done <= 5000 and (step.total or 0) <= 5000 for step in steps)
    assert_nothing_left(folder)


def test_archive_that_came_damaged_is_fetched_afresh_the_next_time(server: ArchiveServer, folder: Path) -> None:
    good, place = server.body, len(server.body) // 2
    server.body = good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :]
    with pytest.raises(DatasetError, match="damaged"):
        download(folder, source=server.url)
    assert_nothing_left(folder)
    server.body = good
    assert download(folder, source=server.url).complete


def test_full_disk_while_fetching_is_not_taken_for_a_network_failure(server: ArchiveServer, folder: Path) -> None:
    def full(step: Progress) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        download(folder, source=server.url, on_progress=full)
    assert len(server.asked) == 1
