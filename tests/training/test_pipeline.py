"""`train` and `cross_validate` from Python: which settings they take, and what they leave."""

import json
import shutil
from pathlib import Path

import msgspec
import pandas as pd
import pytest
import soundfile
from conftest import SMALL_TRAINING, names, status

import escnn
from escnn import files
from escnn.config import to_json
from escnn.data.sources import open_dataset
from escnn.errors import DatasetError, OutputError, UsageError, is_plain
from escnn.evaluation.protocol import evaluate, evaluate_runs
from escnn.model.model_file import read_model
from escnn.names import quoted
from escnn.network.runtime import versions
from escnn.runs.run import EpochMetrics, Run, read_config
from escnn.training.pipeline import cross_validate, resume, train

FILES = {
    "config.json", "run.json", "metrics.csv", "last.pt", "model.safetensors", "curves.png", "evaluation", "report.html",
}  # fmt: skip
EVALUATION = {"evaluation.json", "predictions.csv", "per_class.csv", "confused.csv", "confusion.png"}


def test_a_run_leaves_what_the_documentation_says(class_folders: Path, tmp_path: Path) -> None:
    stages: dict[str, tuple[int, int | None]] = {}
    epochs: list[tuple[Path, int]] = []
    messages: list[str] = []
    run = train(
        class_folders,
        config=SMALL_TRAINING,
        out=tmp_path / "run",
        epochs=2,
        command=["train", "--epochs", "2"],
        on_progress=lambda stage, done, total: stages.update({stage: (done, total)}),
        on_epoch=lambda run, metrics: epochs.append((run.folder, metrics.epoch)),
        on_message=messages.append,
    )
    config = msgspec.structs.replace(SMALL_TRAINING, epochs=2)
    assert run == Run(tmp_path / "run", config, class_folders)
    assert names(run.folder) == FILES
    assert names(run.folder / "evaluation") == EVALUATION
    assert read_config(run.folder / "config.json") == config
    assert [row.epoch for row in run.history()] == [1, 2]
    assert epochs == [(run.folder, 1), (run.folder, 2)]
    assert stages["training"] == (6, 6)
    assert stages["evaluating fold 5"] == (6, 6)
    found = status(run.folder)
    figures = json.loads((run.folder / "evaluation" / "evaluation.json").read_text())
    card = read_model(run.folder).card
    assert list(found) == [
        "status", "updated", "data", "epochs", "seed", "data_digest", "epochs_done", "seconds", "cpu_seconds",
        "parameters", "multiply_adds", "device", "precision", "threads", "command", "versions",
    ]  # fmt: skip
    assert (found["status"], found["epochs_done"], found["data"]) == ("complete", 2, str(class_folders))
    assert found["command"] == ["train", "--epochs", "2"]
    assert found["data_digest"] == card.training["data_digest"]
    assert (found["parameters"], found["versions"]) == (card.parameters, versions())
    assert card.name == "run"
    assert card.score == {key: figures[key] for key in card.score or ()} != {}
    assert figures["model"]["sha256"] == card.sha256  # of the file that lies there, with its score in it
    assert "escnn train --epochs 2" in (run.folder / "report.html").read_text("utf-8")
    assert messages == [
        f"{run.folder}: training on 24 clips of 3 classes, test fold 5 (6 clips)",
        f"{run.folder}: accuracy {100 * figures['accuracy']:.2f} % on fold 5",
    ]


def test_a_clip_that_goes_away_ends_no_training_that_has_its_log_mels(class_folders: Path, tmp_path: Path) -> None:
    """A clip of fold 1 is removed once fold 1 was tested, in the midst of the training for fold 2."""
    data = tmp_path / "data"
    shutil.copytree(class_folders, data)
    removed = next(clip.path for clip in open_dataset(data).clips if clip.fold == 1)

    def remove(run: Run, metrics: EpochMetrics) -> None:
        if run.config.fold == 2:
            removed.unlink(missing_ok=True)

    runs = cross_validate(data, config=SMALL_TRAINING, out=tmp_path / "cv", epochs=2, on_epoch=remove)
    assert not removed.exists()
    assert [run.status for run in runs] == ["complete"] * 5
    assert json.loads((tmp_path / "cv" / "cross-validation.json").read_text())["folds"][0]["clips"] == 6


