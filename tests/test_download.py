"""The archive comes whole, over any network, or not at all; nothing in it reaches outside the data set's folder."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import archive_server as server_manners
import pytest
from archive_server import ArchiveServer
from small_archive import CLIPS, TOP, a_metadata, a_wav, a_zip, members

from escnn import download as module
from escnn import fetch
from escnn.download import DatasetCheck, Progress, check, download
from escnn.errors import DatasetError, NetworkError, OutputError


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIPS_PER_FOLD", 2)
    monkeypatch.setattr(module, "METADATA_SHA256", hashlib.sha256(a_metadata()).hexdigest())
    monkeypatch.setattr(fetch, "PIECE", 1000)
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(fetch, "TIMEOUTS", (1.0, 0.3))


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with server_manners.running() as server:
        server.body = a_zip(members())
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ESC-50"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "archive.zip"
    path.write_bytes(a_zip(members()))
    return path


def assert_whole(folder: Path) -> None:
    """Everything official is there, byte for byte, and nothing besides, in the folder or beside it."""
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    wanted = {name.removeprefix(f"{TOP}/"): data for name, data in members().items()}
    assert there == {name: data for name, data in wanted.items() if name not in (".gitignore", "tests/test_dataset.py")}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def assert_nothing_left(folder: Path) -> None:
    assert not folder.parent.exists() or list(folder.parent.iterdir()) == []


# Over the network


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
    monkeypatch.setattr(fetch, "ATTEMPTS", 2)
    server.answers = [server_manners.good(cut_after=1000) for _ in range(8)]
    assert download(folder, source=server.url).complete
    assert len(server.asked) == 9


def test_server_that_always_starts_over_and_stops_at_the_same_byte_is_given_up(
    server: ArchiveServer, folder: Path
) -> None:
    server.answers = [server_manners.ignoring_ranges(cut_after=6000) for _ in range(50)]
    with pytest.raises(NetworkError):
        download(folder, source=server.url)
    assert len(server.asked) == fetch.ATTEMPTS


def test_resumes_in_the_next_call(server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    server.answers = [server_manners.good(cut_after=6000)]
    with pytest.raises(NetworkError) as caught:
        download(folder, source=server.url)
    assert "kept" in (caught.value.hint or "")
    assert not folder.exists()
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, "bytes=6000-"]
    assert_whole(folder)


@pytest.mark.parametrize("note", ["[]", "{}", '{"url": 1}', "[" * 100_000])
def test_a_note_that_says_nothing_is_not_gone_on_from(
    server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch, note: str
) -> None:
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    server.answers = [server_manners.good(cut_after=6000)]
    with pytest.raises(NetworkError):
        download(folder, source=server.url)
    (folder.parent / ".ESC-50.download" / "archive.zip.json").write_text(note)
    assert download(folder, source=server.url).complete
    assert server.ranges == [None, None]


def test_what_came_from_another_address_is_not_gone_on_from(
    server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    server.answers = [server_manners.good(cut_after=6000)]
    with pytest.raises(NetworkError):
        download(folder, source=server.url)
    assert download(folder, source=server.url + "?mirror").complete
    assert server.ranges == [None, None]


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
    monkeypatch.setattr(fetch.time, "sleep", pauses.append)
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 1.0)
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


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x.zip", "gopher://x", "http://two..dots/"])
def test_redirect_to_anything_but_the_web_is_refused(server: ArchiveServer, folder: Path, target: str) -> None:
    server.answers = [server_manners.status(302, Location=target)]
    with pytest.raises(NetworkError):
        download(folder, source=server.url)
    assert_nothing_left(folder)


@pytest.fixture
def encrypted(server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchiveServer]:
    """A server that speaks TLS, with a certificate that is trusted."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made.split(), *names], check=True, capture_output=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setattr(fetch, "TIMEOUTS", (5.0, 5.0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with server_manners.running() as other:
        other.socket = context.wrap_socket(other.socket, server_side=True)
        other.body = server.body
        yield other


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


