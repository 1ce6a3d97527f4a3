"""How runs end, by Ctrl-C, failures and kills, and how `resume` goes on with them."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SMALL_TRAINING, names, status

from escnn import files
from escnn.errors import DatasetError, ModelError, OutputError, UsageError
from escnn.model.model_file import read_model
from escnn.network.runtime import versions
from escnn.runs.run import EpochMetrics, Run
from escnn.training.pipeline import cross_validate, resume, train
from escnn.training.state import load_state, save_state

DATA = Path(__file__).parents[1] / "data"
RUN_0_1_0 = DATA / "run-0.1.0"
STOPPED_0_1_0 = DATA / "stopped-0.1.0.pt"  # its last.pt after 3 of 8 epochs


def stop_after(epochs: int, error: type[BaseException] = KeyboardInterrupt) -> Callable[[Run, EpochMetrics], None]:
    """For `on_epoch`: ends the training once so many epochs are done."""

    def on_epoch(run: Run, metrics: EpochMetrics) -> None:
        if metrics.epoch == epochs:
            raise error("enough")

    return on_epoch


def stopped(folder: Path, data: Path, epochs: int) -> Path:
    """A run that was interrupted after so many epochs."""
    with pytest.raises(KeyboardInterrupt):
        train(data, config=SMALL_TRAINING, out=folder, on_epoch=stop_after(epochs))
    return folder


def same_weights(first: Path, second: Path) -> bool:
    mine, other = (read_model(folder).weights for folder in (first, second))
    assert mine.keys() == other.keys()
    return all(np.array_equal(mine[name], other[name]) for name in mine)


def test_six_epochs_are_three_and_three_resumed_bit_for_bit(class_folders: Path, tmp_path: Path) -> None:
    straight = train(class_folders, config=SMALL_TRAINING, out=tmp_path / "straight").folder
    folder = stopped(tmp_path / "resumed", class_folders, 3)
    assert (status(folder)["status"], status(folder)["epochs_done"]) == ("interrupted", 3)
    torch.manual_seed(12345)  # whatever else the process has drawn meanwhile
    epochs: list[int] = []
    (run,) = resume(folder, on_epoch=lambda run, metrics: epochs.append(metrics.epoch))
    assert epochs == [1, 2, 3, 4, 5, 6]
    assert (run.status, status(folder)["epochs_done"]) == ("complete", 6)
    assert same_weights(straight, folder)
    columns = ["epoch", "loss", "train_accuracy", "held_out_accuracy", "learning_rate"]
    first, second = (pd.read_csv(path / "metrics.csv")[columns] for path in (straight, folder))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_a_run_begun_with_0_1_0_ends_with_the_weights_that_it_would_have_had(
    class_folders: Path, tmp_path: Path
) -> None:
    """The state is what 0.1.0 had written after 3 of 8 epochs, the model what it ended with."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(RUN_0_1_0 / "config.json", folder)
    shutil.copy(RUN_0_1_0 / "run.json", folder)
    state = load_state(STOPPED_0_1_0)
    here = {**versions(), "escnn": "0.1.0"}  # other versions of torch are refused, and may round otherwise
    save_state(folder / "last.pt", {**state, "versions": here})
    messages: list[str] = []
    resume(folder, class_folders, on_message=messages.append)
    assert any("bit for bit" in text and "log-mels of version 1 then" in text for text in messages)
    expected, found = (read_model(path).weights for path in (RUN_0_1_0, folder))
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-4, err_msg=name)
    tables = (pd.read_csv(path / "evaluation" / "predictions.csv") for path in (RUN_0_1_0, folder))
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-3)