def test_what_the_reader_warns_of_is_said_and_kept(class_folders: Path, tmp_path: Path) -> None:
    """Five clips were cut off: three are named, the others counted, all of them stand in the run folder."""
    data = tmp_path / "data"
    shutil.copytree(class_folders, data)
    cut = [data / label / f"{number}.wav" for label in ("high", "low") for number in (2, 3, 4)][:5]
    for path in cut:
        path.write_bytes(path.read_bytes()[:-3000])
    sound, rate = soundfile.read(data / "high" / "0.wav")
    soundfile.write(data / "high" / "0.wav", sound[:2000], rate)  # short, and whole
    for name in ("first", "cached"):
        with pytest.warns(UserWarning) as caught:
            run = train(data, config=SMALL_TRAINING, out=tmp_path / name, epochs=1)
        said = [str(each.message) for each in caught]
        table = pd.read_csv(run.folder / "warnings.csv")
        assert list(table.columns) == ["clip", "warning"]
        damaged = table[table["warning"].str.contains("ends after")]
        assert damaged["clip"].tolist() == [path.relative_to(data).as_posix() for path in cut]
        assert len(set(table["clip"])) == 6
        for text, row in zip(said, damaged[:3].itertuples(), strict=False):
            assert text.startswith(f"{row.clip}: {row.warning}")
        assert said[3] == "warnings about 3 more clips, all of them in warnings.csv of the run folder"


def test_clips_without_anything_to_warn_of_leave_no_table(class_folders: Path, tmp_path: Path) -> None:
    run = train(class_folders, config=SMALL_TRAINING, out=tmp_path / "run", epochs=1)
    assert not list(run.folder.rglob("warnings.csv"))


def test_a_class_that_the_test_fold_lacks_is_warned_of(class_folders: Path, tmp_path: Path) -> None:
    rows = ["filename,fold,target,category"]
    (tmp_path / "data" / "audio").mkdir(parents=True)
    for target, label in enumerate(("high", "low")):
        for number, fold in enumerate((1, 1, 2) if label == "low" else (1, 1, 1), start=1):
            name = f"{fold}-{number}-A-{target}.wav"
            shutil.copy(class_folders / label / f"{number}.wav", tmp_path / "data" / "audio" / name)
            rows.append(f"{name},{fold},{target},{label}")
    (tmp_path / "data" / "meta").mkdir()
    (tmp_path / "data" / "meta" / "esc50.csv").write_text("\n".join(rows))
    with pytest.warns(UserWarning, match="^fold 2 holds no clip of high: ") as caught:
        run = train(tmp_path / "data", config=SMALL_TRAINING, out=tmp_path / "run", epochs=1, fold=2)
    assert len(caught) == 1
    assert "fold 2 holds no clip of high" in (run.folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "caf\udce9", "\x1b[31m", "it's $HOME"])
def test_a_run_folder_of_any_name_can_be_opened_again(class_folders: Path, tmp_path: Path, name: str) -> None:
    messages: list[str] = []

    def stop(run: Run, metrics: EpochMetrics) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            class_folders, config=SMALL_TRAINING, out=tmp_path / name, epochs=1, on_epoch=stop,
            on_message=messages.append, command=["train", "--out", name],
        )  # fmt: skip
    assert messages[-1].endswith(f"--resume {quoted(tmp_path / name)}")
    (run,) = resume(tmp_path / name)
    assert run.status == "complete"
    assert is_plain(read_model(run.folder).card.name)
    assert (
        evaluate(run.folder, class_folders).accuracy
        == json.loads((run.folder / "evaluation" / "evaluation.json").read_text())["accuracy"]
    )


def test_the_settings_of_a_run_repeat_it_on_its_data(class_folders: Path, tmp_path: Path) -> None:
    first = train(class_folders, config=SMALL_TRAINING, out=tmp_path / "first", epochs=1)
    again = train(config=first.folder / "config.json", out=tmp_path / "again")
    one, other = (read_model(run.folder).card for run in (first, again))
    assert again.data == first.data
    assert one.weights_sha256 == other.weights_sha256
    assert one.sha256 != other.sha256
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(class_folders, elsewhere)
    third = train(elsewhere, config=first.folder / "config.json", out=tmp_path / "third")
    assert third.data == elsewhere


def test_fold_zero_is_tested_on_nothing(class_folders: Path, tmp_path: Path) -> None:
    messages: list[str] = []
    run = train(
        class_folders, config=SMALL_TRAINING, out=tmp_path / "run", epochs=1, fold=0, on_message=messages.append
    )
    assert names(run.folder) == FILES - {"evaluation", "report.html"}
    assert run.status == "complete"
    assert messages == [f"{run.folder}: training on 30 clips of 3 classes, no test fold"]