@pytest.mark.parametrize("answer", [server_manners.good(), server_manners.without_length()])
def test_archive_beyond_any_reason(
    server: ArchiveServer, folder: Path, answer: server_manners.Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LARGEST_ARCHIVE", 5000)
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


# What is in the archive


def install(content: dict[str, bytes] | bytes, folder: Path, **options: bool) -> DatasetCheck:
    path = folder.parent.parent / "given.zip"
    path.write_bytes(content if isinstance(content, bytes) else a_zip(content))
    return download(folder, source=path, **options)


def assert_refused(content: dict[str, bytes] | bytes, folder: Path, why: str, **options: bool) -> DatasetError:
    with pytest.raises(DatasetError, match=why) as caught:
        install(content, folder, **options)
    assert_nothing_left(folder)
    return caught.value


def test_archive_at_hand(archive: Path, folder: Path) -> None:
    before = archive.read_bytes()
    assert download(folder, source=str(archive)).complete
    assert archive.read_bytes() == before
    assert_whole(folder)


def test_archive_that_is_not_there(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no such archive") as caught:
        download(folder, source="nowhere.zip")
    assert caught.value.hint
    assert_nothing_left(folder)


def test_file_that_is_no_archive(folder: Path) -> None:
    assert_refused(b"RIFF and so on", folder, "not a zip file")


def test_archive_of_something_else(folder: Path) -> None:
    assert_refused({"cats/cat.jpg": b"meow"}, folder, "not an archive of ESC-50")


@pytest.mark.parametrize(
    "name",
    [
        "../audio/1-1-A-0.wav",  # matches the pattern, with .. for the top folder
        f"{TOP}/audio/../../1-1-A-0.wav",
        "/etc/audio/1-1-A-0.wav",
        f"{TOP}/audio/..\\..\\1-1-A-0.wav",
        f"{TOP}/../evil/audio/1-1-A-0.wav",
        f"{TOP}/audio/1-1-A-0.wav/../../../../x",
    ],
)
def test_no_member_gets_outside(name: str, folder: Path) -> None:
    try:
        install({**members(), name: a_wav()}, folder)
        assert_whole(folder)  # ignored
    except DatasetError:
        assert_nothing_left(folder)  # or refused
    assert not list(folder.parent.parent.rglob("1-1-A-0.wav"))
    assert {path.name for path in folder.parent.parent.iterdir()} <= {"data", "given.zip"}


def test_symbolic_link_in_the_archive_is_no_clip_and_makes_no_link(folder: Path) -> None:
    outside = folder.parent.parent / "secret"
    outside.write_bytes(a_wav())
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members().items():
            info = zipfile.ZipInfo(name)
            if name.endswith(CLIPS[0]):
                info.external_attr, content = (stat.S_IFLNK | 0o777) << 16, os.fsencode(outside)
            file.writestr(info, content)
    assert CLIPS[0] in assert_refused(data.getvalue(), folder, "fold 1 lacks 1").message
    install(data.getvalue(), folder, allow_missing=True)
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", [f"audio/{CLIPS[3]}", "meta/esc50.csv", "LICENSE"])
def test_member_that_comes_twice(name: str, folder: Path) -> None:
    data = io.BytesIO(a_zip(members()))
    with zipfile.ZipFile(data, "a") as file:
        file.writestr(f"{TOP}/{name}", b"other")
    assert_refused(data.getvalue(), folder, "twice")


def test_two_top_folders_that_are_one_where_case_does_not_count(folder: Path) -> None:
    assert_refused({**members(), f"{TOP.upper()}/audio/1-1-A-0.wav": a_wav()}, folder, "one folder")


@pytest.mark.parametrize(
    "name",
    [f"Audio/{CLIPS[0]}", f"audio/{CLIPS[0].lower()}", f"audio/{CLIPS[0].upper()}", "META/esc50.csv", "license"],
)
def test_name_that_differs_only_in_case_replaces_nothing(name: str, folder: Path) -> None:
    """On Windows and on a Mac it would be the same file: it is not taken, wherever it stands in the archive."""
    for content in ({**members(), f"{TOP}/{name}": b"other"}, {f"{TOP}/{name}": b"other", **members()}):
        install(content, folder, force=True)
        (folder.parent.parent / "given.zip").unlink()
        assert_whole(folder)


def test_many_small_bombs_have_a_limit_together() -> None:
    """An archive whose every member is as large as it may be takes about 2 GB; a clip of ESC-50 fits twice."""
    assert module.LARGEST_MEMBER > 2 * 441_044
    assert (2_000 + 3) * module.LARGEST_MEMBER < 2.2e9


def test_zip_bomb_stops_at_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: taken.append(n) or read(self, n))
    bomb = {**members(), f"{TOP}/audio/{CLIPS[0]}": bytes(50_000_000)}
    assert_refused(bomb, folder, f"{CLIPS[0]}.*more than")
    assert 0 < max(taken) <= module.LARGEST_MEMBER + 1
    assert min(taken) > 0  # never without a limit


def test_metadata_beyond_any_reason(folder: Path) -> None:
    assert_refused(members(metadata=bytes(2_000_000)), folder, "esc50.csv.*more than")


def test_more_clips_than_there_are(folder: Path) -> None:
    more = (*CLIPS, *(f"1-{number}-A-0.wav" for number in range(900, 904)))
    assert_refused(members(more), folder, "more clips")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_without_bound_are_refused(method: int, folder: Path) -> None:
    assert_refused(a_zip(members(), method), folder, "neither stored nor deflated")


def test_damaged_member_is_named(folder: Path) -> None:
    data = bytearray(a_zip(members(), zipfile.ZIP_STORED))
    data[data.index(a_wav(4)) + 500] ^= 1
    assert_refused(bytes(data), folder, f"{CLIPS[4]} is damaged.*CRC")


def test_member_that_cannot_be_inflated_is_named(folder: Path) -> None:
    data = bytearray(a_zip(members()))
    name = f"{TOP}/audio/{CLIPS[4]}".encode()
    data[data.index(name) + len(name)] = 0xFF  # a kind of block that deflate does not have
    assert_refused(bytes(data), folder, f"{CLIPS[4]} is damaged")


def test_locked_member(folder: Path) -> None:
    data = bytearray(a_zip(members()))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(mark)
        while place >= 0:
            data[place + flags] |= 1
            place = data.find(mark, place + 1)
    assert_refused(bytes(data), folder, "encrypted")


def test_no_damage_gets_past(folder: Path) -> None:
    """Whatever bytes are broken: either the data set comes out byte for byte, or a `DatasetError` does."""
    luck = random.Random(50)
    whole = a_zip(members(), zipfile.ZIP_STORED)
    headers = [place for place in range(len(whole)) if whole[place : place + 2] == b"PK"]
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(luck.choice((1, 1, 4))):
            data[min(luck.choice(headers) + luck.randrange(64), len(data) - 1)] = luck.randrange(256)
        try:
            install(bytes(data[: luck.choice((len(data), len(data), luck.randrange(len(data))))]), folder, force=True)
        except DatasetError:
            continue
        for seed, clip in enumerate(CLIPS):
            assert (folder / "audio" / clip).read_bytes() == a_wav(seed)
        assert (folder / "meta" / "esc50.csv").read_bytes() == a_metadata()


# What is missing


def test_archive_that_lacks_a_fold(folder: Path) -> None:
    """Like the archive at hand with 1,600 clips: all that its metadata lists is there, but the metadata is not all."""
    four_folds = CLIPS[:8]
    error = assert_refused(members(four_folds, a_metadata(four_folds)), folder, "8 of 10 clips; fold 5 lacks 2")
    assert "meta/esc50.csv is not the official one" in error.message
    assert "--allow-missing" in (error.hint or "")
    assert error.exit_code == 5
    found = install(members(four_folds, a_metadata(four_folds)), folder, allow_missing=True)
    assert (found.clips, found.missing, found.missing_by_fold) == (8, (), {5: 2})
    assert not found.official_metadata
    assert not found.complete
    assert found == check(folder)


def test_archive_that_lacks_clips_its_metadata_lists(folder: Path) -> None:
    error = assert_refused(members(CLIPS[2:]), folder, "8 of 10 clips; fold 1 lacks 2")
    assert CLIPS[0] in error.message
    assert CLIPS[1] in error.message
    found = install(members(CLIPS[2:]), folder, allow_missing=True)
    assert found.missing == CLIPS[:2]
    assert found.official_metadata
    assert (folder / "meta" / "esc50.csv").read_bytes() == a_metadata()


def test_archive_without_a_clip_is_refused_in_any_case(folder: Path) -> None:
    assert_refused(members(()), folder, "0 of 10 clips", allow_missing=True)


@pytest.mark.parametrize(
    "broken", [b"", a_wav()[:40], a_wav(frames=0), a_wav()[:-2], b"OggS" + a_wav()[4:], bytes(2000)]
)
def test_clip_that_is_no_whole_wav(broken: bytes, folder: Path) -> None:
    assert_refused({**members(), f"{TOP}/audio/{CLIPS[6]}": broken}, folder, "fold 4 lacks 1.*" + CLIPS[6])


def test_right_clips_with_other_metadata(folder: Path) -> None:
    changed = a_metadata().replace(b"class_9,", b"hoover,")
    assert_refused(members(metadata=changed), folder, "10 of 10 clips; meta/esc50.csv is not the official one")


def test_clips_that_the_metadata_does_not_list_do_not_count(folder: Path) -> None:
    install(members(CLIPS, a_metadata(CLIPS[:3])), folder, allow_missing=True)
    assert check(folder).clips == 3


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"filename,", b"file,", "line 1: no column filename"),
        (b"1-101-A-9.wav,1,", b"1-101-A-9.wav,2,", "line 2"),
        (b"1-101-B-9.wav,1,9,", b"1-101-B-9.wav,1,10,", "line 3"),
        (b"1-101-A-9.wav", b"../../x.wav", "line 2"),
        (b"1-101-B-9.wav", b"1-101-A-9.wav", "line 3: 1-101-A-9.wav is listed twice"),
        (b"class_9,", b",", "line 2: target 9"),
        (b"class_18,False,102,B", b"class_1,False,102,B", "line 5: target 18"),
        (b",class_45,False,105,B\n", b"\n", "line 11"),
        (b"class_9,", b'"class_9,', "line"),
        (b"class_9,", b"\xff\xfe,", "utf-8"),
        (b"class_9,", b"\0" * 200_000, "line"),
    ],
)
def test_metadata_that_cannot_be_true(old: bytes, new: bytes, why: str, archive: Path, folder: Path) -> None:
    metadata = a_metadata().replace(old, new, 1)
    assert metadata != a_metadata()
    assert_refused(members(metadata=metadata), folder, f"esc50.csv is damaged.*{why}", allow_missing=True)
    download(folder, source=archive)
    (folder / "meta" / "esc50.csv").write_bytes(metadata)
    with pytest.raises(DatasetError, match=why):
        check(folder)


