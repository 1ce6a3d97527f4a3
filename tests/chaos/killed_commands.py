"""Commands that are killed at every write: what they begin with, how they go on, and what must come of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import soundfile
from chaos.rounds import Prepare, UnexpectedError, fork
from conftest import SMALL_TRAINING, tone

LONGEST_SECONDS = 120  # of a fork; beyond that it hangs


def forked(root: Path, arguments: list[str], prepare: Prepare = lambda: None) -> int:
    """Run a command in a fork of this process, in the folder `root`: its exit code, or minus the signal it died of."""
    log = root.parent / "log"

    def begin() -> None:
        os.chdir(root)
        os.environ["ESCNN_CACHE"] = str(root / "cache")
        prepare()

    code = os.waitstatus_to_exitcode(os.waitpid(fork(arguments, log, LONGEST_SECONDS, begin), 0)[1])
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


class Detections(Predictions):
    """`escnn detect --resume` of a recording of several blocks, one that is damaged, and a short one."""

    name = "detect --resume"
    arguments = (
        *("detect", "sounds", "--model", "model.safetensors", "--min-score", "0.36", "--merge-seconds", "0"),
        *("--out", "out.jsonl", "--resume"),
    )

    def prepare(self, root: Path) -> None:
        from escnn.detection.output import journal

        journal.NOTE_EVERY_SECONDS = 0.0
        (root / "sounds").mkdir()
        rng = np.random.default_rng(0)
        long = 0.01 * rng.standard_normal(180 * 8_000).astype(np.float32)
        for start in range(3, 177, 7):
            hz, seconds = rng.uniform(200, 3_500), rng.uniform(0.5, 3)
            burst = tone(hz, seconds, 8_000)
            long[start * 8_000 : start * 8_000 + len(burst)] += burst
        soundfile.write(root / "sounds" / "a.wav", long, 8_000)
        (root / "sounds" / "b.wav").write_bytes(b"no sound")
        soundfile.write(root / "sounds" / "c.wav", long[: 20 * 8_000], 8_000)
        shutil.copy(self.model, root / "model.safetensors")

    def result(self, root: Path) -> object:
        lines = (root / "out.jsonl").read_text()
        if lines.count("\n") < 15:
            raise UnexpectedError(f"too few events to show anything: {lines[:500]}")
        return lines


class DetectionTable(Detections):
    """`escnn detect --format csv --resume`, whose table is made of a journal when all is done."""

    name = "detect --format csv"
    arguments = (*Detections.arguments[:-2], "out.csv", "--format", "csv", "--resume")

    def check_killed(self, root: Path, whole: object) -> None:
        if (root / "out.csv").exists() and self.result(root) != whole:
            raise UnexpectedError("half a table has the final name")

    def go_on(self, root: Path) -> str:
        if (root / "out.csv").exists() and not any(path.name.endswith(".journal") for path in root.iterdir()):
            code = forked(root, list(self.arguments))
            if code != 7:
                raise UnexpectedError(f"a whole table was not left alone: exit code {code}, {last_words(root)}")
            return "was whole"
        return super().go_on(root)

    def result(self, root: Path) -> object:
        return (root / "out.csv").read_text()


class DetectionClips(Detections):
    """`escnn detect --clips --resume`: clips, and the table that leads back."""

    name = "detect --clips"
    arguments = (*Detections.arguments, "--clips", "clips")

    def check_killed(self, root: Path, whole: object) -> None:
        lines, clips = whole  # type: ignore[misc]
        super().check_killed(root, lines)
        for path in (root / "clips").glob("[!.]*.flac"):
            if path.read_bytes() != clips[path.name]:
                raise UnexpectedError(f"{path.name} is not that of the whole run")

    def result(self, root: Path) -> object:
        clips = {path.name: path.read_bytes() for path in sorted((root / "clips").iterdir())}
        return super().result(root), clips


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
