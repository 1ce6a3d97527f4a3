"""Kill a command at every single write, run it again, and compare with one that was never killed.

    python tests/chaos/every_write.py [NAME [FIRST [STEP]]]      all; those whose name begins so; some of their points

Each point is a fork of this process, killed before a change of a name (a file made, renamed, linked, removed, cut off)
or when half of the bytes of a write have gone out. Then: nothing half-written has a final name, and the command goes on
to the same result, bit for bit, and leaves nothing beside it. Exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # of tests/, whose helpers it shares
from chaos.download import import_all, small_and_quick
from chaos.killed_commands import (
    CrossValidation,
    DetectionClips,
    Detections,
    DetectionTable,
    Predictions,
    Prepare,
    WholeFile,
    forked,
    last_words,
    leftovers,
)
from chaos.rounds import ARCHIVE, Round, UnexpectedError, outcome
from chaos.servers import served
from chaos.writes import count_writes, kill_at
from conftest import SMALL_AUDIO, SMALL_MODEL


def at_every_write(what: Predictions | CrossValidation, places: slice, scratch: Path) -> int:
    """Kill a command at every point; gives the number of those after which something was not as it should be."""
    straight, began = _fresh(what, scratch), time.monotonic()
    notes = scratch / "notes"
    notes.unlink(missing_ok=True)
    if code := forked(straight, list(what.arguments), lambda: count_writes(straight, notes)) - what.code:
        raise UnexpectedError(f"never killed: exit code {code + what.code}, {last_words(straight)}")
    points, whole = notes.read_text().splitlines(), what.result(straight)
    if left := leftovers(straight):
        raise UnexpectedError(f"never killed: left {left}")
    ended, wrong = Counter[str](), 0
    for place in range(len(points))[places]:
        try:
            root = _fresh(what, scratch)
            code = forked(root, list(what.arguments), lambda root=root, place=place: kill_at(root, place))  # type: ignore[misc]
            if code not in (-signal.SIGKILL, what.code):
                raise UnexpectedError(f"exit code {code}")
            what.check_killed(root, whole)
            how = what.go_on(root) if code else "was not killed: it ended before"
            if left := leftovers(root):
                raise UnexpectedError(f"left behind: {left}")
            if what.result(root) != whole:
                raise UnexpectedError("another result than without a kill")
            ended[how] += 1
            if sys.stderr.isatty():
                print(f"\r{place} of {len(points)}", end="", file=sys.stderr)
        except UnexpectedError as problem:
            wrong += 1
            at = points[place] if place < len(points) else "?"
            print(f"UNEXPECTED: {what.name!r} killed at {place} ({at}): {problem}", flush=True)
        except Exception:
            wrong += 1
            print(f"UNEXPECTED: {what.name!r} killed at {place}: {traceback.format_exc()}", flush=True)
    _tell(what.name, len(points), ended, wrong, began)
    return wrong


def _fresh(what: Predictions | CrossValidation, scratch: Path) -> Path:
    """The same folder every time, as the results hold its name."""
    root = scratch / "round" / "root"
    shutil.rmtree(root.parent, ignore_errors=True)
    root.mkdir(parents=True)
    what.prepare(root)
    return root


def _tell(name: str, points: int, ended: Counter[str], wrong: int, began: float) -> None:
    print(f"\n{name}: {points} points, {wrong} unexpected ({time.monotonic() - began:.0f} s)")
    for how, count in sorted(ended.items()):
        print(f"{count:6}  {how}", flush=True)


def downloads(name: str, places: slice, scratch: Path) -> int:
    """`escnn download` from a server or a zip file, over nothing or, with --force, over an older data set."""
    from_server, before = "server" in name, "old" if "--force" in name else "nothing"
    force = ("--force",) if before == "old" else ()
    ended, wrong, began = Counter[str](), 0, time.monotonic()
    notes = scratch / "notes"
    notes.unlink(missing_ok=True)

    def run(prepare: Callable[[Round], Prepare]) -> str:
        shutil.rmtree(scratch / "round", ignore_errors=True)
        this = Round(random.Random(0), scratch / "round" / "root")
        this.root.mkdir(parents=True)
        if before == "old":
            this.put_old()
        this.archive.write_bytes(ARCHIVE)
        with served([]) as url:
            source = ("--from", url if from_server else this.archive, *force)
            code = this.run(*source, prepare=prepare(this))
            right = {"new": {0, -signal.SIGKILL}, "before": {-signal.SIGKILL}}
            return outcome(this, before, code, right=right, again=source)

    run(lambda this: lambda: count_writes(this.root, notes))
    points = notes.read_text().splitlines()
    for place in range(len(points))[places]:
        try:
            ended[run(lambda this, place=place: lambda: kill_at(this.root, place))] += 1  # type: ignore[misc]
        except UnexpectedError as problem:
            wrong += 1
            print(f"UNEXPECTED: {name!r} killed at {place} ({points[place]}): {problem}", flush=True)
    _tell(name, len(points), ended, wrong, began)
    return wrong


def make_model(path: Path) -> None:
    """A small model with random weights, whose scores make several events in a recording, as those of the tests' own
    do not; and all is imported that forks would import each for itself.
    """
    import torch

    import escnn.detection.detector
    import escnn.inference.onnx_runtime
    import escnn.model.onnx_graph
    import escnn.training.pipeline  # noqa: F401
    from escnn.audio.log_mel import Normalization
    from escnn.model.card import ModelCard
    from escnn.model.model_file import ModelFile, write_model
    from escnn.network.resnet import ResNet
    from escnn.network.runtime import network_weights

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    torch.set_num_threads(1)  # no thread may be there when this process is forked
    torch.manual_seed(0)
    card = ModelCard("small", ("low", "middle", "high"), SMALL_AUDIO, SMALL_MODEL, Normalization(-60.0, 25.0))
    write_model(path, ModelFile(card, network_weights(ResNet(SMALL_MODEL, 3))))


def warm_up(what: Predictions | CrossValidation, scratch: Path) -> None:
    """Run the command once in this process: what it imports on its way, forks need not import each for itself."""
    from escnn.cli.app import app

    root, here = _fresh(what, scratch), Path.cwd()
    os.environ["ESCNN_CACHE"] = str(root / "cache")
    os.chdir(root)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        app([*what.arguments], standalone_mode=False)
    os.chdir(here)


DOWNLOADS = (
    "download from a zip",
    "download from a server",
    "download from a zip --force",
    "download from a server --force",
)


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    first, step = [*map(int, sys.argv[2:]), *(0, 1)[len(sys.argv[2:]) :]]
    kinds = (Predictions, WholeFile, Detections, DetectionTable, DetectionClips, CrossValidation)
    commands = [what for what in kinds if what.name.startswith(wanted)]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="escnn-chaos-") as folder:
        scratch = Path(folder).resolve()
        if commands:
            make_model(scratch / "model.safetensors")
        for kind in commands:
            what = kind(scratch / "model.safetensors")
            warm_up(what, scratch)
            wrong += at_every_write(what, slice(first, None, step), scratch)
        small_and_quick()
        import_all()
        for name in DOWNLOADS:
            if name.startswith(wanted):
                wrong += downloads(name, slice(first, None, step), scratch)
    print(f"\n{wrong} unexpected")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
