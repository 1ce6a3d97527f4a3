"""Run folders: made, claimed by one process, opened again."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from conftest import SMALL_TRAINING

from escnn.errors import OutputError, UsageError
from escnn.runs import run as runs
from escnn.runs.run import EpochMetrics

VERSIONS = {"escnn": "1.2.3", "torch": "4.5.6"}


def test_a_run_can_be_reopened_from_its_folder_alone(tmp_path: Path) -> None:
    created = runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path, VERSIONS)
    folder, reopened = runs.reopen(tmp_path / "run")
    assert folder == tmp_path / "run"
    assert reopened == [created]


def test_without_a_name_runs_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (runs.create(None, SMALL_TRAINING, tmp_path, VERSIONS) for _ in range(2))
    assert (first.folder, second.folder) == (Path("runs/fold5-1"), Path("runs/fold5-2"))


def test_a_run_folder_is_never_taken_twice(tmp_path: Path) -> None:
    runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path, VERSIONS)
    with pytest.raises(OutputError, match="not empty"):
        runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path, VERSIONS)


def test_a_cross_validation_has_a_run_a_fold(tmp_path: Path) -> None:
    runs.create_cross_validation(tmp_path / "cv", SMALL_TRAINING, tmp_path, (1, 2, 4), VERSIONS)
    _, reopened = runs.reopen(tmp_path / "cv")
    assert [(run.folder.name, run.config.fold) for run in reopened] == [("fold1", 1), ("fold2", 2), ("fold4", 4)]


HOLDER = """
import sys, time
from pathlib import Path
from escnn.runs import run as runs
run = runs.reopen(Path(sys.argv[1]))[1][0]
with run.exclusive():
    (run.folder / ".last.pt.0.part").touch()
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_and_none_once_it_is_killed(tmp_path: Path) -> None:
    run = runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path, VERSIONS)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(run.folder)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(UsageError, match="another process is training in it"), run.exclusive():
                pass
            assert (run.folder / ".last.pt.0.part").exists()
        finally:
            other.kill()
    with run.exclusive(), pytest.raises(UsageError), run.exclusive():
        pass
    assert {path.name for path in run.folder.iterdir()} == {"config.json", "run.json"}


@pytest.mark.parametrize("what", ["missing", "empty", "not json", "no data", "wrong setting"])
def test_what_is_no_run_folder_is_one_clear_error(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "run"
    if what == "empty":
        folder.mkdir()
    elif what != "missing":
        runs.create(folder, SMALL_TRAINING, tmp_path, VERSIONS)
        if what == "not json":
            (folder / "config.json").write_text("{")
        elif what == "wrong setting":
            (folder / "config.json").write_text('{"epochs": -1}')
        else:
            (folder / "run.json").write_text("{}")
    with pytest.raises(UsageError) as caught:
        runs.reopen(folder)
    assert caught.value.exit_code == 2


def test_a_status_says_how_it_stands_and_keeps_what_was_known(tmp_path: Path) -> None:
    run = runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path, VERSIONS)
    assert run.status == "created"
    run.write_status("running", versions=VERSIONS, epochs_done=0, device="cpu")
    run.write_status("failed", versions=VERSIONS, epochs_done=3, error="no space")
    assert (run.status, status(run)["error"]) == ("failed", "no space")
    elsewhere = replace(run, data=tmp_path / "moved")
    elsewhere.write_status("complete", versions={"torch": "7"})
    found = status(run)
    assert found.pop("updated") > "2026"
    assert found == {
        "status": "complete",
        "data": str(tmp_path / "moved"),
        "epochs": 6,
        "seed": 0,
        "epochs_done": 3,
        "device": "cpu",
        "versions": {"torch": "7"},
    }


def status(run: runs.Run) -> dict[str, object]:
    return json.loads((run.folder / "run.json").read_text())


def test_the_history_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path, VERSIONS)
    history = [
        EpochMetrics(1, 2.5, 0.1, None, None, 1e-3, 1.5, 3.0, 100.25),
        EpochMetrics(2, 1 / 3, 0.2, 0.5, 1.0, 4e-8, 1.25, 2.0, 99.0),
    ]
    run.write_history(history)
    table = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert table[0] == (
        "epoch,loss,train_accuracy,validation_accuracy,held_out_accuracy,learning_rate,seconds,cpu_seconds,"
        "clips_per_second"
    )
    assert table[1] == "1,2.5,0.1,,,0.001,1.5,3.0,100.25"
    assert run.history() == history


@pytest.mark.parametrize(
    ("was", "now"), [("loss", "lost"), ("\n1,", "\none,"), ("100.25\n", "100.25\n4"), (None, None)]
)
def test_what_is_no_table_of_a_training_is_one_clear_error(tmp_path: Path, was: str | None, now: str) -> None:
    run = runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path, VERSIONS)
    if was is not None:
        run.write_history([EpochMetrics(1, 2.5, 0.1, None, None, 1e-3, 1.5, 3.0, 100.25)])
        table = tmp_path / "run" / "metrics.csv"
        assert was in table.read_text()
        table.write_text(table.read_text().replace(was, now))
    with pytest.raises(UsageError, match="not the table of a training"):
        run.history()


def test_a_cross_validation_that_cannot_be_leaves_no_folder(tmp_path: Path) -> None:
    config = msgspec.structs.replace(SMALL_TRAINING, validation_fold=4)
    with pytest.raises(UsageError, match="validation_fold 4"):
        runs.create_cross_validation(tmp_path / "cv", config, tmp_path, (1, 2, 3, 4), VERSIONS)
    assert not (tmp_path / "cv").exists()


def test_a_finished_run_of_0_1_0_is_read() -> None:
    folder, (run,) = runs.reopen(Path(__file__).parents[1] / "data" / "run-0.1.0")
    assert run == runs.Run(folder, run.config, Path("/home/user/sounds"))
    assert run.trained
    assert run.evaluated
    assert (run.config.epochs, run.config.model.widths, run.config.augment.mix_probability) == (8, (4, 8), 0.5)
    history = run.history()
    assert [row.epoch for row in history] == list(range(1, 9))
    assert [row.validation_accuracy for row in history] == [None] * 8
    first = (folder / "metrics.csv").read_text().splitlines()[1].split(",")
    assert history[0].loss == float(first[1])
    assert history[-1].held_out_accuracy == pytest.approx(5 / 6)
