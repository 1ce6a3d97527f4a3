import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL_TRAINING

from escnn import runs
from escnn.errors import OutputError, UsageError


def test_a_run_can_be_reopened_from_its_folder_alone(tmp_path: Path) -> None:
    created = runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path)
    folder, reopened = runs.reopen(tmp_path / "run")
    assert folder == tmp_path / "run"
    assert reopened == [created]


def test_without_a_name_runs_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (runs.create(None, SMALL_TRAINING, tmp_path) for _ in range(2))
    assert (first.folder, second.folder) == (Path("runs/fold5-1"), Path("runs/fold5-2"))


def test_a_run_folder_is_never_taken_twice(tmp_path: Path) -> None:
    runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path)
    with pytest.raises(OutputError, match="not empty"):
        runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path)


def test_a_cross_validation_has_a_run_a_fold(tmp_path: Path) -> None:
    runs.create_cross_validation(tmp_path / "cv", SMALL_TRAINING, tmp_path, (1, 2, 4))
    _, reopened = runs.reopen(tmp_path / "cv")
    assert [(run.folder.name, run.config.fold) for run in reopened] == [("fold1", 1), ("fold2", 2), ("fold4", 4)]


HOLDER = """
import sys, time
from pathlib import Path
from escnn import runs
run = runs.reopen(Path(sys.argv[1]))[1][0]
with run.alone():
    (run.folder / ".last.pt.0.part").touch()
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_and_none_once_it_is_killed(tmp_path: Path) -> None:
    run = runs.create(tmp_path / "run", SMALL_TRAINING, tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(run.folder)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(UsageError, match="another process is training in it"), run.alone():
                pass
            assert (run.folder / ".last.pt.0.part").exists()
        finally:
            other.kill()
    with run.alone(), pytest.raises(UsageError), run.alone():
        pass
    assert {path.name for path in run.folder.iterdir()} == {"config.json", "run.json"}


@pytest.mark.parametrize("what", ["missing", "empty", "not json", "no data", "wrong setting"])
def test_what_is_no_run_folder_is_one_clear_error(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "run"
    if what == "empty":
        folder.mkdir()
    elif what != "missing":
        runs.create(folder, SMALL_TRAINING, tmp_path)
        if what == "not json":
            (folder / "config.json").write_text("{")
        elif what == "wrong setting":
            (folder / "config.json").write_text('{"epochs": -1}')
        else:
            (folder / "run.json").write_text("{}")
    with pytest.raises(UsageError) as caught:
        runs.reopen(folder)
    assert caught.value.exit_code == 2
