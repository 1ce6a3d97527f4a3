"""The schema in docs/ is the one of the type that is written; CSV reads back."""

import copy
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import jsonschema
import numpy as np
import pytest

from escnn.errors import AudioError, ErrorCode
from escnn.inference import formats
from escnn.inference.classifier import Classifier
from escnn.inference.formats import CSV_COLUMNS, csv_header, csv_line, csv_lines, schema
from escnn.inference.prediction import Failure

DOCS = Path(__file__).parents[2] / "docs" / "prediction.schema.json"
MODEL = {"name": "tiny", "sha256": "dbbd8469e27f97f8a62db930b84c5054b57461ca9c94ed2b4d64faaf736cb609", "classes": 3}
OK = {  # as 0.1.0 wrote them
    "schema": "escnn.prediction/1", "path": "t.wav", "status": "ok", "duration_seconds": 0.5, "windows": 1,
    "predictions": [
        {"label": "low", "class_id": 0, "score": 0.537668}, {"label": "middle", "class_id": 1, "score": 0.290373},
    ],
    "model": MODEL, "warnings": [], "error": None,
}  # fmt: skip
FAILED = {
    "schema": "escnn.prediction/1", "path": "gone.wav", "status": "error", "duration_seconds": None, "windows": 0,
    "predictions": [], "model": MODEL, "warnings": [],
    "error": {"code": "missing", "message": "gone.wav: no such file", "hint": None},
}  # fmt: skip


def test_the_schema_in_docs_is_that_of_the_type() -> None:
    wanted = json.dumps(schema(), indent=2) + "\n"
    assert DOCS.read_text("utf-8") == wanted, "write schema() into docs/prediction.schema.json, indented by 2"


@pytest.mark.parametrize("document", [OK, FAILED, {**OK, "added": 1}])
def test_documents_of_0_1_0_and_what_may_be_added_are_valid(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(document, schema())


@pytest.mark.parametrize("code", get_args(ErrorCode))
def test_every_reason_is_in_the_schema(code: str) -> None:
    jsonschema.validate({**FAILED, "error": {"code": code, "message": "", "hint": "x"}}, schema())


@pytest.mark.parametrize("document", [OK, FAILED])
@pytest.mark.parametrize("field", OK)
def test_every_field_is_required_and_typed(document: dict[str, Any], field: str) -> None:
    for value in ("drop", {"no": "such"}, -1):
        wrong = copy.deepcopy(document)
        wrong[field] = value
        if value == "drop":
            del wrong[field]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema())


@pytest.mark.parametrize(
    "wrong",
    [
        {**OK, "error": FAILED["error"]},
        {**OK, "windows": 0},
        {**OK, "duration_seconds": None},
        {**OK, "duration_seconds": 0},
        {**OK, "predictions": [{"label": "low", "class_id": 0, "score": 1.1}]},
        {**OK, "predictions": [{"label": "low", "score": 1}]},
        {**OK, "model": {**MODEL, "classes": 1}},
        {**OK, "model": {**MODEL, "sha256": "ab"}},
        {**OK, "schema": "escnn.prediction/2"},
        {**FAILED, "error": None},
        {**FAILED, "predictions": OK["predictions"]},
        {**FAILED, "duration_seconds": 1.5},
        {**FAILED, "error": {"code": "unheard of", "message": "", "hint": None}},
    ],
)
def test_what_cannot_be_is_not_valid(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())


def test_csv_has_a_line_an_answer_and_one_for_a_sound_without() -> None:
    nothing = {**OK, "path": 'a "b", c.wav', "predictions": []}  # all below --min-score
    text = "\n".join([csv_header(), *(line for document in (OK, FAILED, nothing) for line in csv_lines(document))])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [tuple(row.values()) for row in rows] == [
        ("t.wav", "ok", "0.5", "1", "low", "0", "0.537668", ""),
        ("t.wav", "ok", "0.5", "2", "middle", "1", "0.290373", ""),
        ("gone.wav", "error", "", "", "", "", "", "gone.wav: no such file"),
        ('a "b", c.wav', "ok", "0.5", "", "", "", "", ""),
    ]


def test_a_name_of_any_bytes_stays_one_line_of_text() -> None:
    assert csv_line(("caf\udce9.wav", 1, None)) == "caf\\udce9.wav,1,"


def test_the_scores_of_windows_have_exact_times_in_json_and_csv(
    small_model: Path, write_sound: Callable[..., Path]
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 10_800).astype(np.float32)  # 1.35 s in windows of 0.5 s
    prediction = Classifier.load(small_model).predict(write_sound("a.wav", noise))
    document = prediction.to_json(top_k=2, windows=True)
    jsonschema.validate(document, formats.schema())
    assert "window_scores" not in prediction.to_json()
    times = [(window["start_seconds"], window["end_seconds"]) for window in document["window_scores"]]
    assert times == [(0.0, 0.5), (0.5, 1.0), (0.85, 1.35)]
    for window, row in zip(document["window_scores"], prediction.window_scores, strict=True):
        assert window["predictions"][0]["class_id"] == row.argmax()
    failure = Failure("b.wav", AudioError("no such file", code="missing"), prediction.model).to_json()
    lines = [formats.csv_header(windows=True)]
    for written in (document, failure):
        lines += formats.csv_lines(written, windows=True)
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert [(row["start_seconds"], row["rank"]) for row in rows] == [
        *((start, rank) for start in ("0.0", "0.5", "0.85") for rank in "12"), ("", ""),
    ]  # fmt: skip
    assert rows[-1]["error"] == "no such file"
