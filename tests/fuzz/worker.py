"""The child: reads one file after another under limits, and says what came of each.

Takes a line of JSON a file, `[reader, path, CPU seconds]`, gives one back, `[outcome, trouble]`. It must never end.
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fuzz.stock import Stock

MEMORY = 2 << 30  # bytes of address space beyond what the imports take
PATIENCE_SECONDS = 600.0  # a file, by the clock: the machine may be busy
RATE = 44_100  # Hz
LOUDEST = 1e10  # as escnn.audio.decoding promises
SOUND_CODES = {"not_audio", "damaged", "empty", "silent", "sample_rate", "channels", "too_long"}


def read_sound(path: Path) -> str:
    """Read a sound in the three ways escnn does; they must agree."""
    from escnn.audio import decoding
    from escnn.audio.windows import cut_windows
    from escnn.errors import AudioError

    def whole(source: Path | bytes) -> tuple[str, int]:
        loaded = decoding.load_audio(source, name="a sound")
        _check_samples(loaded.samples)
        assert decoding.LOWEST_RATE <= loaded.sample_rate <= decoding.HIGHEST_RATE
        assert 0 < loaded.seconds <= decoding.LONGEST_WAVEFORM_SECONDS
        assert all(warning and "\n" not in warning for warning in loaded.warnings)
        return f"waveform{', warned' * bool(loaded.warnings)}", len(loaded.samples)

    def streamed(source: Path) -> tuple[str, int]:
        length = 5 * RATE
        with decoding.open_sound(source, "a sound") as reader:
            for window in cut_windows(reader.blocks(RATE), length):
                _check_samples(window)
                assert len(window) == length
            assert 0 < reader.seconds <= decoding.LONGEST_SECONDS
            return f"waveform{', warned' * bool(reader.warnings)}", round(reader.seconds * reader.info.sample_rate)

    def outcome(read: Callable[[], tuple[str, int]]) -> tuple[str, int]:
        try:
            return read()
        except AudioError as error:
            _check_message(error)
            assert error.code in SOUND_CODES, error.code
            return f"{type(error).__name__} {error.code}", 0

    first = outcome(lambda: whole(path))
    assert outcome(lambda: whole(path.read_bytes())) == first, "a path and its bytes are two sounds"
    if first[0] != "AudioError too_long":
        assert outcome(lambda: streamed(path)) == first, "a stream and a waveform are two sounds"
    return first[0]


def read_model(path: Path) -> str:
    """Load a model file and let the model name something."""
    from escnn.errors import ModelError, is_plain
    from escnn.inference.classifier import Classifier
    from escnn.model.model_file import read_model

    model = read_model(path)
    assert all(map(is_plain, (model.card.name, *model.card.labels)))
    assert all(np.isfinite(array).all() for array in model.weights.values())
    classifier, config = Classifier.load(path, device="cpu"), model.card.audio
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, config.window_samples).astype(np.float32)
    try:
        prediction = classifier.predict((noise, config.sample_rate))
    except ModelError as error:
        _check_message(error)
        return "model without scores"
    assert prediction.scores.shape == (len(model.card.labels),)
    assert np.isfinite(prediction.scores).all(), "scores are no numbers"
    return "model"


def read_state(path: Path) -> str:
    """Load training state."""
    from escnn.training.state import load_state

    assert isinstance(load_state(path), dict)
    return "state"


def read_table(path: Path) -> str:
    """Open the data set whose table this is; all clips are there."""
    from escnn.data.sources import open_dataset
    from escnn.errors import is_plain

    root = Path("ESC-50")
    (root / "meta").mkdir(parents=True, exist_ok=True)
    (root / "audio").mkdir(exist_ok=True)
    for number in range(12):
        (root / "audio" / f"1-{number}-A-{number % 3}.wav").touch()
    (root / "meta" / "esc50.csv").write_bytes(path.read_bytes())
    dataset = open_dataset(root)
    assert all(map(is_plain, dataset.labels))
    assert all(clip.path.parent == root / "audio" for clip in dataset.clips)
    assert all(0 <= clip.class_id < len(dataset.labels) and 1 <= clip.fold <= 5 for clip in dataset.clips)
    return "data set"


def read_config(path: Path) -> str:
    """Read settings."""
    from escnn.runs.run import read_config
    from escnn.runs.settings import TrainConfig

    assert isinstance(read_config(path), TrainConfig)
    return "settings"


def run_command(path: Path) -> str:
    """Run one whole command, drawn from the seed and the number that the file holds."""
    from fuzz.commands import command_of
    from fuzz.judge import run_case

    seed, number = json.loads(path.read_text())
    root = Path(f"case-{number}").absolute()
    here = Path.cwd()
    try:
        said, trouble = run_case(number, Random(f"{seed} {command_of(number)} {number}"), STOCK[0], root)
    finally:
        os.chdir(here)
    if trouble:
        raise CaseError(said, f"{trouble}\nits folder: {root}")
    shutil.rmtree(root)
    return said


class CaseError(Exception):
    """A case that ended as none may: how, and why that is wrong."""


def misbehave(path: Path) -> str:
    """Do what no reader may, as the file asks: to see that it would be noticed."""
    what = path.read_text()
    if what == "hang":
        while True:
            pass
    elif what == "crash":
        faulthandler._sigsegv()  # type: ignore[attr-defined]
    elif what == "memory":
        bytearray(2 * MEMORY)
    elif what == "stdout":
        print("a library's words")
    elif what == "code":
        Path("trapped").touch()
    elif what == "endless message":
        from escnn.errors import EscnnError

        raise EscnnError("x" * 10_000)
    return "no trouble"


READERS = {
    "sound": read_sound,
    "model": read_model,
    "state": read_state,
    "table": read_table,
    "config": read_config,
    "command": run_command,
    "misbehaviour": misbehave,
}
STOCK: list[Stock] = []  # made before the first command


def _check_samples(samples: np.ndarray) -> None:
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    # Not above twice what one sample may be: resampling overshoots. NaN is not below anything.
    assert (np.abs(samples) <= 2 * LOUDEST).all(), "samples that are no numbers, or too large for a spectrum"


def _check_message(error: Exception) -> None:
    message = getattr(error, "message", "")
    assert message and message.isprintable(), f"a message that is not one line of text: {message!r}"
    assert len(message) < 2_000, f"a message of {len(message)} characters"


def answer(reader: str, path: Path) -> tuple[str, str]:
    """What became of one file, and what was wrong with that ("" where nothing was)."""
    from escnn.errors import EscnnError

    try:
        outcome, trouble = READERS[reader](path), ""
    except EscnnError as error:
        outcome, trouble = type(error).__name__, ""
        try:
            _check_message(error)
        except AssertionError as wrong:
            trouble = str(wrong)
    except CaseError as wrong:
        outcome, trouble = wrong.args
    except BaseException as error:
        outcome, trouble = f"unexpected {type(error).__name__}", traceback.format_exc()
    if Path("trapped").exists():
        Path("trapped").unlink()
        return "unexpected code", f"{path}: code in the file was run"
    return outcome, trouble


def import_all(reader: str) -> None:
    """Import what a reader needs, so that neither its time nor its memory is counted as a file's."""
    import escnn.audio.decoding
    import escnn.data.sources
    import escnn.runs.run

    if reader == "model":
        from escnn.inference.classifier import Classifier

        Classifier.load(device="cpu").predict((np.random.default_rng(0).uniform(-0.5, 0.5, RATE), RATE))
    elif reader == "state":
        import torch

        import escnn.training.state  # noqa: F401

        torch.set_num_threads(1)
    elif reader == "command":
        import_commands()


