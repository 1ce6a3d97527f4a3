"""What can go wrong with a download goes wrong, at random: however it ends, the data set is whole or as it was before.

    COUNT=100 SEED=1 python tests/chaos/download.py

COUNT is the number of rounds of every kind. In each round a process of its own runs `escnn download` and is disturbed.
Then the folder must hold what it held before, or all of the new data set, with the right exit code; and the command,
run once more without a disturbance, must end well and leave nothing beside the folder. The rounds of a kind that ended
alike are a line of the table. What should not be is printed with the seed that brings it back; the exit code is then 1.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # of tests/, whose helpers it shares
import archive_server as manners
from archive_server import Answer, ArchiveServer, Request
from small_archive import TOP, a_metadata, a_wav, a_zip, members

from escnn.cli import app
from escnn.data import esc50, http

CLIPS = tuple(f"{fold}-{number}-A-{fold * 9}.wav" for fold in range(1, 6) for number in range(100, 116))
CONTENT = members(CLIPS, a_metadata(CLIPS))
ARCHIVE = a_zip(CONTENT)
NEW = {
    name.removeprefix(f"{TOP}/"): data
    for name, data in CONTENT.items()
    if "/.git" not in name and "/tests/" not in name
}
OLD = {**NEW, "LICENSE": b"the old one"}
OFFICIAL_SHA256 = hashlib.sha256(a_metadata(CLIPS)).hexdigest()
LONGEST_SECONDS = 60  # of a child; beyond that it hangs

Prepare = Callable[[], object]


class UnexpectedError(Exception):
    """An outcome that must not be."""


@dataclass
class Round:
    """One round: a folder of its own, and random numbers that depend on the seed, the kind and the number alone."""

    luck: random.Random
    root: Path
    said: list[str] = field(default_factory=list)  # stderr of every child, for the report of what should not be

    @property
    def folder(self) -> Path:
        return self.root / "data" / "ESC-50"

    @property
    def archive(self) -> Path:
        return self.root / "archive.zip"

    def start(self, *arguments: str | Path, prepare: Prepare = lambda: None) -> int:
        """Fork a process that runs ``escnn download``, after `prepare`. A fork starts at once: all is imported."""
        log = self.root.parent / f"stderr-{len(self.said)}"
        self.said.append("")
        child = os.fork()
        if child:
            return child
        code = 99
        try:
            signal.alarm(LONGEST_SECONDS)
            output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.argv = ["escnn", "download", "--data", str(self.folder), *map(str, arguments)]
            prepare()
            app.main()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(BaseException):
                sys.stderr.flush()
            os._exit(code)

    def end(self, child: int) -> int:
        """Wait for a child: its exit code, or minus the signal that ended it."""
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        logs = [self.root.parent / f"stderr-{number}" for number in range(len(self.said))]
        self.said = [log.read_text(errors="replace") if log.exists() else "" for log in logs]
        if code == -signal.SIGALRM:
            raise UnexpectedError(f"still runs after {LONGEST_SECONDS} s")
        if code == 99 or any("Traceback" in text or "bug in escnn" in text for text in self.said):
            raise UnexpectedError("a traceback")
        return code

    def run(self, *arguments: str | Path, prepare: Prepare = lambda: None) -> int:
        return self.end(self.start(*arguments, prepare=prepare))

    def put_old(self) -> None:
        for name, data in OLD.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(data)

    def state(self) -> str:
        """What is at the folder's name: "nothing", "old" or "new", byte for byte; anything else must not be."""
        if not self.folder.exists():
            kept = self.folder.with_name(f".{self.folder.name}.download") / "replaced"
            return "old, set aside" if kept.exists() and files_below(kept) == OLD else "nothing"
        there = files_below(self.folder)
        if there not in (OLD, NEW):
            wrong = sorted(name for name in {*there, *NEW} if there.get(name) != NEW.get(name))
            raise UnexpectedError(f"half a data set: {len(there)} files, wrong or missing {wrong[:3]}")
        return "new" if there == NEW else "old"

    def assert_nothing_beside(self) -> None:
        if strangers := sorted(path.name for path in self.folder.parent.iterdir() if path != self.folder):
            raise UnexpectedError(f"left beside the data set: {strangers}")


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}


