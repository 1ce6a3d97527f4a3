"""The picture in CONTRIBUTING.md, kept true: who imports whom, where torch is, and how large a file may be."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import escnn

SOURCE = Path(escnn.__file__).parent
CONTRIBUTING = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")
EVERYBODYS = {"errors", "version", "config", "names", "files", "cache"}
ROWS = dict(re.findall(r"^\| `(\w+)/` \| ([^|]*) \|", CONTRIBUTING.split("## Who may import whom")[1], re.MULTILINE))
FOLDERS = sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file())


def imported(path: Path) -> set[str]:
    """What a file imports, as dotted names; inside functions and for types count as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def folders_imported(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imported(path) if name.startswith("escnn.")}
    return {name for name in names if not name.startswith("__")} - EVERYBODYS


def test_every_folder_has_its_row() -> None:
    assert sorted(ROWS) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_what_its_row_allows(folder: str) -> None:
    allowed = set(re.findall(r"`(\w+)`", ROWS[folder])) | {folder}
    for path in sorted((SOURCE / folder).rglob("*.py")):
        assert folders_imported(path) <= allowed, path.relative_to(SOURCE)


def test_what_everybody_imports_imports_nobody() -> None:
    below = {
        "errors": set(),
        "version": set(),
        "config": {"errors"},
        "names": {"errors"},
        "files": {"errors"},
        "cache": {"errors", "files", "names"},
    }
    for name, allowed in below.items():
        names = {found.split(".")[1] for found in imported(SOURCE / f"{name}.py") if found.startswith("escnn.")}
        assert names <= allowed, name


@pytest.mark.parametrize(
    ("library", "folders"),
    [
        ("torch", {"network", "training"}),
        ("torchaudio", {"network"}),
        ("pandas", {"data", "detection", "evaluation"}),
        ("matplotlib", {"report"}),
        ("jinja2", {"report"}),
        ("typer", {"cli"}),
        ("rich", {"cli"}),
        ("requests", {"data"}),
        ("fastapi", {"server"}),
        ("uvicorn", {"server"}),
        ("prometheus_client", {"server"}),
        ("sounddevice", {"live"}),
    ],
)
def test_a_library_is_imported_where_it_belongs(library: str, folders: set[str]) -> None:
    users = {
        path.relative_to(SOURCE).parts[0]
        for path in SOURCE.rglob("*.py")
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert users == folders


def test_files_and_folders_keep_a_size_that_one_takes_in() -> None:
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 300, path
    for folder in {path.parent for path in SOURCE.rglob("*.py")} - {SOURCE, SOURCE / "cli" / "commands"}:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 8, folder


def test_the_names_that_are_handed_out_are_these() -> None:
    code = "import sys, escnn; print(*sorted(escnn.__all__)); print(any(m in sys.modules for m in ('numpy', 'torch')))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == [
        "Analysis Classifier DetectionEvaluation Detections EpochMetrics Evaluation Event Failure Prediction "
        "RecordingAnalysis Run TrainConfig Waveform __version__ analyze analyze_recording cross_validate detect "
        "evaluate evaluate_annotations evaluate_runs load_audio resume train",
        "False",
    ]
    assert all(callable(getattr(escnn, name)) for name in escnn.__all__ if name != "__version__")
