"""The picture in CONTRIBUTING.md, kept true: a module imports only from rows below its own."""

import ast
from pathlib import Path

import pytest

import escnn

ROWS = [
    {"errors", "chunks"},
    {"audio", "files", "config", "lock"},
    {"inputs", "fetch", "features", "augment", "model", "muon", "images"},
    {"dataset", "checkpoint", "plots", "report", "explain", "measures", "optimization", "results"},
    {"runs", "prediction", "evaluation_page"},
    {"listening"},
    {"sound_page"},
    {"download", "training", "evaluation", "visualization"},
    {"console"},
    {"endings", "options"},
    {"cli"},
]
SOURCE = Path(escnn.__file__).parent
MODULES = sorted(
    {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in SOURCE.rglob("*.py")} - {"__init__"}
)


def row_of(module: str) -> int:
    return next(number for number, row in enumerate(ROWS) if module in row)


def imports_of(module: str) -> set[str]:
    """Modules of escnn that a module imports, inside functions as well, but not for type checking only."""
    paths = sorted((SOURCE / module).rglob("*.py")) or [SOURCE / f"{module}.py"]
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8")) for path in paths]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "escnn":
            found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("escnn."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("escnn.")}
        waiting.extend(ast.iter_child_nodes(node))
    return found - {module}


def test_every_module_has_its_row() -> None:
    assert sorted(set().union(*ROWS)) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_rows_below(module: str) -> None:
    above = {name for name in imports_of(module) if row_of(name) >= row_of(module)}
    assert not above, f"{module} (row {row_of(module)}) imports {above}"
