"""A forged card is one `ModelError` when the file is opened, and what was opened never fails later."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from escnn.data.sources import open_dataset
from escnn.errors import EscnnError, ModelError, is_plain
from escnn.evaluation.protocol import choose_fold
from escnn.model.model_file import read_model, write_model

ROOT_FIELDS = ("format", "name", "labels", "audio", "model", "normalization", "training", "score", "versions")
FILLED: dict[str, dict[str, Any]] = {
    "training": {
        "fold": 5, "validation_fold": None, "trained_on_folds": [1, 2, 3, 4], "epochs": 6, "seed": 0, "seconds": 1.5,
        "config": {"epochs": 6, "audio": {"n_mels": 32}},
    },
    "score": {"fold": 5, "clips": 6, "views": 1, "accuracy": 0.8, "measured": "on some clips"},
    "versions": {"escnn": "0.1.0", "torch": "2.14"},
}  # fmt: skip


class Forger:
    """Writes the small model with another card."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.path, self.folder = folder / "forged.safetensors", folder
        self._weights = safetensors.numpy.load_file(model)
        with safetensors.safe_open(model, framework="np") as file:
            self._card = json.dumps(json.loads(file.metadata()["escnn"]) | FILLED)

    def card(self) -> dict[str, Any]:
        """A good card to tamper with."""
        card: dict[str, Any] = json.loads(self._card)
        return card

    def write(self, card: Any) -> Path:
        safetensors.numpy.save_file(self._weights, self.path, metadata={"escnn": json.dumps(card)})
        return self.path


@pytest.fixture(scope="module")
def forger(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Forger:
    return Forger(small_model, tmp_path_factory.mktemp("forged"))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("format", "escnn.model/99", "format"),
        ("format", {}, "format"),
        ("model.widths", [8, 17], "shape"),
        ("model.widths", [8, 10**6], "card"),
        ("model.depths", [1, 2], "does not fit"),
        ("audio.n_fft", 10**9, "card"),
        ("audio.extra", 1, "card"),
        ("audio.n_fft", 10**400, "card"),
        ("labels", None, "card"),
        ("labels", ["a", "a", "b"], "labels"),
        ("labels", ["a", "b"], "shape"),
        ("labels", ["a", "b\x1b[2J", "c"], "control"),  # clears a terminal
        ("labels", ["a", "b\ud800", "c"], "control"),  # cannot be written as UTF-8
        ("name", "a\nb", "control"),
        ("normalization.std_db", 0, "normalization"),
        ("normalization.mean_db", math.nan, "normalization"),
        ("normalization.mean_db", 10**400, "card"),  # no float is as large
        ("score", {}, "accuracy"),
        ("score", {"accuracy": 0.8}, "on which clips"),
        ("score.accuracy", "high", "accuracy"),
        ("score.accuracy", 80, "accuracy"),
        ("score.accuracy", math.nan, "accuracy"),
        ("score.clips", [6], "clips"),
        ("score", [], "score"),
        ("training.trained_on_folds", 5, "trained_on_folds"),
        ("training.trained_on_folds", [[1]], "trained_on_folds"),
        ("training.trained_on_folds", ["1"], "trained_on_folds"),
        ("training.fold", 10**400, "fold"),
        ("training.validation_fold", True, "validation_fold"),
        ("training.seed", -1, "seed"),
        ("training.seed", "lucky", "seed"),
        ("training.seconds", math.inf, "seconds"),
        ("training.epochs", math.nan, "epochs"),
        ("training", None, "training"),
        ("versions", {"escnn": 1}, "versions"),
        ("versions", ["0.1.0"], "versions"),
    ],
)
def test_a_forged_card_is_refused(forger: Forger, field: str, value: Any, said: str) -> None:
    card = node = forger.card()
    *groups, last = field.split(".")
    for group in groups:
        node = node[group]
    node[last] = value
    with pytest.raises(ModelError, match=said):
        read_model(forger.write(card))


@pytest.mark.parametrize("field", ROOT_FIELDS)
def test_a_card_without_one_of_its_fields_is_refused(forger: Forger, field: str) -> None:
    card = forger.card()
    del card[field]
    with pytest.raises(ModelError):
        read_model(forger.write(card))


@pytest.mark.parametrize("depth", [30, 500, 900, 100_000])
def test_a_card_nested_beyond_reason_is_refused(forger: Forger, depth: int) -> None:
    text = json.dumps(forger.card()).replace('"config": {', '"config": {"deep": ' + "[" * depth + "]" * depth + ", ")
    weights = safetensors.numpy.load_file(forger.write(forger.card()))
    safetensors.numpy.save_file(weights, forger.path, metadata={"escnn": text})
    with pytest.raises(ModelError):
        read_model(forger.path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from((2**63, 10**400, "\x1b[2J")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    *ROOT_FIELDS, *(f"{group}.{name}" for group, fields in FILLED.items() for name in fields), "labels.1",
    "audio.sample_rate", "audio.clip_seconds", "audio.n_fft", "audio.hop_length", "audio.n_mels", "audio.f_min",
    "audio.floor_db", "model.widths", "model.widths.1", "model.depths", "model.stem_kernel", "model.shortcut",
    "model.pooling", "model.dropout", "normalization.mean_db", "normalization.std_db", "training.trained_on_folds.0",
)  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.sampled_from(FIELDS), JSON), min_size=1, max_size=2))
@example([("training.fold", 2), ("score.measured", None)])
@example([("labels", []), ("labels.1", None)])
def test_whatever_stands_in_a_card_is_refused_at_once_or_understood(
    forger: Forger, class_folders: Path, forgeries: list[tuple[str, Any]]
) -> None:
    card = forger.card()
    for field, value in forgeries:
        node: Any = card
        *groups, last = (int(part) if part.isdigit() else part for part in field.split("."))
        for group in groups:
            node = node.get(group) if isinstance(node, dict) else None
        if isinstance(last, int) and isinstance(node, list):
            node[last:] = [value, *node[last + 1 :]] if last < len(node) else []
        elif isinstance(last, str) and isinstance(node, dict):
            node[last] = value
    try:
        model = read_model(forger.write(card))
    except ModelError as error:
        assert is_plain(error.message)
        assert len(error.message) < 1_000
        return
    read = model.card
    assert len(read.labels) == read.describe()["classes"]
    assert len(read.layers) > 0 < read.parameters
    if read.accuracy is not None:
        accuracy, measured = read.accuracy
        assert 0 <= accuracy <= 1
        assert isinstance(measured, str)
    assert read.folds_seen <= {0, 1, 2, 3, 4, 5}
    np.random.default_rng([read.seed, 0])
    dataset = open_dataset(class_folders, seed=read.seed)
    try:
        assert choose_fold(read, dataset, None) in dataset.folds
    except EscnnError as error:
        assert "trained on every fold" in error.message
    write_model(forger.folder / "again", model)
    again = read_model(forger.folder / "again").card
    assert (again.training, again.score) == (read.training, read.score) or "NaN" in json.dumps(card)
