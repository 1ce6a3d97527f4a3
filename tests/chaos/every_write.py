"""Kill a command at every single write, run it again, and compare with one that was never killed.

    python tests/chaos/every_write.py [NAME [PLACE]]      all, those whose name begins so, or one point of one

Each point is a fork of this process, killed before a change of a name (a file made, renamed, linked, removed, cut off)
or when half of the bytes of a write have gone out. Then: nothing half-written has a final name, and the command goes on
to the same result, bit for bit, and leaves nothing beside it. Exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import io
import json
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

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))  # of tests/, whose helpers it shares
from chaos.download import import_all, small_and_quick
from chaos.rounds import ARCHIVE, Round, UnexpectedError, outcome
from chaos.servers import served
from chaos.writes import count_writes, kill_at
from conftest import SMALL_AUDIO, SMALL_MODEL, SMALL_TRAINING, tone

LONGEST_SECONDS = 120
Prepare = Callable[[], object]


def forked(root: Path, arguments: list[str], prepare: Prepare = lambda: None) -> int:
    """Run a command in a fork of this process, in the folder `root`: its exit code, or minus the signal that ended it."""
    log = root.parent / "log"
    child = os.fork()
    if not child:
        code = 99
        try:
            signal.alarm(LONGEST_SECONDS)
            output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(root)
            os.environ["ESCNN_CACHE"] = str(root / "cache")
            sys.argv = ["escnn", *arguments]
            from escnn.cli.app import app

            prepare()
            app()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = log.read_text(errors="replace")
    if code in (99, 1, -signal.SIGALRM) or "Traceback" in said or "bug in escnn" in said:
        raise UnexpectedError(f"exit code {code}: {said[-2_000:]}")
    return code


def last_words(root: Path) -> str:
    return (root.parent / "log").read_text(errors="replace")[-300:]


def leftovers(root: Path) -> list[str]:
    """Hidden files, wherever they lie; the cache lets go of its own by and by."""
    return [str(path.relative_to(root)) for path in root.rglob(".*") if "cache" not in path.relative_to(root).parts]


class Predictions:
    """`escnn predict --resume` of a folder of twelve sounds, two of them damaged."""

    name = "predict --resume"
    arguments = ("predict", "sounds", "--model", "model.safetensors", "--out", "out.jsonl", "--resume")
    code = 3

    def __init__(self, model: Path) -> None:
        self.model = model

    def prepare(self, root: Path) -> None:
        (root / "sounds").mkdir()
        for number in range(12):
            soundfile.write(
                root / "sounds" / f"{number}.wav", tone(200 + 100 * number, 0.3 + 0.1 * number, 8_000), 8_000
            )
        for number in (4, 11):
            (root / "sounds" / f"{number}.wav").write_bytes(b"no sound")
        shutil.copy(self.model, root / "model.safetensors")

    def check_killed(self, root: Path, whole: object) -> None:
        """Lines of the whole file, and perhaps the beginning of one."""
        out = root / "out.jsonl"
        if out.exists() and not str(whole).startswith(out.read_text()):
            raise UnexpectedError("results that are not those of the whole file")

    def go_on(self, root: Path) -> str:
        code = forked(root, list(self.arguments))
        if code != self.code:
            raise UnexpectedError(f"run again: exit code {code}, {last_words(root)}")
        return "went on"

    def result(self, root: Path) -> object:
        return (root / "out.jsonl").read_text()


class WholeFile(Predictions):
    """`escnn predict --out`, whose file appears whole or not at all."""

    name = "predict --out"
    arguments = ("predict", "sounds", "--model", "model.safetensors", "--out", "out.csv", "--format", "csv", "--force")

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        (root / "out.csv").write_text("of last year")

    def check_killed(self, root: Path, whole: object) -> None:
        if self.result(root) not in (whole, "of last year"):
            raise UnexpectedError("half a file has the final name")

    def result(self, root: Path) -> object:
        return (root / "out.csv").read_text()


class CrossValidation:
    """`escnn train --cross-validate` of one epoch over a data set of two folds, and `--resume`."""

    name = "train --cross-validate"
    arguments = ("train", "--quiet", "--cross-validate", "--data", "data", "--config", "config.json", "--out", "run")
    code = 0

    def __init__(self, _model: Path) -> None:
        """It makes its own."""

    def prepare(self, root: Path) -> None:
        rows = ["filename,fold,target,category,esc10,src_file,take"]
        for folder in ("audio", "meta"):
            (root / "data" / folder).mkdir(parents=True)
        rng = np.random.default_rng(0)
        for number in range(8):
            name, target = f"{number % 2 + 1}-{number}-A-{number // 2 % 2}.wav", number // 2 % 2
            rows.append(f"{name},{number % 2 + 1},{target},{('low', 'high')[target]},False,{number},A")
            sound = tone((300, 3_000)[target] * rng.uniform(0.9, 1.1), 0.5, 8_000)
            soundfile.write(root / "data" / "audio" / name, sound, 8_000)
        (root / "data" / "meta" / "esc50.csv").write_text("\n".join([*rows, ""]))
        from escnn.config import to_json

        (root / "config.json").write_text(json.dumps({**to_json(SMALL_TRAINING), "epochs": 1, "batch_size": 2}))

    def check_killed(self, root: Path, whole: object) -> None:
        """What has a final name can be read: state, model, JSON."""
        from escnn.model.model_file import read_model
        from escnn.training.state import load_state

        for path in (root / "run").rglob("*"):
            if path.name.startswith("."):
                continue
            if path.name == "last.pt":
                load_state(path)
            elif path.name == "model.safetensors":
                read_model(path)
            elif path.suffix == ".json":
                json.loads(path.read_text())

    def go_on(self, root: Path) -> str:
        code = forked(root, ["train", "--quiet", "--resume", "run"])
        if code == 0:
            return "went on"
        words = last_words(root)
        if code != 2 or "not a run folder" not in words:
            raise UnexpectedError(f"--resume: exit code {code}, {words}")
        shutil.rmtree(root / "run", ignore_errors=True)  # killed before there was anything to go on with
        if code := forked(root, list(self.arguments)):
            raise UnexpectedError(f"run anew: exit code {code}, {last_words(root)}")
        return "began anew"

    def result(self, root: Path) -> object:
        from escnn.model.model_file import read_model

        run = root / "run"
        names = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
        weights = [
            {name: array.tobytes() for name, array in read_model(run / fold).weights.items()}
            for fold in ("fold1", "fold2")
        ]
        status = [json.loads((run / fold / "run.json").read_text())["status"] for fold in ("fold1", "fold2")]
        return names, weights, status, (run / "predictions.csv").read_text()


def at_every_write(what: Predictions | CrossValidation, places: range | None, scratch: Path) -> int:
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
    for place in places or range(len(points)):
        try:
            root = _fresh(what, scratch)
            code = forked(root, list(what.arguments), lambda root=root, place=place: kill_at(root, place))  # type: ignore[misc]
            if code not in (-signal.SIGKILL, what.code):
                raise UnexpectedError(f"exit code {code}")
            what.check_killed(root, whole)
            how = what.go_on(root) if code else "was not killed: it ended before"
            if what.result(root) != whole:
                raise UnexpectedError("another result than without a kill")
            if left := leftovers(root):
                raise UnexpectedError(f"left behind: {left}")
            ended[how] += 1
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


def downloads(name: str, places: range | None, scratch: Path) -> int:
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
    for place in places or range(len(points)):
        try:
            ended[run(lambda this, place=place: lambda: kill_at(this.root, place))] += 1  # type: ignore[misc]
        except UnexpectedError as problem:
            wrong += 1
            print(f"UNEXPECTED: {name!r} killed at {place} ({points[place]}): {problem}", flush=True)
    _tell(name, len(points), ended, wrong, began)
    return wrong


def make_model(path: Path) -> None:
    """A small model with random weights; and all is imported that forks would import each for itself."""
    import torch

    import escnn.inference.onnx_runtime
    import escnn.model.onnx_graph
    import escnn.training.pipeline  # noqa: F401
    from escnn.audio.log_mel import Normalization
    from escnn.model.model_file import ModelCard, ModelFile, write_model
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
    places = range(int(sys.argv[2]), int(sys.argv[2]) + 1) if len(sys.argv) > 2 else None
    commands = [what for what in (Predictions, WholeFile, CrossValidation) if what.name.startswith(wanted)]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="escnn-chaos-") as folder:
        scratch = Path(folder).resolve()
        if commands:
            make_model(scratch / "model.safetensors")
        for kind in commands:
            what = kind(scratch / "model.safetensors")
            warm_up(what, scratch)
            wrong += at_every_write(what, places, scratch)
        small_and_quick()
        import_all()
        for name in DOWNLOADS:
            if name.startswith(wanted):
                wrong += downloads(name, places, scratch)
    print(f"\n{wrong} unexpected")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
