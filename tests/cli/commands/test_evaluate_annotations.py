"""`escnn evaluate --annotations` as a user meets it."""

import json
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from conftest import escnn
from detection.bands import HIGH_HZ, LOW_HZ, RATE, Bands, planted

from escnn.detection.thresholds import write_thresholds
from escnn.inference.classifier import Classifier

TONES = [(4.0 * n + 1, 4.0 * n + 2, (LOW_HZ, HIGH_HZ)[n % 2]) for n in range(12)]


@pytest.fixture
def annotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two recordings and a table of what the model itself found in one of them."""
    monkeypatch.setattr(Classifier, "load", lambda *_, **__: Classifier(Bands()))  # type: ignore[arg-type]
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", planted(50, *TONES), RATE)
    assert escnn("detect", tmp_path / "a.wav", "--format", "csv", "--out", tmp_path / "t.csv").exit_code == 0
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(TONES)
    return tmp_path


def test_a_model_agrees_with_its_own_annotations(annotated: Path) -> None:
    result = escnn("evaluate", "--annotations", annotated / "t.csv", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["schema"] == "escnn.detection-evaluation/1"
    assert (document["precision"], document["recall"], document["segment_f1"], document["event_f1"]) == (1, 1, 1, 1)
    assert (document["false_alarms"], document["missed"]) == (0, 0)
    text = escnn("evaluate", "--annotations", annotated / "t.csv").stdout
    assert "1 recording, 0.01 h: 12 of 12 annotated events found, 0 of 12 reported" in text
    assert "precision 1.00, recall 1.00, segment F1 1.00, event F1 1.00" in text


@pytest.mark.parametrize("kind", ["jsonl", "raven", "audacity", "parquet"])
def test_what_detect_writes_is_read_or_refused_in_words(annotated: Path, kind: str) -> None:
    out, sound = annotated / f"t.{kind}", annotated / "a.wav"
    assert escnn("detect", sound, "--format", kind, "--out", out).exit_code == 0
    result = escnn("evaluate", "--annotations", out, sound, "--json")
    if kind == "parquet":
        assert (result.exit_code, result.stdout) == (2, "")
        assert "parquet" in result.stderr
        assert "`escnn detect --format csv`" in result.stderr
    else:
        assert result.exit_code == 0
        document = json.loads(result.stdout)
        assert (document["recall"], document["precision"], document["annotated"]) == (1, 1, len(TONES))


def test_it_writes_tables_a_page_thresholds_and_clips(annotated: Path) -> None:
    table = pd.read_csv(annotated / "t.csv")
    table.iloc[1:].to_csv(annotated / "t.csv", index=False)  # the first is a false alarm now
    command = ["evaluate", "--annotations", annotated / "t.csv", annotated / "a.wav", "--precision", 0.8]
    more = ["--out", annotated / "out", "--report", "--clips", annotated / "cut"]
    result = escnn(*command, *more)
    assert result.exit_code == 0
    assert "threshold for precision 0.8" in result.stdout
    false = pd.read_csv(annotated / "out" / "false-alarms.csv")
    assert list(false["start_seconds"]) == [table["start_seconds"][0]]
    cut = pd.read_csv(annotated / "cut" / "false-alarms" / "clips.csv")
    assert list(cut["label"]) == list(false["label"])
    assert soundfile.info(annotated / "cut" / "false-alarms" / cut["filename"][0]).frames > 0
    assert pd.read_csv(annotated / "cut" / "missed" / "clips.csv").empty
    assert {path.name for path in (annotated / "out").iterdir()} == {
        "detection.json", "per-class.csv", "curves.csv", "missed.csv", "false-alarms.csv", "thresholds.json",
        "report.html",
    }  # fmt: skip
    assert escnn(*command, *more).exit_code == 7
    assert escnn(*command, "--out", annotated / "out", "--force").exit_code == 0
    assert not (annotated / "out" / "report.html").exists()  # it was of another measurement
    thresholds = ["--thresholds", annotated / "out" / "thresholds.json"]
    assert escnn("detect", annotated / "a.wav", *thresholds).exit_code == 0
    assert escnn(*command, *thresholds).exit_code == 0


def test_thresholds_of_another_model_are_used_with_a_word(annotated: Path) -> None:
    command = ["evaluate", "--annotations", annotated / "t.csv", "--thresholds", annotated / "t.json"]
    write_thresholds(annotated / "t.json", {"low": 0.9}, {"weights_sha256": "ab" * 32})
    measured = escnn(*command)
    assert measured.exit_code == 0
    assert f"warning: {annotated / 't.json'}: made for the model abababababab, not for" in measured.stderr
    write_thresholds(annotated / "t.json", {"low": 0.9}, {})
    assert "made for" not in escnn(*command).stderr


def test_what_is_left_out_is_said_and_the_rest_is_measured(annotated: Path) -> None:
    with (annotated / "t.csv").open("a") as file:
        file.write("a.wav,1,2,,sousaphone,0,0,,\na.wav,5,4,,low,0,0,,\ngone.wav,1,2,,low,0,0,,\n")
    (annotated / "bad.wav").write_text("no sound")
    result = escnn("evaluate", "--annotations", annotated / "t.csv", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["recall"] == 1
    for said in ("ends before it starts", "gone.wav: no such file", "no class of the model: sousaphone (1)"):
        assert said in result.stderr
    recordings = [annotated / f"{name}.wav" for name in ("a", "b", "bad")]
    result = escnn("evaluate", "--annotations", annotated / "t.csv", *recordings, "--json")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert [Path(each["path"]).name for each in document["unread"]] == ["bad.wav"]
    assert document["recall"] == 1
    assert document["precision"] < 1  # b has no rows
    assert "1 of 2 recordings have no row" in result.stderr


def test_a_map_names_classes(annotated: Path) -> None:
    text = (annotated / "t.csv").read_text()
    for label in ("low", "high"):
        text = text.replace(f",{label},", f",their {label},")
    (annotated / "t.csv").write_text(text)
    assert escnn("evaluate", "--annotations", annotated / "t.csv").exit_code == 2
    (annotated / "map.csv").write_text("".join(f"their {label},{label}\n" for label in ("low", "high")))
    mapped = escnn("evaluate", "--annotations", annotated / "t.csv", "--map", annotated / "map.csv", "--json")
    assert json.loads(mapped.stdout)["recall"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--annotations", "t.csv", "--fold", 4], "--fold is for clips"),
        (["--annotations", "t.csv", "--tta", 5], "--tta is for clips"),
        (["--annotations", "t.csv", "-"], "recordings in files"),
        (["--annotations", "gone.csv"], "cannot be used as a table"),
        (["--annotations", "t.csv", "--clips", "."], "sounds are read from there"),
        (["--annotations", "t.csv", "--thresholds", "gone"], "cannot be used as thresholds"),
        (["a.wav"], "a recording is for events"),
        (["--precision", 0.9], "--precision is for events"),
        (["--map", "m.csv"], "--map is for events"),
    ],
)
def test_what_cannot_be_is_refused(
    annotated: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object], said: str
) -> None:
    monkeypatch.chdir(annotated)
    before = set(annotated.iterdir())
    refused = escnn("evaluate", *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert set(annotated.iterdir()) == before
