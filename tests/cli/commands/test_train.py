"""`escnn train` and `escnn evaluate` as a user meets them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ESCNN, assert_ends, escnn
from filelock import FileLock


def test_train_resume_evaluate_and_predict(class_folders: Path, settings: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = escnn("train", "--data", class_folders, "--config", settings, "--fold", 4, "--epochs", 3, "--out", run)
    assert trained.exit_code == 0, trained.stderr
    assert trained.stdout == ""
    assert "test fold 4 (6 clips)" in trained.stderr
    assert {path.name for path in run.iterdir()} == {
        "config.json", "run.json", "metrics.csv", "last.pt", "model.safetensors", "curves.png", "evaluation",
        "report.html",
    }  # fmt: skip
    assert "Training" in (run / "report.html").read_text("utf-8")
    assert_ends(0, "finished already (3 epochs)", "train", "--resume", run)
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
    assert "was trained on fold 1" in seen.stderr
    page = (tmp_path / "page" / "report.html").read_text("utf-8")
    assert "trained on fold 1" in page
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
    assert_ends(
        5, "fold 1 holds no clip", "train", "--data", root, "--config", settings, "--fold", 1, "--out", tmp_path / "run"
    )
    assert not (tmp_path / "run").exists()


def test_a_table_with_ten_folds_is_tested_and_evaluated_on_any_of_them(
    class_folders: Path, settings: Path, tmp_path: Path
) -> None:
    rows = [f"{label}/{n}.wav,{label},{n + 1}" for label in ("low", "high") for n in range(10)]
    data = tmp_path / "data"
    shutil.copytree(class_folders, data)
    (data / "clips.csv").write_text("\n".join(["filename,label,fold", *rows, ""]))
    run = tmp_path / "run"
    trained = escnn("train", "--data", data, "--config", settings, "--epochs", 1, "--fold", 10, "--out", run)
    assert trained.exit_code == 0, trained.stderr
    assert "test fold 10 (2 clips)" in trained.stderr
    assert "fold 10: " in escnn("evaluate", "--model", run, "--data", data).stdout
    other = escnn("evaluate", "--model", run, "--data", data, "--fold", 6)
    assert "fold 6: " in other.stdout
    assert "trained on fold 6" in other.stderr
    assert "fold 11 holds no clip" in escnn("evaluate", "--model", run, "--data", data, "--fold", 11).stderr


def test_escnn_data_is_where_data_is_looked_for_but_a_resumed_run_keeps_its_own(
    class_folders: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCNN_DATA", str(class_folders))
    run = tmp_path / "run"
    assert escnn("train", "--config", settings, "--epochs", 1, "--out", run).exit_code == 0
    (run / "model.safetensors").unlink()
    monkeypatch.setenv("ESCNN_DATA", str(tmp_path / "elsewhere"))
    assert escnn("train", "--resume", run).exit_code == 0
    assert escnn("evaluate", "--model", run).exit_code == 0


def test_the_settings_of_a_run_repeat_it_on_its_own_data(
    class_folders: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCNN_DATA", str(tmp_path / "elsewhere"))
    first = escnn("train", "--data", class_folders, "--config", settings, "--epochs", 1, "--out", tmp_path / "first")
    assert first.exit_code == 0
    again = escnn("train", "--config", tmp_path / "first" / "config.json", "--out", tmp_path / "again")
    assert again.exit_code == 0
    assert json.loads((tmp_path / "again" / "run.json").read_text())["data"] == str(class_folders)
    alone = escnn("train", "--allow-other-versions", "--data", class_folders)
    assert (alone.exit_code, "add --resume" in alone.stderr) == (2, True)


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


def test_any_setting_can_be_changed_and_shown_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['escnn', 'train', '--preset', 'quick', '--seed', '7', '--set', 'augment.gain_db=6',\n"
        "'--set', 'model.widths=[8,16]', '--set', 'model.depths=[1,1]', '--set', 'optimizer=adamw', '--show-config']\n"
        "from escnn.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: sys.exit(10 + any(name in sys.modules for name in ('torch', 'pandas', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 10, done.stderr
    shown = json.loads(done.stdout)
    assert shown["preset"] == "quick"
    assert (shown["epochs"], shown["seed"], shown["optimizer"]) == (60, 7, "adamw")
    assert (shown["augment"]["gain_db"], shown["model"]["widths"]) == (6.0, [8, 16])
    (tmp_path / "settings.json").write_text(done.stdout)
    again = escnn("train", "--config", tmp_path / "settings.json", "--show-config")
    assert json.loads(again.stdout) == shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("augment.gain=6", "augment.gain_db"),
        ("gain_db=6", "augment.gain_db"),
        ("augment=6", "no such setting"),
        ("epochs", "no such setting"),
        ("epochs=none", "expected int"),
        ("augment.gain_db=100", "at most 40"),
        ("optimizer=sgd", "muon, adamw"),
        ("model.stem_kernel=4", "must be odd"),
    ],
)
def test_a_setting_that_cannot_be_is_named(change: str, said: str) -> None:
    refused = escnn("train", "--set", change, "--show-config")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr


def test_names_of_0_1_0_are_still_understood(model: Path, clip: Path) -> None:
    old = escnn("train", "--preset", "seed-resnet34", "--show-config")
    assert json.loads(old.stdout) == json.loads(escnn("train", "--preset", "baseline-resnet34", "--show-config").stdout)
    assert escnn("predict", clip, "--views", 2).stdout == escnn("predict", clip, "--tta", 2).stdout
    assert "--views" not in escnn("predict", "--help").stdout