def test_a_finished_run_is_left_alone(class_folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(class_folders, config=SMALL_TRAINING, out=folder, epochs=1)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    messages: list[str] = []
    resume(folder, on_message=messages.append)
    assert messages == [f"{folder}: finished already (1 epochs)"]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


@pytest.mark.parametrize("lost", ["metrics.csv", "model.safetensors", "evaluation"])
def test_what_a_kill_left_unwritten_is_written_when_the_run_goes_on(
    class_folders: Path, tmp_path: Path, lost: str
) -> None:
    """Files are written in this order: state, metrics, picture, model, page, evaluation, status."""
    folder = tmp_path / "run"
    train(class_folders, config=SMALL_TRAINING, out=folder, epochs=1)
    whole, kept = names(folder), (folder / "metrics.csv").read_text()
    order = ["metrics.csv", "curves.png", "model.safetensors", "report.html", "evaluation"]
    for name in order[order.index(lost) :]:
        shutil.rmtree(folder / name) if name == "evaluation" else (folder / name).unlink()
    files.write_json(folder / "run.json", {**status(folder), "status": "running"})
    resume(folder)
    assert names(folder) == whole
    assert (folder / "evaluation" / "evaluation.json").is_file()
    assert (folder / "metrics.csv").read_text() == kept
    assert (status(folder)["status"], status(folder)["epochs_done"]) == ("complete", 1)


def test_a_run_killed_before_its_last_status_is_called_complete(class_folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(class_folders, config=SMALL_TRAINING, out=folder, epochs=1)
    files.write_json(folder / "run.json", {**status(folder), "status": "running"})
    (run,) = resume(folder)
    assert run.status == "complete"


def test_a_disk_that_fills_up_leaves_the_last_state_whole(class_folders: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    straight = train(class_folders, config=SMALL_TRAINING, out=tmp_path / "straight").folder
    folder = stopped(tmp_path / "resumed", class_folders, 1)
    state = folder / "last.pt"
    kept = state.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) // 2, limits[1]))  # EFBIG, as on a full disk ENOSPC
    try:
        with pytest.raises(OutputError, match=r"last\.pt: cannot be written") as caught:
            resume(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.exit_code == 7
    assert state.read_bytes() == kept
    assert not list(folder.glob(".*.part"))
    assert status(folder)["status"] == "failed"
    assert status(folder)["error"] == caught.value.message
    resume(folder)
    assert "error" not in status(folder)
    assert same_weights(straight, folder)


def test_any_failure_is_noted_with_its_reason(class_folders: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        train(class_folders, config=SMALL_TRAINING, out=tmp_path / "run", on_epoch=stop_after(1, ZeroDivisionError))
    found = status(tmp_path / "run")
    assert (found["status"], found["error"], found["epochs_done"]) == ("failed", "ZeroDivisionError: enough", 1)


def test_sounds_that_cannot_be_read_fail_the_run_before_its_first_epoch(class_folders: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(class_folders, data)
    (data / "low" / "0.wav").write_text("no sound")
    with pytest.raises(DatasetError, match=r"1 of 30 clips cannot be used") as caught:
        train(data, config=SMALL_TRAINING, out=tmp_path / "run")
    found = status(tmp_path / "run")
    assert (found["status"], found["error"]) == ("failed", caught.value.message)
    shutil.copy(class_folders / "low" / "0.wav", data / "low")
    resume(tmp_path / "run")
    assert status(tmp_path / "run")["status"] == "complete"


def test_reading_sounds_can_be_interrupted(class_folders: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(class_folders, data)  # not in the cache

    def interrupt(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    messages: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(data, config=SMALL_TRAINING, out=tmp_path / "a run", on_progress=interrupt, on_message=messages.append)
    assert status(tmp_path / "a run")["status"] == "interrupted"
    assert messages[-1].endswith(f"go on with: escnn train --resume '{tmp_path / 'a run'}'")


def test_resuming_elsewhere_needs_the_same_data_and_notes_where_it_lies(class_folders: Path, tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", class_folders, 1)
    moved = tmp_path / "moved"
    shutil.copytree(class_folders, moved)
    (moved / "low" / "0.wav").rename(moved / "low" / "zero.wav")
    with pytest.raises(DatasetError, match="not the data set"):
        resume(folder, moved)
    (moved / "low" / "zero.wav").rename(moved / "low" / "0.wav")
    (run,) = resume(folder, moved)
    assert status(folder)["data"] == str(moved) == str(run.data)


def test_another_data_set_is_refused_before_it_is_noted(class_folders: Path, tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", class_folders, 1)
    other = tmp_path / "other"
    shutil.copytree(class_folders, other)
    (other / "low" / "0.wav").unlink()
    kept = (folder / "run.json").read_bytes()
    with pytest.raises(DatasetError, match="not the data set"):
        resume(folder, other)
    assert (folder / "run.json").read_bytes() == kept
    (run,) = resume(folder)
    assert run.status == "complete"


def test_a_cross_validation_whose_data_moved_goes_on_by_the_line_that_it_prints(
    class_folders: Path, tmp_path: Path
) -> None:
    data, moved, folder = tmp_path / "data", tmp_path / "moved", tmp_path / "cv"
    shutil.copytree(class_folders, data)

    def stop_in(fold: int) -> Callable[[Run, EpochMetrics], None]:
        def on_epoch(run: Run, metrics: EpochMetrics) -> None:
            if run.config.fold == fold and metrics.epoch == 1:
                raise KeyboardInterrupt

        return on_epoch

    with pytest.raises(KeyboardInterrupt):
        cross_validate(data, config=SMALL_TRAINING, out=folder, epochs=2, on_epoch=stop_in(2))
    data.rename(moved)
    with pytest.raises(KeyboardInterrupt):
        resume(folder, moved, on_epoch=stop_in(3))
    runs = resume(folder)
    assert [status(run.folder)["data"] for run in runs] == [str(moved)] * 5
    assert [run.status for run in runs] == ["complete"] * 5


def test_a_cross_validation_that_was_killed_while_its_folders_were_made_gets_the_others(
    class_folders: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cv"
    with pytest.raises(KeyboardInterrupt):
        cross_validate(class_folders, config=SMALL_TRAINING, out=folder, epochs=1, on_epoch=stop_after(1))
    shutil.rmtree(folder / "fold3")
    (folder / "fold4" / "config.json").unlink()  # the last file that is written
    runs = resume(folder)
    assert [(run.folder.name, run.config.fold, run.status) for run in runs] == [
        (f"fold{fold}", fold, "complete") for fold in range(1, 6)
    ]
    assert len(json.loads((folder / "cross-validation.json").read_text())["folds"]) == 5
    half_written = folder / ".report.html.0123abcd.part"  # as a kill leaves it
    half_written.touch()
    resume(folder)
    assert not half_written.exists()


def in_state(folder: Path, **versions: str) -> None:
    """Say of a stopped run that it began with these versions."""
    state = load_state(folder / "last.pt")
    save_state(folder / "last.pt", {**state, "versions": {**state["versions"], **versions}})


def test_another_torch_is_refused_unless_allowed_and_noted_in_the_run(class_folders: Path, tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", class_folders, 1)
    in_state(folder, torch="2.0.0+cpu")
    with pytest.raises(UsageError, match="began with another version"):
        resume(folder)
    messages: list[str] = []
    resume(folder, allow_other_versions=True, on_message=messages.append)
    note = f'torch was "2.0.0+cpu", is "{versions()["torch"]}"'
    assert status(folder)["not_bit_for_bit"] == [note]
    assert f"{folder}: will not end bit for bit as it would have: {note}" in messages


def test_other_threads_are_said_and_noted_once(class_folders: Path, tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", class_folders, 1)
    before = torch.get_num_threads()
    note = f"threads was {before}, is {before + 1}"
    messages: list[str] = []
    try:
        torch.set_num_threads(before + 1)
        for epoch in (2, 3):
            with pytest.raises(KeyboardInterrupt):
                resume(folder, on_epoch=stop_after(epoch), on_message=messages.append)
    finally:
        torch.set_num_threads(before)
    assert [text for text in messages if "bit for bit" in text] == [
        f"{folder}: will not end bit for bit as it would have: {note}"
    ]
    assert status(folder)["not_bit_for_bit"] == [note]


def test_a_damaged_state_is_refused(class_folders: Path, tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", class_folders, 1)
    (folder / "last.pt").write_bytes((folder / "last.pt").read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged training state"):
        resume(folder)
    assert status(folder)["status"] == "failed"
