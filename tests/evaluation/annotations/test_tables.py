"""Annotations as the field's tools write them, and what goes wrong in them."""

from pathlib import Path

import pytest

from escnn.errors import UsageError
from escnn.evaluation.annotations.tables import Row, Table, read_table

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin Path\t"
    "File Offset (s)\tSpecies\n"
    "1\tWaveform 1\t1\t61.5\t62.5\t0\t1000\tC:\\card\\B.wav\t1.5\tdog\n"
    "1\tSpectrogram 1\t1\t61.5\t62.5\t0\t1000\tC:\\card\\B.wav\t1.5\tdog\n"
    "2\tSpectrogram 1\t1\t3\t4.25\t0\t1000\tC:\\card\\A.wav\t3\tcat\n"
)
AUDACITY = "1.500000\t2.500000\tdog\n\\\t100.0\t2000.0\n3.000000\t4.250000\tcat\n"
CSV = "file,start,end,label\nB.wav,1.5,2.5,dog\nA.wav,3,4.25,cat\n"
OURS = (
    "path,start_seconds,end_seconds,peak_seconds,label,class_id,score,start_time,end_time\r\n"
    "B.wav,1.5,2.5,2,dog,0,0.9,2024-07-02T06:44:05.500,2024-07-02T06:44:06.500\r\nA.wav,3,4.25,4,cat,5,0.8,,\r\n"
)
DCASE = "filename\tonset\toffset\tevent_label\nB.wav\t1.5\t2.5\tdog\nA.wav\t3\t4.25\tcat\n"
JSON_LINES = (
    '{"schema": "escnn.event/1", "path": "B.wav", "start_seconds": 1.5, "end_seconds": 2.5, "label": "dog"}\n'
    '{"schema": "escnn.recording/1", "path": "B.wav", "status": "ok", "events": 1}\n\n'
    '{"schema": "escnn.event/1", "path": "A.wav", "start_seconds": 3.0, "end_seconds": 4.25, "label": "cat"}\n'
)
EXCEL = "Datei;File;Start;End;Label\nx;B.wav;1,5;2,5;dog\nx;A.wav;3;4,25;cat\n"


def read(folder: Path, text: str, encoding: str = "utf-8") -> Table:
    path = folder / "table"
    path.write_bytes(text.encode(encoding))
    return read_table(path)


def spans(table: Table) -> list[tuple[float, float, str]]:
    return [(row.start, row.end, row.label) for row in table.rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", [RAVEN, AUDACITY, CSV, OURS, DCASE, EXCEL, JSON_LINES])
def test_tables_of_the_fields_tools_hold_the_same(tmp_path: Path, text: str, encoding: str) -> None:
    table = read(tmp_path, text, encoding)
    assert spans(table) == [(1.5, 2.5, "dog"), (3.0, 4.25, "cat")]
    assert table.problems == ()
    assert table.names_files is (text is not AUDACITY)
    if table.names_files:
        assert [row.file[-5:] for row in table.rows] == ["B.wav", "A.wav"]


def test_what_detect_writes_is_read(tmp_path: Path) -> None:
    from escnn.audio.log_mel import AudioConfig
    from escnn.detection.output.tables import write_table

    events = [
        {"schema": "escnn.event/1", "path": "a b.wav", "start_seconds": 1.5, "end_seconds": 2.5, "peak_seconds": 2.0,
         "label": 'a, "b"', "class_id": 0, "score": 0.5},
    ]  # fmt: skip
    for kind in ("csv", "raven", "audacity"):
        write_table(kind, events, tmp_path / kind, AudioConfig())
        assert spans(read_table(tmp_path / kind)) == [(1.5, 2.5, 'a, "b"')]


def test_lines_that_are_no_events_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    event = JSON_LINES.partition("\n")[0]
    other = ['{"schema": "escnn.event/1", "path": "B.wav"}', "[1]", "5", event.replace("1.5", '"x"'), event[:40]]
    table = read(tmp_path, "\n".join([event, *other, event.replace("2.5", "1.0")]))
    assert table.rows == (Row(1, "B.wav", 1.5, 2.5, "dog"),)
    assert table.problems == (
        "line 2, line 3, line 4 and 2 more: no event of `escnn detect`",
        "line 7: ends before it starts",
    )


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        (b"PAR1\x15\x04", "but parquet", "`escnn detect --format csv`"),
        (b"PK\x03\x04\x14\x00", "but a workbook", "as CSV"),
        (b'{"schema": "escnn.prediction/1"}', "JSON, but no event of `escnn detect`", "Raven"),
        (b"[\n]", "JSON, but no event of `escnn detect`", "JSON Lines"),
        (b"{" * 100_000, "JSON, but no event", "Audacity"),
        (b"a,b\n", "no column of starts", "CSV or TSV"),
    ],
)
def test_what_is_of_another_kind_is_named_and_so_is_what_is_read(
    tmp_path: Path, content: bytes, said: str, hint: str
) -> None:
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(UsageError, match=said) as refused:
        read_table(tmp_path / "table")
    assert hint in str(refused.value.hint)


def test_rows_that_make_no_sense_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    rows = [
        "a,1,2,dog",
        "a,5,4,dog",
        "a,x,4,dog",
        "a,nan,4,dog",
        "",
        "a,5,5,dog",
        "a,-1,4,dog",
        "a,1,2,",
        "a,7",
        "a,8,9,cat",
    ]
    table = read(tmp_path, "file,start,end,label\n" + "\n".join([*rows, *["a,9,8,dog"] * 4]) + "\n")
    assert table.rows == (Row(2, "a", 1.0, 2.0, "dog"), Row(11, "a", 8.0, 9.0, "cat"))
    assert table.problems == (
        "line 3, line 12, line 13 and 2 more: ends before it starts",
        "line 4, line 5, line 10: a time is no number",
        "line 7: has no length",
        "line 8: starts before its recording",
        "line 9: has no label",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column of starts"),
        ("file,begin,label\na,1,dog\n", "no column of ends"),
        ("start,end\n1,2\n", "no column of labels"),
        ("\udcff\udcfe\udcfd", "cannot be used"),
        ("start,end,label\n" + "1" * 200_000, "cannot be used"),
    ],
)
def test_what_is_no_table_says_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=said):
        read_table(path)
    with pytest.raises(UsageError, match="cannot be used"):
        read_table(tmp_path / "gone")