def outcome(this: Round, before: str, code: int, *, right: dict[str, set[int]], again: tuple[str | Path, ...]) -> str:
    """Judge how a disturbed run ended, run it `again` undisturbed, and say both in a few words.

    `right` has the exit codes that go with a complete data set ("new") and with what was there before ("before").
    """
    after = this.state()
    put_off = before == "old" and after == "old, set aside" and code == -signal.SIGKILL
    if after not in (before, "new") and not put_off:
        raise UnexpectedError(f"{before} became {after} with exit code {code}")
    kind = "new" if after == "new" else "before"
    if code not in right[kind]:
        raise UnexpectedError(f"exit code {code}, the data set is {after}")
    second = this.run(*again)
    if second != 0 or this.state() not in ("new", "old" if before == "old" else "new"):
        raise UnexpectedError(f"after {after} (exit code {code}), run again: {this.state()}, exit code {second}")
    this.assert_nothing_beside()
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{'complete' if after == 'new' else 'as before' if after == before else after}, {how}"


# Servers. Each runs in a process of its own: forking a process that has threads is asking for trouble.


@contextmanager
def served(answers: list[Answer]) -> Iterator[str]:
    server = ArchiveServer()
    server.body, server.answers = ARCHIVE, answers
    child = os.fork()
    if not child:
        try:
            signal.alarm(2 * LONGEST_SECONDS)
            sys.stderr = io.StringIO()  # socketserver prints a traceback where a client hangs up
            server.serve_forever(poll_interval=1)
        finally:
            os._exit(0)
    server.socket.close()
    try:
        yield server.url
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def cut_at(place: int) -> Answer:
    """Good manners up to byte `place` of the archive, then nothing."""
    return lambda request: manners.good(cut_after=max(0, place - request.first_byte()))(request)


