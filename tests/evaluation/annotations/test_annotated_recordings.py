"""A model measured against annotations: sounds, events and figures that are known."""

import json
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from detection.bands import FRAME, HIGH_HZ, LOW_HZ, RATE, Bands, planted

import escnn
from escnn.detection.thresholds import read_thresholds
from escnn.errors import UsageError
from escnn.evaluation.annotations.evaluation import DetectionEvaluation, Threshold
from escnn.evaluation.annotations.protocol import evaluate_annotations
from escnn.inference.classifier import Classifier

# a: a low tone that is annotated, one that is not, and an annotated high one; b: a high tone, found a little too long
A, B = planted(20, (2, 3, LOW_HZ), (8, 9, LOW_HZ), (14, 15, HIGH_HZ)), planted(10, (4, 6, HIGH_HZ))
TABLE = (
    "file,start,end,label\na.wav,2,3,Low\na.wav,14,15,high\na.wav,17,18,high\na.wav,17.5,18.5,high\nb.wav,4,6,high\n"
    "b.wav,9,30,low\nb.wav,11,12,low\na.wav,1,2,sousaphone\ngone.wav,1,2,low\n"
)


@pytest.fixture
def bands() -> Classifier:
    return Classifier(Bands())  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name, sound in (("a", A), ("b", B)):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path / "t.csv"


@pytest.fixture
def measured(table: Path, bands: Classifier) -> DetectionEvaluation:
    return evaluate_annotations(table, model=bands)


def test_every_count_is_what_was_planted(measured: DetectionEvaluation, table: Path) -> None:
    rows = measured.per_class().set_index("label")
    assert measured.labels == ("low", "high")
    # low: a hit, one that nobody annotated, and 9 to 10 s of b, missed; high: two hits, and 17 to 18.5 s, missed
    assert list(rows.loc["low", ["annotated", "reported", "false_alarms"]]) == [2, 2, 1]
    assert list(rows.loc["high", ["annotated", "reported", "false_alarms"]]) == [3, 2, 0]
    assert list(rows["precision"]) == [0.5, 1.0]
    assert list(rows["recall"]) == [0.5, pytest.approx(2 / 3, abs=1e-4)]
    total = measured.metrics
    assert (total.found, total.truth, total.false_alarms, total.claims) == (3, 5, 1, 4)
    assert (total.events.hits, total.events.false, total.events.missed) == (3, 1, 2)
    assert total.seconds == pytest.approx(30)
    assert total.false_alarms_an_hour == pytest.approx(120)
    names = [Path(recording.name).name for recording in measured.recordings]
    assert names == ["a.wav", "b.wav"]


def test_what_was_missed_and_what_is_false_is_listed(measured: DetectionEvaluation) -> None:
    missed, false = measured.missed(), measured.false_alarms()
    assert [tuple(row[1:]) for row in missed.to_numpy().tolist()] == [(17.0, 18.5, "high"), (9.0, 10.0, "low")]
    (row,) = false.itertuples()
    assert (row.label, row.start_seconds, row.end_seconds) == (
        "low", pytest.approx(8, abs=FRAME), pytest.approx(9, abs=FRAME),
    )  # fmt: skip
    assert row.score > 0.5


def test_what_is_left_out_is_named(measured: DetectionEvaluation) -> None:
    assert measured.unknown_labels == {"sousaphone": 1}
    assert measured.unread == (("gone.wav", "gone.wav: no such file"),)
    (a, b) = (recording.name for recording in measured.recordings)
    assert measured.problems == (
        "gone.wav: not among the recordings, 1 row left out",
        f"{a}: 1 row overlaps another of the same class: taken as one event each",
        "line 8: starts after the end of its recording",
        "1 row reaches beyond the end of its recording and was cut there, such as line 7 (to 30 of 10 s)",
    )
    assert b.endswith("b.wav")


def test_rows_that_end_after_their_recordings_are_counted_in_one_line(table: Path, bands: Classifier) -> None:
    rows = ["a.wav,14,15,high", "a.wav,19,20.05,high", "b.wav,9,11,low", "a.wav,17,99.5,high", "a.wav,1,99,sousaphone"]
    table.write_text("\n".join(["file,start,end,label", *rows]) + "\n")
    measured = evaluate_annotations(table, model=bands)
    (said,) = measured.problems[-1:]
    assert said == (
        "2 rows reach beyond the ends of their recordings and were cut there, such as line 5 (to 99.5 of 20 s)"
    )
    assert max(end for recording in measured.recordings for _, end, _ in recording.truth) == 20
    table.write_text("file,start,end,label\na.wav,19,20.05,high\n")  # what a tool rounds is no word worth
    assert evaluate_annotations(table, model=bands).problems == ()