def test_check_sees_what_happens_to_a_data_set(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    (folder / "audio" / CLIPS[9]).unlink()
    (folder / "audio" / CLIPS[0]).write_bytes(a_wav()[:100])
    found = check(folder)
    assert found.missing == (CLIPS[0], CLIPS[9])
    assert found.missing_by_fold == {1: 1, 5: 1}
    assert found.describe() == (
        f"8 of 10 clips; fold 1 lacks 1; fold 5 lacks 1; missing or damaged: {CLIPS[0]}, {CLIPS[9]}"
    )


def test_check_of_a_folder_without_metadata(tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=r"no meta/esc50\.csv") as caught:
            check(nothing)
        assert "escnn download" in (caught.value.hint or "")


# The place it goes to


def test_complete_folder_is_left_alone(archive: Path, folder: Path) -> None:
    first = download(folder, source=archive)
    (folder / "notes.txt").write_text("mine")
    assert download(folder, source="http://127.0.0.1:9/never-asked.zip") == first
    assert (folder / "notes.txt").exists()


def test_incomplete_folder_needs_force(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    (folder / "audio" / CLIPS[0]).unlink()
    with pytest.raises(DatasetError, match="fold 1 lacks 1") as caught:
        download(folder, source=archive)
    assert "--force" in (caught.value.hint or "")
    assert download(folder, source=archive, allow_missing=True).clips == 9
    assert download(folder, source=archive, force=True).complete
    assert_whole(folder)


@pytest.mark.parametrize("metadata", [b"?", a_metadata(CLIPS[:8])])
def test_other_metadata_than_the_official_is_somebodys_own(archive: Path, folder: Path, metadata: bytes) -> None:
    download(folder, source=archive)
    (folder / "meta" / "esc50.csv").write_bytes(metadata)
    with pytest.raises(DatasetError) as caught:
        download(folder, source=archive)
    assert "--force" not in (caught.value.hint or "")
    with pytest.raises(DatasetError, match="of its own"):
        download(folder, source=archive, force=True)
    assert (folder / "meta" / "esc50.csv").read_bytes() == metadata


@pytest.mark.parametrize(
    "stranger", ["audio/my-dog.wav", "audio/3-103-A-27.flac", "meta/notes.txt", "audio/more/a.wav"]
)
def test_force_spares_what_the_metadata_does_not_list(archive: Path, folder: Path, stranger: str) -> None:
    download(folder, source=archive)
    (folder / stranger).parent.mkdir(exist_ok=True)
    (folder / stranger).write_text("mine")
    with pytest.raises(DatasetError, match="not replaced"):
        download(folder, source=archive, force=True)
    assert (folder / stranger).read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_folder_of_something_else_is_never_replaced(force: bool, archive: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match="something other"):
        download(folder, source=archive, force=force)
    assert [path.name for path in folder.parent.rglob("*")] == ["ESC-50", "thesis.tex"]


def test_force_spares_a_data_set_with_other_files_in_it(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    (folder / "runs").mkdir()
    with pytest.raises(DatasetError, match="runs"):
        download(folder, source=archive, force=True)
    assert (folder / "runs").is_dir()


def test_place_that_is_a_file(archive: Path, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("mine")
    with pytest.raises(DatasetError, match="not a folder"):
        download(folder, source=archive, force=True)
    assert folder.read_text() == "mine"


def test_top_of_a_file_system_cannot_be_replaced(archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == folder)
    with pytest.raises(DatasetError) as caught:
        download(folder, source=archive)
    assert str(folder / "ESC-50") in (caught.value.hint or "")


def test_empty_folder_and_link_to_a_folder_are_places(archive: Path, tmp_path: Path) -> None:
    disk, link = tmp_path / "disk" / "sounds", tmp_path / "link"
    disk.mkdir(parents=True)
    link.symlink_to(disk)
    assert download(link, source=archive).complete
    assert link.is_symlink()
    assert_whole(disk)


def test_old_folder_comes_back_when_the_last_step_fails(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(folder, source=archive)
    (folder / "LICENSE").write_text("the old one")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "unpacked":
            raise OSError(errno.EIO, "broken disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="broken disk"):
        download(folder, source=archive, force=True)
    assert (folder / "LICENSE").read_text() == "the old one"
    monkeypatch.undo()
    small_again = check(folder)
    assert small_again.clips == 10


def test_old_folder_comes_back_when_the_new_archive_is_bad(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    with pytest.raises(DatasetError):
        install(members(CLIPS[1:]), folder, force=True)
    assert_whole(folder)


def test_old_folder_comes_back_when_the_last_step_is_interrupted(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(folder, source=archive)
    (folder / "LICENSE").write_text("the old one")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        result = rename(self, target)
        if target.name == "replaced":
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download(folder, source=archive, force=True)
    assert (folder / "LICENSE").read_text() == "the old one"
    assert [path.name for path in folder.parent.iterdir()] == ["ESC-50"]


def test_what_a_call_left_that_was_killed_after_its_last_step_goes(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    (folder.parent / ".ESC-50.download" / "replaced" / "audio").mkdir(parents=True)
    (folder.parent / ".ESC-50.download" / "archive.zip.part").write_bytes(b"PK")
    a_lock(folder, f"{a_dead_process()}@{socket.gethostname()}")
    assert download(folder, source="http://127.0.0.1:9/never-asked.zip").complete
    assert_whole(folder)


def test_leftovers_of_a_call_that_lives_are_let_be(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    part = folder.parent / ".ESC-50.download" / "archive.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"PK")
    a_lock(folder, f"{os.getppid()}@{socket.gethostname()}")
    assert download(folder, source=archive).complete
    assert part.exists()


def test_traces_of_killed_calls_are_put_right(archive: Path, folder: Path) -> None:
    download(folder, source=archive)
    work = folder.parent / ".ESC-50.download"
    (work / "unpacked" / "audio").mkdir(parents=True)
    folder.rename(work / "replaced")  # killed between the two renames of --force
    assert download(folder, source="http://127.0.0.1:9/never-asked.zip").complete
    assert_whole(folder)
    (work / "unpacked" / "audio").mkdir(parents=True)  # killed while extracting
    (work / "unpacked" / "audio" / "9-9-Z-9.wav").write_bytes(b"half")
    (work / "replaced" / "audio").mkdir(parents=True)  # killed while the old folder was being deleted
    assert download(folder, source=archive, force=True).complete
    assert_whole(folder)


def test_full_disk(archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        download(folder, source=archive)
    assert caught.value.exit_code == 7
    assert_nothing_left(folder)  # nothing that would keep the disk full


def test_full_disk_while_fetching_is_not_taken_for_a_network_failure(
    server: ArchiveServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(step: Progress) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        download(folder, source=server.url, on_progress=full)
    assert len(server.asked) == 1


# Two at once


def a_dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid  # and wait for its end


def a_lock(folder: Path, owner: str) -> Path:
    lock = folder.parent / ".ESC-50.lock"
    lock.mkdir(parents=True)
    (lock / owner).touch()
    return lock


def test_second_download_of_the_same_folder_is_refused(archive: Path, folder: Path) -> None:
    refused: list[DatasetError] = []

    def second(step: Progress) -> None:
        with pytest.raises(DatasetError) as caught:
            download(folder, source=archive)
        refused.append(caught.value)

    assert download(folder, source=archive, on_progress=second).complete
    assert f"{os.getpid()}@{socket.gethostname()}" in refused[0].message
    assert ".ESC-50.lock" in (refused[0].hint or "")
    assert_whole(folder)


def test_lock_of_a_living_process_and_of_another_machine_hold(archive: Path, folder: Path) -> None:
    for owner in (f"{os.getppid()}@{socket.gethostname()}", f"{a_dead_process()}@elsewhere"):
        lock = a_lock(folder, owner)
        with pytest.raises(DatasetError, match=owner) as caught:
            download(folder, source=archive)
        assert str(lock) in (caught.value.hint or "")
        assert list(folder.parent.iterdir()) == [lock]
        (lock / owner).unlink()
        lock.rmdir()


def test_lock_of_a_dead_process_is_taken_over(archive: Path, folder: Path) -> None:
    a_lock(folder, f"{a_dead_process()}@{socket.gethostname()}")
    assert download(folder, source=archive).complete
    assert_whole(folder)


def test_lock_that_its_owner_died_before_taking_is_removed(archive: Path, folder: Path) -> None:
    for owner in (f"{a_dead_process()}@{socket.gethostname()}", f"{os.getppid()}@{socket.gethostname()}"):
        (folder.parent / f".ESC-50.lock.{owner}.x1_y2").mkdir(parents=True)
    assert download(folder, source=archive).complete
    alive = f".ESC-50.lock.{os.getppid()}@{socket.gethostname()}.x1_y2"
    assert {path.name for path in folder.parent.iterdir()} == {"ESC-50", alive}


def test_lock_is_given_back_after_a_failure(archive: Path, folder: Path) -> None:
    with pytest.raises(DatasetError):
        install(b"no zip", folder)
    assert download(folder, source=archive).complete


# All of it at random


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the rounds are forked")
def test_however_it_ends_the_data_set_is_whole_or_as_it_was() -> None:
    """A short `make chaos`: drops, bad servers, kill -9, signals, a full disk, two at once, in real processes."""
    script = Path(__file__).with_name("chaos_download.py")
    rounds = {**os.environ, "COUNT": "2", "SEED": "50"}
    done = subprocess.run([sys.executable, script], env=rounds, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 rounds, 0 of them unexpected" in done.stdout


# The real thing


@pytest.mark.real
@pytest.mark.skipif("ESCNN_TEST_DATA" not in os.environ, reason="ESCNN_TEST_DATA names no data set")
def test_real_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = check(Path(os.environ["ESCNN_TEST_DATA"]))
    assert found.clips > 0
    assert found.missing == ()
    assert found.clips + sum(found.missing_by_fold.values()) == 2000
    assert found.complete == (found.clips == 2000)