def cut_in_the_headers(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")


def reset_after(length: int) -> Answer:
    """The connection is torn down, not closed: what was under way is lost."""

    def answer(request: Request) -> None:
        manners.good(cut_after=length)(request)
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def with_span(span: str, *, etag: bool) -> Answer:
    """206 with a Content-Range that has nothing to do with what was asked for or what follows."""

    def answer(request: Request) -> None:
        tag = {"ETag": request.server.etag} if etag else {}
        request.say(206, {**tag, "Content-Range": span}, request.server.body[request.first_byte() :])

    return answer


def of_another_file(body: bytes, etag: str | None, inner: Answer) -> Answer:
    """Another file at the same address, for one answer."""

    def answer(request: Request) -> None:
        server = request.server
        own = server.body, server.etag
        server.body, server.etag = body, etag or server.etag
        inner(request)
        server.body, server.etag = own

    return answer


def a_bad_answer(luck: random.Random) -> Answer:
    size = len(ARCHIVE)
    place, other, length = luck.randrange(size), luck.randrange(2 * size), luck.randrange(1, size)
    another = of_another_file(
        luck.randbytes(other), luck.choice(('"other"', None)), luck.choice((manners.good(), cut_at(other // 2)))
    )
    return luck.choice(
        (
            cut_at(place),
            cut_in_the_headers,
            reset_after(place),
            manners.ignoring_ranges(),
            manners.ignoring_ranges(cut_after=place),
            manners.from_another_byte(),
            manners.in_pieces(length),
            manners.without_length(),
            manners.without_length(cut_after=place),
            manners.status(luck.choice((500, 503, 429, 404, 403, 416, 304))),
            manners.status(
                302, Location=luck.choice(("file:///etc/passwd", "http://127.0.0.1:9/", "ftp://127.0.0.1/"))
            ),
            with_span(f"bytes {place}-{place + length}/{size}", etag=luck.random() < 0.5),
            with_span(f"bytes {place}-{size - 1}/{other}", etag=luck.random() < 0.5),
            with_span(luck.choice(("bytes */*", "bytes 5-", "nonsense", "bytes 0-0/99999999999999999999")), etag=True),
            another,
        )
    )


# Kinds of disturbance. Each takes a round, disturbs one download, and says in a few words how it ended.


def dropped_twenty_times(this: Round) -> str:
    """The connection is closed at twenty places, in some cases before a single byte of the answer has come."""
    places = sorted(this.luck.sample(range(1, len(ARCHIVE)), 20))
    answers: list[Answer] = []
    for place in places:
        if this.luck.random() < 0.2:
            answers.append(cut_in_the_headers)
        answers.append(cut_at(place))
    with served(answers) as url:
        code = this.run("--from", url)
        return outcome(this, "nothing", code, right={"new": {0}, "before": set()}, again=("--from", url))


def bad_manners(this: Round) -> str:
    """One to six answers of a server that does everything wrong; after them it is a good one."""
    before = maybe_old(this)
    force = ("--force",) if before == "old" else ()
    with served([a_bad_answer(this.luck) for _ in range(this.luck.randint(1, 6))]) as url:
        code = this.run("--from", url, *force)
        left = this.folder.parent / ".ESC-50.download"
        if code == 5 and left.exists():
            raise UnexpectedError("what was refused is kept")
        right = {"new": {0}, "before": {5, 6}}
        with served([]) as good_url:
            return outcome(this, before, code, right=right, again=("--from", good_url, *force))


def killed_before_an_operation(this: Round) -> str:
    return ended_before_an_operation(this, signal.SIGKILL, -signal.SIGKILL)


def interrupted_before_an_operation(this: Round) -> str:
    return ended_before_an_operation(this, signal.SIGINT, 130)


def terminated_before_an_operation(this: Round) -> str:
    return ended_before_an_operation(this, signal.SIGTERM, 143)


def ended_before_an_operation(this: Round, number: signal.Signals, code_for_it: int) -> str:
    """A signal before one of the operations on files, any of them, whether fetching, extracting or putting in place."""
    before = maybe_old(this)
    force = ("--force",) if before == "old" else ()
    this.archive.write_bytes(ARCHIVE)
    with served([]) as url:
        source = ("--from", this.luck.choice((url, this.archive)))
        operations = rehearsal(this, *source, *force)
        # Nearly all of them write a clip. Half of the rounds aim at the few before and after.
        few = [place for place, kind in enumerate(operations) if kind == ord("-")]
        place = this.luck.choice((this.luck.choice(few), this.luck.randrange(len(operations))))
        code = this.run(*source, *force, prepare=lambda: signal_before(place, number))
        right = {"new": {0, code_for_it}, "before": {code_for_it}}
        again = this.luck.choice((force, ()))
        return outcome(this, before, code, right=right, again=(*source, *again))


def rehearsal(this: Round, *arguments: str | Path) -> bytes:
    """The operations on files of an undisturbed run of the same kind, in order: "c" for a clip, "-" for another."""
    kind = str(arguments[1]).partition(":")[0] == "http", "--force" in arguments
    if kind not in _rehearsed:
        with tempfile.TemporaryDirectory(prefix="escnn-chaos-") as scratch:
            aside, notes = Round(this.luck, Path(scratch) / "round"), Path(scratch) / "notes"
            if "--force" in arguments:
                aside.put_old()
            if aside.run(*arguments, prepare=lambda: note_operations(notes)) != 0:
                raise UnexpectedError("an undisturbed run failed")
            _rehearsed[kind] = notes.read_bytes()
    return _rehearsed[kind]


_rehearsed: dict[tuple[bool, bool], bytes] = {}


def note_operations(notes: Path) -> None:
    output = os.open(notes, os.O_CREAT | os.O_WRONLY, 0o600)
    sys.addaudithook(lambda event, arguments: event in OPERATIONS and os.write(output, kind_of(arguments)))


def signal_before(place: int, number: signal.Signals) -> None:
    """Have this process send itself a signal before its operation number `place`: Python announces each to a hook."""
    upcoming = iter(range(1_000_000))

    def heed(event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS and next(upcoming) == place:
            os.kill(os.getpid(), number)

    sys.addaudithook(heed)


OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.listdir", "shutil.rmtree"}


def kind_of(arguments: tuple[object, ...]) -> bytes:
    return b"c" if "/audio/" in str(arguments[:1]) else b"-"


def killed_while_extracting(this: Round) -> str:
    """kill -9 from outside, at a random moment from the first file of the extraction to a little after its last."""
    before = maybe_old(this)
    force = ("--force",) if before == "old" else ()
    this.archive.write_bytes(ARCHIVE)
    unpacked = this.folder.parent / ".ESC-50.download" / "unpacked" / "audio"
    child = this.start("--from", this.archive, *force)
    deadline = time.monotonic() + LONGEST_SECONDS
    while not unpacked.exists() and time.monotonic() < deadline and this.state() == before:
        time.sleep(0.0001)
    time.sleep(this.luck.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    code = this.end(child)
    right = {"new": {0, -signal.SIGKILL}, "before": {-signal.SIGKILL}}
    return outcome(this, before, code, right=right, again=("--from", this.archive, *this.luck.choice((force, ()))))


def full_disk(this: Round) -> str:
    """A file system of its own with too little room, or just enough. Without the right to mount: a limit on files."""
    data = this.folder.parent
    data.mkdir()
    this.archive.write_bytes(ARCHIVE)
    mounted = mount(data)
    before = maybe_old(this)
    force = ("--force",) if before == "old" else ()
    needed = len(ARCHIVE) + sum(len(content) + 4096 for content in NEW.values())
    room = this.luck.randrange(needed) // 4096 * 4096
    limit = this.luck.randrange(len(ARCHIVE))
    try:
        with served([]) as url:
            source = ("--from", this.luck.choice((url, this.archive)))
            if mounted:
                use = os.statvfs(data)
                mount(data, size=(use.f_blocks - use.f_bfree) * use.f_frsize + room)
            code = this.run(*source, *force, prepare=(lambda: None) if mounted else (lambda: limit_files(limit)))
            if code == 7 and (data / ".ESC-50.download" / "unpacked").exists():
                raise UnexpectedError("what was extracted still takes room on a disk that is full")
            if mounted:
                mount(data, size=64 << 20)
            right = {"new": {0}, "before": {7}}
            return outcome(this, before, code, right=right, again=(*source, *force))
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", data], check=True)


def mount(folder: Path, size: int | None = None) -> bool:
    """Mount a tmpfs on `folder`, or give the one that is there another size. Whether that is permitted."""
    options = f"size={64 << 20}" if size is None else f"remount,size={max(4096, size)}"
    if shutil.which("mount") is None:
        return False
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], stderr=subprocess.DEVNULL).returncode
        == 0
    )


def limit_files(size: int) -> None:
    """No file may become longer than `size` bytes: writing fails with EFBIG, as on a full disk it does with ENOSPC."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def at_once(this: Round) -> str:
    """Two or three processes download to one folder; in some rounds one of them is killed."""
    before = maybe_old(this)
    force = ("--force",) if before == "old" else ()
    with served([]) as url:
        children = []
        for _ in range(this.luck.choice((2, 2, 3))):
            children.append(this.start("--from", url, *force))
            time.sleep(this.luck.choice((0, 0, this.luck.uniform(0, 0.1))))
        if kill := this.luck.random() < 0.3:
            time.sleep(this.luck.uniform(0, 0.05))
            os.kill(children[0], signal.SIGKILL)
        codes = Counter(this.end(child) for child in children)
        this.state()
        if not kill and codes[0] == 0:
            raise UnexpectedError(f"none of them came through: {dict(codes)}")
        right = {"new": {0}, "before": {-signal.SIGKILL, 5}}
        if set(codes) - {0, 5, -signal.SIGKILL}:
            raise UnexpectedError(f"exit codes {dict(codes)}")
        code = 0 if codes[0] else -signal.SIGKILL
        if code and this.state() == "new":
            code = 0  # killed after its last step
        ended = outcome(this, before, code, right=right, again=("--from", url))
        return f"{ended}{'; others refused (5)' if codes[5] else ''}{'; one killed' if kill else ''}"


def damaged(this: Round) -> str:
    """Bytes broken or cut off anywhere in the archive."""
    before = maybe_old(this)
    force = ("--force",) if before == "old" else ()
    data = bytearray(a_zip(CONTENT, this.luck.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))))
    for _ in range(this.luck.choice((1, 1, 4))):
        data[this.luck.randrange(len(data))] ^= this.luck.randrange(1, 256)
    this.archive.write_bytes(data[: this.luck.choice((len(data), len(data), this.luck.randrange(len(data))))])
    code = this.run("--from", this.archive, *force)
    if code:
        this.assert_nothing_beside() if before == "old" else assert_empty(this.folder.parent)
    this.archive.write_bytes(ARCHIVE)
    return outcome(this, before, code, right={"new": {0}, "before": {5}}, again=("--from", this.archive, *force))


def hostile(this: Round) -> str:
    """Members that lead outside, are links, come twice, differ in case only, or inflate to more than there may be."""
    before = maybe_old(this)
    force = ("--force",) if before == "old" else ()
    luck = this.luck
    outside = this.root / "outside"
    outside.write_bytes(a_wav())
    names = (
        "../audio/1-1-A-0.wav", f"../{TOP}/audio/1-1-A-0.wav", f"{TOP}/audio/../../1-1-A-0.wav",
        f"{this.root}/audio/1-1-A-0.wav", f"{TOP}/audio/..\\..\\1-1-A-0.wav", f"{TOP}/audio/{CLIPS[0]}/../../x",
        f"{TOP}/Audio/{CLIPS[0]}", f"{TOP}/audio/{CLIPS[0].lower()}", f"{TOP}/META/esc50.csv", f"{TOP.lower()}/LICENSE",
        f"{TOP}/license", f"{TOP}/audio/{CLIPS[0]}", f"{TOP}/meta/esc50.csv", f"{TOP}/audio/con.wav", "\\\\host\\x",
        f"{TOP}/audio/1-1-A-0.wav:stream", f"{TOP}/audio/1-1-A-0.wav ", f"{TOP}/audio/1-1-A-0.wav\n", f"{TOP}/audio",
    )  # fmt: skip
    archive = io.BytesIO()
    # zipfile warns of names that come twice.
    with zipfile.ZipFile(archive, "w") as file, warnings.catch_warnings(action="ignore"):
        contents = (a_wav(), bytes(8_000_000), os.fsencode(outside))
        chosen = [(name, luck.choice(contents)) for name in luck.sample(names, 2)]
        content = [*CONTENT.items(), *chosen]
        luck.shuffle(content)
        for name, data in content:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if (name, data) in chosen and data == os.fsencode(outside):
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, data)
    this.archive.write_bytes(archive.getvalue())
    code = this.run("--from", this.archive, *force)
    if strangers := {path.name for path in this.root.iterdir()} - {"data", "archive.zip", "outside"}:
        raise UnexpectedError(f"written outside: {strangers}")
    if code:
        this.assert_nothing_beside() if before == "old" else assert_empty(this.folder.parent)
    this.archive.write_bytes(ARCHIVE)
    return outcome(this, before, code, right={"new": {0}, "before": {5}}, again=("--from", this.archive, *force))


def maybe_old(this: Round) -> str:
    """In half of the rounds an older data set is there, which the download is to replace."""
    if this.luck.random() < 0.5:
        return "nothing"
    this.put_old()
    return "old"


def assert_empty(folder: Path) -> None:
    if folder.exists() and (left := [path.name for path in folder.iterdir()]):
        raise UnexpectedError(f"left behind: {left}")


KINDS: dict[str, Callable[[Round], str]] = {
    "connection dropped 20 times": dropped_twenty_times,
    "server in bad manners": bad_manners,
    "archive damaged": damaged,
    "archive made to do harm": hostile,
    "kill -9 before a file operation": killed_before_an_operation,
    "kill -9 while extracting": killed_while_extracting,
    "Ctrl-C before a file operation": interrupted_before_an_operation,
    "SIGTERM before a file operation": terminated_before_an_operation,
    "disk full": full_disk,
    "two or three at once": at_once,
}


def small_and_quick() -> None:
    """Settings that fit the small archive; children inherit them by the fork."""
    esc50.CLIPS_PER_FOLD = len(CLIPS) // 5
    esc50.METADATA_SHA256 = OFFICIAL_SHA256
    http.PIECE = 100
    http.FIRST_PAUSE = 0.0
    http.TIMEOUTS = (10.0, 10.0)


def import_all() -> None:
    """Run the command once in this process: what it imports on its way, children need not import each for itself."""
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        (Path(scratch) / "archive.zip").write_bytes(ARCHIVE)
        app.app(["download", "--data", f"{scratch}/data", "--from", f"{scratch}/archive.zip"], standalone_mode=False)


def main() -> int:
    count, seed = int(os.environ.get("COUNT", "20")), os.environ.get("SEED", "1")
    kinds = {name: kind for name, kind in KINDS.items() if os.environ.get("KIND", "") in name}
    small_and_quick()
    import_all()
    wrong = 0
    print(f"COUNT={count} SEED={seed}; an archive of {len(ARCHIVE):,} bytes with {len(CLIPS)} clips")
    for name, kind in kinds.items():
        ended, began = Counter[str](), time.monotonic()
        for number in range(count):
            with tempfile.TemporaryDirectory(prefix="escnn-chaos-") as scratch:
                this = Round(random.Random(f"{seed} {name} {number}"), Path(scratch) / "round")
                this.root.mkdir()
                try:
                    ended[kind(this)] += 1
                except UnexpectedError as problem:
                    wrong += 1
                    ended[f"UNEXPECTED: round {number}: {problem}"] += 1
                    print("\n".join(this.said), file=sys.stderr)
        print(f"\n{name} ({time.monotonic() - began:.1f} s)")
        for how, rounds in sorted(ended.items()):
            print(f"{rounds:6}  {how}", flush=True)
    print(f"\n{count * len(kinds)} rounds, {wrong} of them unexpected")
    return 1 if wrong else 0


def in_a_namespace_of_its_own() -> None:
    """Start again where this process may mount, and where what it mounts is gone with it; stay if that is refused."""
    command = ["unshare", "--map-root-user", "--mount"]
    if "ESCNN_CHAOS_INSIDE" in os.environ or shutil.which("unshare") is None:
        return
    if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.environ["ESCNN_CHAOS_INSIDE"] = "1"
        os.execvp(command[0], [*command, sys.executable, *sys.argv])


if __name__ == "__main__":
    in_a_namespace_of_its_own()
    sys.exit(main())
