"""What can go wrong with a download goes wrong, at random: however it ends, the data set is whole or as it was before.

    COUNT=100 SEED=1 python tests/chaos/download.py

COUNT is the number of rounds of every kind. In each round a process of its own runs `escnn download` and is disturbed.
Then the folder must hold what it held before, or all of the new data set, with the right exit code; and the command,
run once more without a disturbance, must end well and leave nothing beside the folder. The rounds of a kind that ended
alike are a line of the table. What should not be is printed with the seed that brings it back; the exit code is then 1.
"""

import hashlib
import io
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # of tests/, whose helpers it shares
from archive_server import Answer
from chaos.rounds import (
    ARCHIVE,
    CLIPS,
    CONTENT,
    LONGEST_SECONDS,
    NEW,
    Round,
    UnexpectedError,
    assert_empty,
    maybe_old,
    outcome,
)
from chaos.servers import a_bad_answer, cut_at, cut_in_the_headers, served
from chaos.signals import (
    interrupted_before_an_operation,
    killed_before_an_operation,
    terminated_before_an_operation,
)
from small_archive import TOP, a_metadata, a_wav, a_zip

from escnn.cli import app
from escnn.data import esc50, http

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
    esc50.METADATA_SHA256 = hashlib.sha256(a_metadata(CLIPS)).hexdigest()
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