def import_commands() -> None:
    """What whole commands import, and what they are given."""
    import torch

    import escnn.cli.app
    import escnn.report.sound.folder
    import escnn.training.pipeline  # noqa: F401
    from fuzz.stock import Stock

    torch.set_num_threads(1)
    Path("stock").mkdir(exist_ok=True)
    shutil.rmtree("stock")
    Path("stock").mkdir()
    os.environ["ESCNN_CACHE"] = str(Path("cache").absolute())
    for name in ("ESCNN_MODEL", "ESCNN_DATA"):
        os.environ.pop(name, None)
    STOCK.append(Stock(Path("stock").absolute()))


def limit_memory() -> None:
    """Cap this process's address space, where the system can."""
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        import resource

        now = int(statistics.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


def main() -> None:
    """Serve until there is no more input. Over time or out of bounds, the system's own signal ends the process."""
    warnings.simplefilter("ignore")  # of torch, about what it was asked to unpickle
    faulthandler.enable()
    for number in (signal.SIGPROF, signal.SIGALRM):
        faulthandler.register(number, chain=True)
    from escnn.cli.console import keep_stdout_for_results

    import_all(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")  # what anyone else writes to stdout must not end up among them
    noise = os.open("stdout", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    os.dup2(noise, 1)
    keep_stdout_for_results()  # as on the command line: from here on, C libraries print on stderr
    limit_memory()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        reader, path, cpu_seconds = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
        outcome, trouble = answer(reader, Path(path))
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.flush()
        if size := os.lseek(noise, 0, os.SEEK_END):
            words = os.pread(noise, 1_000, 0)
            outcome, trouble = "unexpected stdout", f"{size} bytes on stdout: {words!r}\n{trouble}"
            os.ftruncate(noise, 0)
        print(json.dumps((outcome, trouble)), file=answers, flush=True)


if __name__ == "__main__":
    main()
