"""The command line as a user meets it: streams, exit codes, formats, and what is said when something is wrong."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import soundfile
from conftest import ESCNN, SMALL_TRAINING, escnn, tone
from filelock import FileLock

from escnn import __version__, files
from escnn.config import to_json
from escnn.errors import Terminated

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "prediction.schema.json").read_text("utf-8"))
Writer = Callable[..., Path]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The small network's settings as a file for --config."""
    files.write_json(tmp_path / "settings.json", to_json(SMALL_TRAINING))
    return tmp_path / "settings.json"


def test_version_and_help() -> None:
    assert escnn("--version").stdout == f"escnn {__version__}\n"
    assert escnn("-h").exit_code == 0


@pytest.mark.parametrize("command", ["download", "train", "evaluate", "predict", "visualize"])
def test_help_starts_with_a_verb_and_ends_with_an_example(command: str) -> None:
    result = escnn(command, "--help")
    assert result.exit_code == 0
    assert f"Example: escnn {command}" in result.stdout.strip().splitlines()[-1]
    assert "--quiet" in result.stdout
    assert "--verbose" in result.stdout


def test_help_does_not_start_torch() -> None:
    code = (
        "import sys; sys.argv = ['escnn', '--help']\n"
        "from escnn.cli import main\n"
        "try: main()\n"
        "except SystemExit: sys.exit(10 + any(name in sys.modules for name in ('torch', 'pandas', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 10


def test_one_sound_is_one_json_object_on_stdout_and_nothing_else(model: Path, clip: Path) -> None:
    result = escnn("predict", clip)
    assert result.exit_code == 0
    assert result.stderr == ""
    document = json.loads(result.stdout)
    jsonschema.validate(document, SCHEMA)
    assert document["path"] == str(clip)
    assert result.stdout.count("\n") == 1


def test_what_a_c_library_prints_does_not_stand_among_the_results(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.caf"
    soundfile.write(path, tone(440, 0.5, 8_000), 8_000, format="CAF", subtype="ALAC_16")
    data = bytearray(path.read_bytes())
    sizes = data.find(b"pakt") + 12 + 24  # of the packets, behind the chunk's head and its counts
    data[sizes : sizes + 4] = b"\xff" * 4  # a number that never ends: libsndfile prints "Ooops!" on stdout
    path.write_bytes(data)
    result = subprocess.run([*ESCNN, "predict", str(path)], capture_output=True, text=True, check=False)
    assert "Ooops" in result.stderr, "this libsndfile does not print: make another file that it prints about"
    assert json.loads(result.stdout)["path"] == str(path)


def test_several_sounds_are_json_lines_with_failures_in_their_place(model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    result = escnn("predict", clip, tmp_path / "bad.wav", tmp_path / "gone.wav", clip)
    assert result.exit_code == 3
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    for document in documents:
        jsonschema.validate(document, SCHEMA)
    assert [document["status"] for document in documents] == ["ok", "error", "error", "ok"]
    assert documents[0]["predictions"] == documents[3]["predictions"]
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "gone.wav: no such file" in errors[1]


def test_a_sound_on_stdin_scores_as_its_file(model: Path, clip: Path) -> None:
    piped = json.loads(escnn("predict", "-", stdin=clip.read_bytes()).stdout)
    assert piped["path"] == "-"
    assert piped["predictions"] == json.loads(escnn("predict", clip).stdout)["predictions"]


def test_folders_and_lists_are_walked_in_order(model: Path, class_folders: Path, tmp_path: Path, clip: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{clip}\n")
    result = escnn("predict", class_folders / "low", "--files-from", tmp_path / "list.txt")
    paths = [json.loads(line)["path"] for line in result.stdout.splitlines()]
    assert paths == [*sorted(map(str, (class_folders / "low").iterdir())), str(clip)]


def test_csv_reads_back(model: Path, clip: Path, tmp_path: Path) -> None:
    result = escnn("predict", clip, tmp_path / "gone.wav", "--format", "csv", "--top-k", 2)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["path"], row["status"], row["rank"]) for row in rows] == [
        (str(clip), "ok", "1"),
        (str(clip), "ok", "2"),
        (str(tmp_path / "gone.wav"), "error", ""),
    ]
    assert float(rows[0]["score"]) >= float(rows[1]["score"])


def test_a_table_has_a_line_a_sound(model: Path, clip: Path) -> None:
    lines = escnn("predict", clip, clip, "--format", "table").stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].split()[0] == "sound"


def test_out_holds_what_stdout_would_and_is_not_overwritten(model: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    assert escnn("predict", clip, "--out", out).stdout == ""
    assert out.read_text() == escnn("predict", clip).stdout
    again = escnn("predict", clip, "--out", out)
    assert again.exit_code == 7
    assert "--force" in again.stderr
    assert escnn("predict", clip, "--out", out, "--force").exit_code == 0


def test_a_name_full_of_tricks_is_shown_and_runs_nothing(model: Path, clip: Path, tmp_path: Path) -> None:
    strange = tmp_path / os.fsdecode(b"[red]a\x1b[31m caf\xe9 \xf0\x9f\x90\x95.wav")
    shutil.copy(clip, strange)
    result = escnn("predict", strange, "--format", "table")
    assert result.exit_code == 0
    assert "[red]a\\x1b[31m" in result.stdout
    assert json.loads(escnn("predict", strange).stdout)["path"] == str(strange)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["predict"], 2),
        (["predict", "x.wav", "--format", "xml"], 2),
        (["predict", "x.wav", "--top-k", "0"], 2),
        (["predict", "x.wav", "--device", "toaster"], 2),
        (["predict", "x.wav", "--model", "gone.safetensors"], 4),
        (["predict", "x.wav", "--files-from", "gone.txt"], 2),
        (["train", "--data", "gone"], 5),
        (["train", "--epochs", "0"], 2),
        (["train", "--preset", "defualt"], 2),
        (["train", "--resume", "gone"], 2),
        (["train", "--resume", "gone", "--epochs", "3"], 2),
        (["train", "--config", "gone.json"], 2),
        (["train", "--preset", "default", "--config", "x.json"], 2),
        (["evaluate", "--data", "gone"], 5),
        (["evaluate", "--cross-validate", "gone"], 2),
        (["visualize", "gone.wav"], 3),
        (["download", "--check", "--data", "gone"], 5),
        (["download", "--from", "gone.zip", "--data", "new"], 5),
        (["predcit", "x.wav"], 2),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_its_exit_code(
    model: Path, arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = escnn(*arguments)
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_flag_gets_a_suggestion() -> None:
    assert "--epochs" in escnn("train", "--epoch", "3").stderr


def test_train_resume_evaluate_and_predict(class_folders: Path, settings: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = escnn("train", "--data", class_folders, "--config", settings, "--fold", 4, "--epochs", 3, "--out", run)
    assert trained.exit_code == 0, trained.stderr
    assert trained.stdout == ""
    assert "fold 4 held out (6)" in trained.stderr
    assert {path.name for path in run.iterdir()} == {
        "config.json", "run.json", "metrics.csv", "last.pt", "model.safetensors", "curves.png", "evaluation",
        "report.html",
    }  # fmt: skip
    assert "How it learnt" in (run / "report.html").read_text("utf-8")
    again = escnn("train", "--resume", run)
    assert again.exit_code == 0
    assert "finished already (3 epochs)" in again.stderr
    with FileLock(run / ".lock"):
        refused = escnn("train", "--resume", run)
    assert refused.exit_code == 2
    assert "another process is training in it" in refused.stderr
    (run / "model.safetensors").unlink()  # as if it had been stopped after its last epoch
    assert escnn("train", "--resume", run).exit_code == 0

    (run / "evaluation" / "evaluation.json").unlink()
    metrics = (run / "metrics.csv").read_text()
    for broken in (metrics.replace("loss", "lost"), metrics.replace("1,", "one,"), metrics + "4"):
        (run / "metrics.csv").write_text(broken)
        refused = escnn("train", "--resume", run)
        assert refused.exit_code == 2, refused.stderr
        assert "metrics.csv: not the table of a training" in refused.stderr
    (run / "metrics.csv").write_text(metrics)
    assert escnn("train", "--resume", run).exit_code == 0

    refused = escnn("evaluate", "--model", run, "--data", class_folders, "--fold", 4, "--out", run)
    assert refused.exit_code == 7
    gone = escnn("evaluate", "--model", "gone", "--data", class_folders, "--out", tmp_path / "nothing")
    assert gone.exit_code == 4
    assert not (tmp_path / "nothing").exists()
    evaluated = escnn("evaluate", "--model", run, "--data", class_folders, "--json", "--out", tmp_path / "evaluation")
    document = json.loads(evaluated.stdout)
    assert document["fold"] == 4
    written = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert document["accuracy"] == written["accuracy"]
    assert (tmp_path / "evaluation" / "confusion.png").stat().st_size > 1000
    seen = escnn(
        "evaluate",
        "--model",
        run,
        "--data",
        class_folders,
        "--fold",
        1,
        "--report",
        "--embed-audio",
        "--out",
        tmp_path / "page",
    )
    assert "has learnt from fold 1" in seen.stderr
    page = (tmp_path / "page" / "report.html").read_text("utf-8")
    assert "fold 1 was learnt from" in page
    assert page.count("data:audio/mpeg") == 6
    assert escnn("evaluate", "--model", run, "--data", class_folders, "--embed-audio").exit_code == 2
    assert escnn("predict", "--model", run, class_folders / "low" / "0.wav").exit_code == 0

    occupied = escnn("train", "--data", class_folders, "--config", settings, "--out", run)
    assert occupied.exit_code == 7


def test_cross_validation_trains_evaluates_and_goes_on(class_folders: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "cv"
    trained = escnn(
        "train", "--data", class_folders, "--config", settings, "--epochs", 1, "--cross-validate", "--out", out
    )
    assert trained.exit_code == 0, trained.stderr
    document = json.loads((out / "cross-validation.json").read_text())
    assert [row["fold"] for row in document["folds"]] == [1, 2, 3, 4, 5]
    assert not any(row["seen_in_training"] for row in document["folds"])
    evaluated = escnn("evaluate", "--cross-validate", out, "--data", class_folders, "--json")
    assert json.loads(evaluated.stdout) == document
    explored = escnn(
        "evaluate", "--cross-validate", out, "--data", class_folders, "--report", "--out", tmp_path / "page"
    )
    assert explored.exit_code == 0
    pages = [(folder / "report.html").read_text("utf-8") for folder in (out, tmp_path / "page")]
    assert all("folds 1 to 5" in page and "5 models, one a fold" in page for page in pages)
    shutil.rmtree(out / "fold3" / "evaluation")
    (out / "fold3" / "model.safetensors").unlink()
    shutil.rmtree(out / "fold2" / "evaluation")  # as if it had been stopped between training and evaluation
    assert escnn("train", "--resume", out).exit_code == 0
    assert json.loads((out / "cross-validation.json").read_text()) == document  # fold 3 came out the same
    assert (out / "fold2" / "evaluation" / "evaluation.json").is_file()


def test_a_fold_that_is_not_there_is_refused_before_a_folder_is_made(
    class_folders: Path, tmp_path: Path, settings: Path
) -> None:
    root = tmp_path / "two"
    for label in ("low", "high"):
        (root / label).mkdir(parents=True)
        for number in range(2):
            shutil.copy(class_folders / label / f"{number}.wav", root / label)
    result = escnn("train", "--data", root, "--config", settings, "--fold", 1, "--out", tmp_path / "run")
    assert result.exit_code == 5
    assert "fold 1 holds no clip" in result.stderr
    assert not (tmp_path / "run").exists()


def test_escnn_data_is_where_data_is_looked_for_but_a_resumed_run_keeps_its_own(
    class_folders: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCNN_DATA", str(class_folders))
    run = tmp_path / "run"
    assert escnn("train", "--config", settings, "--epochs", 1, "--out", run).exit_code == 0
    (run / "model.safetensors").unlink()
    monkeypatch.setenv("ESCNN_DATA", str(tmp_path / "elsewhere"))
    assert escnn("train", "--resume", run).exit_code == 0
    assert escnn("evaluate", "--model", run).exit_code == 5


def test_predict_goes_on_where_it_was_stopped(model: Path, class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    command = ["predict", class_folders / "low", tmp_path / "bad.wav", class_folders / "high", "--resume", "--out"]
    whole, stopped = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl"
    assert escnn(*command, whole).exit_code == 3
    lines = whole.read_bytes().splitlines(keepends=True)
    assert len(lines) == 21
    for kept in (0, 5, 11, 21):
        stopped.write_bytes(b"".join(lines[:kept]) + (lines[kept][:40] if kept < 21 else b""))
        again = escnn(*command, stopped)
        assert again.exit_code == 3  # one of them is bad, whenever it was read
        assert ("going on after" in again.stderr) == (kept > 0)
        names = [json.loads(line)["path"] for line in stopped.read_bytes().splitlines()]
        assert names == [json.loads(line)["path"] for line in lines]
    for refused in (["--format", "csv", "--out", tmp_path / "a"], [], ["--force", "--out", tmp_path / "a"]):
        assert escnn("predict", class_folders / "low", "--resume", *refused).exit_code == 2


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_thousand_files_a_tenth_of_them_damaged_survive_a_kill(model: Path, clip: Path, tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    whole = clip.read_bytes()
    for number in range(1_000):
        content = b"RIFF" + bytes(60) if number % 10 == 3 else whole
        (sounds / f"{number:04}.wav").write_bytes(content)
    out = tmp_path / "out.jsonl"
    command = [*ESCNN, "predict", str(sounds), "--resume", "--out", str(out), "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out.exists() and out.stat().st_size > 100_000) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    kept = out.read_bytes().count(b"\n")
    assert 0 < kept < 1_000
    again = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    assert again.returncode == 3
    assert len(again.stderr.splitlines()) <= 2_000  # what is wrong with each, and how to mend it
    documents = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert [Path(document["path"]).stem for document in documents] == [f"{number:04}" for number in range(1_000)]
    failed = [number for number, document in enumerate(documents) if document["status"] == "error"]
    assert failed == list(range(3, 1_000, 10))
    assert len({document["predictions"][0]["label"] for document in documents if document["status"] == "ok"}) == 1


def test_visualize_writes_pictures_and_a_page(model: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    result = escnn("visualize", clip, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out / 'report.html'}\n"
    assert {path.name for path in out.iterdir()} == {
        "waveform.png", "spectrogram.png", "evidence.png", "feature-maps", "prediction.json", "report.html",
    }  # fmt: skip
    assert (
        len(list((out / "feature-maps").glob("*.png"))) == len(list((out / "feature-maps" / "native").iterdir())) == 7
    )
    document = json.loads((out / "prediction.json").read_text())
    assert document == json.loads(escnn("predict", clip).stdout)
    refused = escnn("visualize", clip, "--out", out)
    assert refused.exit_code == 7
    assert "--force" in refused.stderr
    assert escnn("visualize", clip, "--out", out, "--force", "--layers", "conv1,layer2.block0.relu").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layers", "conv1,layr2"], "did you mean layer2"),
        (["--colormap", "virids"], "did you mean viridis"),
        (["--class", "hihg"], "did you mean high"),
    ],
)
def test_visualize_refuses_what_is_not_there_and_writes_nothing(
    model: Path, clip: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = escnn("visualize", clip, "--out", tmp_path / "report", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "report").exists()


def test_visualize_of_a_folder_writes_a_page_each_and_one_that_compares(
    model: Path, class_folders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    result = escnn("visualize", class_folders / "low", bad, "--layers", "conv1", "--class", "high", "--out", out)
    assert result.exit_code == 3
    assert result.stdout == f"{out / 'index.html'}\n"
    assert "bad.wav: not an audio file" in result.stderr
    index = (out / "index.html").read_text("utf-8")
    for number in range(10):
        assert f"./{number}/report.html" in index
        assert (out / str(number) / "report.html").is_file()
    assert "bad.wav" in index


def test_visualize_a_bad_file_is_one_line_and_no_folder(model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    result = escnn("visualize", tmp_path / "bad.wav", "--out", tmp_path / "report")
    assert result.exit_code == 3
    assert "bad.wav: not an audio file" in result.stderr
    assert not (tmp_path / "report").exists()


def test_quiet_leaves_results_and_trouble(model: Path, clip: Path, tmp_path: Path) -> None:
    quiet = escnn("predict", clip, tmp_path / "gone.wav", "-q")
    assert len(quiet.stdout.splitlines()) == 2
    assert "gone.wav" in quiet.stderr
    assert "sounds could not be read" not in quiet.stderr
    assert escnn("visualize", clip, "--out", tmp_path / "report", "-q").stderr == ""


def test_a_bug_is_one_line_and_a_traceback_with_v(model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("escnn.prediction.describe_model", broken)
    result = escnn("predict", clip)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ZeroDivisionError: by design\n  help: ")
    assert "Traceback" not in result.stderr
    assert "Traceback" in escnn("predict", clip, "-v").stderr
    assert "Traceback" in escnn("predict", "gone.wav", "--model", "gone", "-v").stderr


def test_a_torch_pair_that_does_not_go_together_is_one_line(model: Path, clip: Path) -> None:
    code = (
        "import sys, builtins; real = builtins.__import__\n"
        "def broken(name, *rest):\n"
        "    if name == 'torchaudio': raise RuntimeError('they were compiled with different CUDA versions')\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = broken\n"
        f"sys.argv = ['escnn', 'predict', {str(clip)!r}]\n"
        "from escnn.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_ends_quietly(model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{clip}\n" * 3_000)
    command = [*ESCNN, "predict", "--files-from", str(tmp_path / "list")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"{")
    process.stdout.close()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_stdout_is_said(model: Path, clip: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run([*ESCNN, "predict", str(clip)], stdout=full, stderr=subprocess.PIPE, check=False)
    assert process.returncode == 7
    assert process.stderr.decode().splitlines()[0] == "error: stdout: cannot be written (No space left on device)"


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_a_signal_ends_a_command_as_early_as_its_options_are_read(
    stop: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise stop

    monkeypatch.setattr("typer.core.TyperGroup.parse_args", interrupted)
    result = escnn("predict", "clip.wav")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "warning: interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_says_what_is_kept_and_goes_on(
    sent: signal.Signals, code: int, class_folders: Path, settings: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = [*ESCNN, "train", "--data", class_folders, "--config", settings, "--epochs", 5_000, "--out", run]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    deadline = time.monotonic() + 60
    while not (run / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"escnn train --resume {run}" in stderr.decode()
    assert "Traceback" not in stderr.decode()
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert not list(run.glob(".*.part"))


def test_every_kind_of_sound_gets_a_prediction(model: Path, write_sound: Writer) -> None:
    samples = tone(440, 0.5, 8_000)
    kinds = [
        write_sound("u8.wav", samples, subtype="PCM_U8"),
        write_sound("24.wav", samples, subtype="PCM_24"),
        write_sound("float.wav", samples, subtype="FLOAT"),
        write_sound("stereo.wav", np.stack([samples, samples], axis=1)),
        write_sound("192k.wav", tone(440, 0.5, 192_000), 192_000),
        write_sound("10ms.wav", tone(440, 0.01, 8_000)),
        write_sound("a.mp3", tone(440, 0.5, 44_100), 44_100),
        write_sound("a.ogg", tone(440, 0.5, 44_100), 44_100),
    ]
    result = escnn("predict", *kinds)
    assert result.exit_code == 0
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["ok"] * len(kinds)


@pytest.mark.real
def test_real_clips_in_a_pipeline(real_data: Path) -> None:
    clips = sorted((real_data / "audio").glob("*.wav"))[:: 1600 // 10][:10]
    piped = subprocess.run([*ESCNN, "predict", *map(str, clips)], capture_output=True, text=True, check=True)
    documents = [json.loads(line) for line in piped.stdout.splitlines()]
    assert [document["path"] for document in documents] == list(map(str, clips))
    for document in documents:
        jsonschema.validate(document, SCHEMA)


@pytest.mark.real
def test_real_clips_cut_short_keep_their_names(real_data: Path, tmp_path: Path) -> None:
    """A clip with its last second cut off keeps its name more often than not."""
    clips = sorted((real_data / "audio").glob("*.wav"))[:: 1600 // 16][:16]
    for clip in clips:
        samples, rate = soundfile.read(clip)
        soundfile.write(tmp_path / clip.name, samples[: 4 * rate], rate)
    whole, cut = (
        [json.loads(line)["predictions"][0]["label"] for line in escnn("predict", *paths).stdout.splitlines()]
        for paths in (clips, [tmp_path / clip.name for clip in clips])
    )
    assert sum(map(str.__eq__, whole, cut)) > len(clips) / 2
