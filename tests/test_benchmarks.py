"""The figures that README and card quote are those in ``benchmarks/``, and those are of the presets as they are."""

import json
import runpy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from escnn.config import from_json
from escnn.model.model_file import read_model
from escnn.runs.settings import FramesConfig, TrainConfig, preset

ROOT = Path(__file__).parent.parent


def figures(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text("utf-8"))


def without_head(config: TrainConfig) -> TrainConfig:
    return msgspec.structs.replace(config, frames=FramesConfig())


@pytest.mark.parametrize("name", ["default", "quick"])
@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_figures_are_of_the_preset_as_it_is(name: str, fold: int) -> None:
    measured = figures(f"{name}/fold{fold}")
    settings = from_json(TrainConfig, measured["model"]["training"]["config"])
    # A frame head changes nothing of what the network says of a clip.
    assert without_head(settings) == without_head(msgspec.structs.replace(preset(name), fold=fold))
    assert not measured["seen_in_training"]
    summed_up = figures(f"{name}/cross-validation")["folds"][fold - 1]
    assert measured["accuracy"] == summed_up["accuracy"]


@pytest.mark.parametrize(
    ("row", "name"), [("`escnn train`, the bundled model", "default"), ("`--preset quick`", "quick")]
)
def test_the_readme_quotes_what_was_measured(row: str, name: str) -> None:
    (line,) = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith(f"| {row} |")]
    measured = figures(f"{name}/cross-validation")
    folds = ", ".join(f"{100 * fold['accuracy']:.1f}" for fold in measured["folds"])
    assert f"{100 * measured['mean_accuracy']:.1f} ± {100 * measured['std_accuracy']:.1f}" in line
    assert f"| {folds} |" in line


def test_the_bundled_model_has_the_settings_of_the_default() -> None:
    assert from_json(TrainConfig, read_model().card.training["config"]) == msgspec.structs.replace(
        preset("default"), fold=0
    )


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a script of the benchmarks defines; by its path, as the tests have folders of the same names."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"))


def test_the_table_of_detection_is_that_of_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    soundscapes, measured = benchmark("soundscapes", monkeypatch), figures("detection")
    text = (ROOT / "benchmarks" / "detection.md").read_text("utf-8").splitlines()
    for line in (*soundscapes["table"](measured["default"]), *soundscapes["table_of_seeds"](measured)):
        assert line in text, line


def test_the_table_of_live_events_is_that_of_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    live, measured = benchmark("live", monkeypatch), figures("live")
    text = (ROOT / "benchmarks" / "live.md").read_text("utf-8").splitlines()
    for line in live["table"](measured["reported_on"]):
        assert line in text, line
    default = measured["reported_on"]["by_provisional_score"]["default"]
    readme = (ROOT / "README.md").read_text("utf-8")
    for share in (default["told_in_time"], default["told_before_final"], default["withdrawn"]):
        assert f"{100 * share:.0f} %" in readme
    assert f"{100 * measured['cost']['in_real_time']['share_of_a_core']:.0f} % of a core" in readme