def test_classes_that_the_table_does_not_name_are_not_measured(table: Path, bands: Classifier) -> None:
    table.write_text("file,start,end,label\na.wav,14,15,high\n")
    measured = evaluate_annotations(table, model=bands)
    assert (measured.labels, measured.other_events) == (("high",), 2)
    assert (measured.metrics.claims, measured.metrics.false_alarms) == (1, 0)
    both = evaluate_annotations(table, [table.parent / "a.wav", table.parent / "b.wav"], bands)
    assert (both.metrics.claims, both.metrics.false_alarms) == (2, 1)  # b has no row: there is no such event


def test_curves_end_where_nothing_is_found_and_thresholds_are_the_lowest_that_do(
    table: Path, bands: Classifier
) -> None:
    # six low tones of a second are annotated, six of a fifth of one, which score lower, are not
    long, short = [(4 * n + 1, 4 * n + 2) for n in range(6)], [(4 * n + 3, 4 * n + 3.1) for n in range(6)]
    sound = planted(30, *((start, end, LOW_HZ) for start, end in [*long, *short]))
    soundfile.write(table.parent / "a.wav", sound, RATE)
    table.write_text("file,start,end,label\n" + "".join(f"a.wav,{start},{end},low\n" for start, end in long))
    measured = evaluate_annotations(table, model=bands, merge_seconds=0.0)
    curve = measured.curve("low").set_index("onset_score")
    assert curve.loc[0.05, "reported"] == 12
    assert curve.loc[0.95, "reported"] == 6
    assert curve["reported"].is_monotonic_decreasing
    found = measured.thresholds_for(0.9)["low"]
    assert found is not None
    assert (found.precision, found.recall, found.reported) == (1.0, 1.0, 6)
    assert curve.loc[: found.score - 0.01, "precision"].max() < 0.9
    assert measured.thresholds_for(0.5)["low"] == Threshold(0.05, 0.5, 1.0, 12)


def test_a_threshold_is_not_chosen_by_a_handful(measured: DetectionEvaluation) -> None:
    assert measured.curve("high").set_index("onset_score").loc[0.65, "precision"] == 1.0  # of two events
    assert measured.thresholds_for(0.9) == {"low": None, "high": None}


def test_what_is_saved_is_read_back(table: Path, bands: Classifier, tmp_path: Path) -> None:
    long = [(4 * n + 1, 4 * n + 2) for n in range(6)]
    soundfile.write(table.parent / "a.wav", planted(30, *((*span, LOW_HZ) for span in long)), RATE)
    table.write_text("file,start,end,label\n" + "".join(f"a.wav,{start},{end},low\n" for start, end in long))
    measured = evaluate_annotations(table, model=bands)
    out = tmp_path / "out"
    measured.save(out, 0.9)
    assert json.loads((out / "detection.json").read_text()) == measured.to_json(0.9)
    pd.testing.assert_frame_equal(pd.read_csv(out / "per-class.csv"), measured.per_class(), check_dtype=False)
    curves = pd.read_csv(out / "curves.csv")
    assert len(curves) == 2 * 19
    assert pd.read_csv(out / "missed.csv").empty
    thresholds = read_thresholds(out / "thresholds.json").by_label
    assert thresholds == {"low": 0.05}
    again = evaluate_annotations(table, model=bands, thresholds=thresholds)
    assert again.metrics.precision >= 0.9
    assert len(escnn.detect(table.parent / "a.wav", bands, thresholds=thresholds).events) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "file,start,end,label\na.wav,1,2,sousaphone\n",
            "no row is of a class that the model has, such as 'sousa",
        ),
        ("file,start,end,label\ngone.wav,1,2,low\n", "none of its recordings is there, such as 'gone.wav'"),
        ("file,start,end,label\na.wav,2,1,low\n", "line 2: ends before it starts"),
        ("start,end,label\n1,2,low\n", "names no recording"),
        ("file,start,end,label\n", "no row can be measured: it has none"),
    ],
)
def test_what_cannot_be_measured_says_so(table: Path, bands: Classifier, text: str, said: str) -> None:
    table.write_text(text)
    with pytest.raises(UsageError, match=said):
        evaluate_annotations(table, model=bands)