def test_listed_clips_that_are_not_there_are_warned_of(class_folders: Path, tmp_path: Path) -> None:
    rows = ["filename,fold,target,category"]
    (tmp_path / "data" / "audio").mkdir(parents=True)
    for target, label in enumerate(("high", "low")):
        for fold in (1, 2):
            name = f"{fold}-{fold}-A-{target}.wav"
            shutil.copy(class_folders / label / f"{fold}.wav", tmp_path / "data" / "audio" / name)
            rows.append(f"{name},{fold},{target},{label}")
    (tmp_path / "data" / "meta").mkdir()
    (tmp_path / "data" / "meta" / "esc50.csv").write_text("\n".join([*rows, "1-9-A-1.wav,1,1,low"]))
    with pytest.warns(UserWarning, match=r"^1 clips of the metadata are not there, such as 1-9-A-1\.wav$"):
        run = train(tmp_path / "data", config=SMALL_TRAINING, out=tmp_path / "run", epochs=1, fold=2)
    assert run.evaluated


def test_settings_start_from_a_preset_a_file_or_what_is_given(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_json(tmp_path / "settings.json", to_json(SMALL_TRAINING))
    monkeypatch.setenv("ESCNN_DATA", str(class_folders))
    changes = {"epochs": 1, "fold": 2, "augment": {"gain_db": 6}}
    monkeypatch.chdir(tmp_path)
    run = escnn.train(config=tmp_path / "settings.json", device="cpu", **changes)
    assert run.folder == Path("runs/fold2-1")
    gain = msgspec.structs.replace(SMALL_TRAINING.augment, gain_db=6.0)
    assert run.config == msgspec.structs.replace(SMALL_TRAINING, epochs=1, fold=2, augment=gain)
    for wrong, said in (
        ({"epoch": 1}, "unknown setting 'epoch'"),
        ({"epochs": 0}, "epochs: must be at least 1"),
        ({"augment": {"gain": 1}}, "augment: unknown setting 'gain'"),
        ({"preset": "defualt"}, "preset"),
        ({"preset": "quick", "config": SMALL_TRAINING}, "both name settings"),
        ({"device": "abacus"}, "device"),
        ({"model": {"widths": [2048] * 4, "depths": [8] * 4}}, "GMACs"),
        ({"precision": "bfloat16", "config": SMALL_TRAINING, "audio": {"clip_seconds": 0.1}}, "too short"),
    ):
        with pytest.raises(UsageError, match=said):
            train(**wrong)
    with pytest.raises(DatasetError, match="no data set here"):
        train(tmp_path / "gone")
    assert names(tmp_path / "runs") == {"fold2-1"}  # nothing is made before everything is checked


def test_an_occupied_folder_is_refused(class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        train(class_folders, config=SMALL_TRAINING, out=tmp_path)


def test_a_cross_validation_trains_evaluates_and_goes_on(class_folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cv"
    with pytest.raises(KeyboardInterrupt):
        cross_validate(class_folders, config=SMALL_TRAINING, out=folder, epochs=2, on_epoch=stop_in_fold_2)
    assert [status(folder / f"fold{fold}")["status"] for fold in (1, 2, 3)] == ["complete", "interrupted", "created"]
    messages: list[str] = []
    runs = resume(folder, on_message=messages.append)
    assert messages[0] == f"{folder / 'fold1'}: finished already (2 epochs)"
    assert [(run.folder.name, run.config.fold, run.status) for run in runs] == [
        (f"fold{fold}", fold, "complete") for fold in (1, 2, 3, 4, 5)
    ]
    document = json.loads((folder / "cross-validation.json").read_text())
    parts = [json.loads((run.folder / "evaluation" / "evaluation.json").read_text()) for run in runs]
    assert [row["accuracy"] for row in document["folds"]] == [part["accuracy"] for part in parts]
    assert not any(row["seen_in_training"] for row in document["folds"])
    assert len(pd.read_csv(folder / "predictions.csv")) == 30
    page = (folder / "report.html").read_text("utf-8")
    assert "folds 1 to 5" in page
    assert evaluate_runs(folder, class_folders).to_json() == document


def stop_in_fold_2(run: Run, metrics: EpochMetrics) -> None:
    if run.config.fold == 2:
        raise KeyboardInterrupt


def test_a_cross_validation_is_checked_whole_before_a_folder_is_made(class_folders: Path, tmp_path: Path) -> None:
    config = msgspec.structs.replace(SMALL_TRAINING, fold=5, validation_fold=4)
    with pytest.raises(UsageError, match="validation_fold 4 is the test fold"):
        cross_validate(class_folders, config=config, out=tmp_path / "cv")
    with pytest.raises(UsageError, match="every fold in turn"):
        cross_validate(class_folders, config=SMALL_TRAINING, out=tmp_path / "cv", fold=3)
    with pytest.raises(UsageError, match="GMACs"):
        cross_validate(class_folders, out=tmp_path / "cv", model={"widths": [2048] * 4, "depths": [8] * 4})
    assert not (tmp_path / "cv").exists()
