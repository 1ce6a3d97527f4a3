from __future__ import annotations

import base64
import io
import itertools
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report.outline import HOSTILE, Outline
from report.recording.made_up import MANY, START, made_up_events, recording_of, render

from escnn.report.recording.data import LISTED_ROWS
from escnn.report.recording.page import MOST_BYTES, recording_page


def data_of(html: str) -> Any:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    return json.loads(found)


def excerpts_of(html: str) -> dict[int, Any]:
    found = re.findall(r'<script type="application/json" id="excerpt-(\d+)">(.*?)</script>', html)
    return {int(number): json.loads(text) for number, text in found}


@pytest.mark.parametrize(("lowest", "shown"), [(0.2127, 212), (0.99, 300)])
def test_no_event_is_hidden_at_first_where_a_class_has_a_threshold_of_its_own(lowest: float, shown: int) -> None:
    events = [replace(event, score=max(0.99, event.score)) for event in made_up_events(5)]
    analysis = recording_of([*events[:-1], replace(events[-1], score=lowest)])
    assert analysis.found.settings.onset_score == 0.3
    html = render(analysis)
    assert data_of(html)["least"] == shown / 1000
    assert f'min="{shown}"' in html


def test_the_data_are_the_events() -> None:
    analysis = recording_of(made_up_events(144))
    data = data_of(render(analysis))
    assert data["name"] == "night.wav"
    assert data["path"] == "folder/night.wav"
    assert data["seconds"] == 4_200.0
    for number, event in enumerate(analysis.events):
        assert data["events"]["start"][number] == pytest.approx(1_000 * event.start, abs=0.6)
        assert data["events"]["end"][number] == pytest.approx(1_000 * event.end, abs=0.6)
        assert data["events"]["peak"][number] == pytest.approx(1_000 * event.peak, abs=0.6)
        assert data["events"]["score"][number] == pytest.approx(10_000 * event.score, abs=0.6)
        lane = data["lanes"][data["events"]["lane"][number]]
        assert (lane["label"], lane["class"]) == (event.label, event.class_id)
        excerpt = data["excerpts"][data["events"]["excerpt"][number]]
        assert excerpt[0] <= event.peak <= excerpt[1]
    counts = [(lane["background"], -lane["count"]) for lane in data["lanes"]]
    assert counts == sorted(counts), "the most frequent first, backgrounds last"
    assert data["start"] == START.replace(tzinfo=UTC).timestamp() * 1_000
    assert data["offsets"] is None
    assert all(one["tone"] != next_["tone"] for one, next_ in itertools.pairwise(data["lanes"]))


def test_an_excerpt_holds_its_sound_its_picture_and_the_evidence() -> None:
    analysis = recording_of(made_up_events(30))
    excerpts = excerpts_of(render(analysis))
    assert sorted(excerpts) == list(range(len(analysis.excerpts)))
    for number, document in excerpts.items():
        excerpt = analysis.excerpts[number]
        assert base64.b64decode(document["sound"]) == excerpt.sound
        with Image.open(io.BytesIO(base64.b64decode(document["picture"]))) as picture:
            assert picture.mode == "L"
            assert picture.size == excerpt.log_mel.shape[::-1]
            shades = np.asarray(picture, dtype=np.float32)
        decibels = document["low"] + shades[::-1] / 255 * (document["high"] - document["low"])
        assert np.abs(decibels - excerpt.log_mel).mean() < 4
        assert document["gain"] == 12
        for class_id, cells in excerpt.evidence.items():
            kept = document["evidence"][str(class_id)]
            values = np.frombuffer(base64.b64decode(kept["cells"]), dtype=np.uint8).reshape(-1, kept["columns"])
            assert values == pytest.approx(255 * cells, abs=0.51)


def test_without_a_script_the_events_are_a_table() -> None:
    events = made_up_events(40)
    outline = Outline(render(recording_of(events)))
    for event in events:
        assert event.label.replace("_", " ") in outline.words
    html = render(recording_of(events))
    row = r'<tr><th scope="row">(\d:\d\d:\d\d\.\d)</th>'
    rows = re.findall(row + r"<td>(\d\d:\d\d:\d\d)</td><td>[\d.]+ s</td>", html)
    assert len(rows) == 40
    noscript = html.index("<noscript>")
    assert noscript < html.index(rows[0][0], noscript) < html.index("</noscript>")
    seconds = [3600 * int(time[0]) + 60 * int(time[2:4]) + int(time[5:7]) for time, _ in rows]
    clocks = [3600 * int(clock[:2]) + 60 * int(clock[3:5]) + int(clock[6:]) for _, clock in rows]
    began = 3600 * START.hour + 60 * START.minute + START.second
    assert [clock - began for clock in clocks] == seconds
    without = render(recording_of(events, start=None))
    assert len(re.findall(row + r"<td>[\d.]+ s</td>", without)) == 40


@pytest.mark.parametrize("count", [144, 5_000, 20_000])
def test_a_page_has_15_mb_at_most_and_uses_them(count: int) -> None:
    analysis = recording_of(made_up_events(count))
    html = render(analysis)
    assert len(html.encode()) <= MOST_BYTES
    heard = len(excerpts_of(html))
    assert heard == len(analysis.excerpts) if count == 144 else len(html.encode()) > 0.9 * MOST_BYTES
    assert f"Of {heard} moments the sound lies in this file" in html


def test_what_does_not_fit_is_left_out_the_surest_of_every_class_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("escnn.report.recording.page.MOST_BYTES", 2_500_000)
    analysis = recording_of(made_up_events(300))
    html = render(analysis)
    assert 1_500_000 < len(html.encode()) <= 2_500_000
    kept = set(excerpts_of(html))
    for class_id in range(22):
        mine = [k for k, event in enumerate(analysis.events) if event.class_id == class_id]
        surest = max(mine, key=lambda k: analysis.events[k].score)
        assert analysis.excerpt_of[surest] in kept
    heard = sum(number in kept for number in analysis.excerpt_of)
    assert f"{heard} can be heard on this page" in Outline(html).words


def test_of_too_many_events_the_surest_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LISTED_ROWS == 20_000
    monkeypatch.setattr("escnn.report.recording.data.LISTED_ROWS", 25)
    events = made_up_events(100)
    html = render(recording_of(events))
    assert "The surest 25 of 100 events" in Outline(html).words
    times = re.findall(r"<tr><th scope=\"row\">([\d:.]+)</th>", html)
    assert len(times) == 25
    assert times == sorted(times)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_or_label_harms_a_page(text: str) -> None:
    card = replace(MANY, name=text, labels=tuple(f"{text}{number}" for number in range(22)))
    events = made_up_events(60, card=card)
    analysis = recording_of(events, card=card, name=text, warnings=(text,))
    html = recording_page(analysis, command=["detect", text])
    outline = Outline(html)
    quiet = replace(MANY, labels=tuple(f"calm{number}" for number in range(22)))
    calm = Outline(render(recording_of(made_up_events(60, card=quiet), card=quiet, warnings=("a",))))
    assert [tag for tag, _ in outline.elements] == [tag for tag, _ in calm.elements]
    assert data_of(html)["lanes"][0]["label"].startswith(text)
    for _, attributes in outline.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    policy = next(str(meta["content"]) for meta in outline.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")


def test_a_page_holds_no_control_character_and_nothing_that_is_no_unicode() -> None:
    card = replace(MANY, labels=tuple(f"a\x07b\x9b{number}" for number in range(22)))
    html = recording_page(recording_of(made_up_events(40, card=card), card=card, name="a\x07\udcff.wav"))
    assert not set(html) & {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
    html.encode("utf-8")


def test_sections_are_there_when_there_is_something_in_them() -> None:
    def sections(html: str) -> list[str | None]:
        return [section["id"] for section in Outline(html).all("section")]

    everything = ["verdict", "timeline", "events", "activity", "moment", "origin", "reading"]
    assert sections(render(recording_of(made_up_events(144)))) == everything
    assert sections(render(recording_of([]))) == ["verdict", "timeline", "origin", "reading"]
    without_clock = [name for name in everything if name != "activity"]
    assert sections(render(recording_of(made_up_events(144), start=None))) == without_clock
    short = recording_of(made_up_events(20, 100.0), 100.0, start=datetime(2024, 7, 2, 4, 41))
    assert "activity" not in sections(render(short)), "ten minutes of the clock, and nothing to compare them with"


def test_the_activity_counts_every_event() -> None:
    html = render(recording_of(made_up_events(144)))
    row = html[html.index('<tr class="all">') :]
    row = row[: row.index("</tr>")]
    assert sum(int(number) for number in re.findall(r"</svg>(\d+)</td>", row)) == 144


def test_the_same_recording_gives_the_same_page_but_for_its_time() -> None:
    one, other = (recording_page(recording_of(made_up_events(30))) for _ in range(2))
    assert re.sub("<time.*?</time>", "", one) == re.sub("<time.*?</time>", "", other)


def test_the_long_term_spectrogram_lies_where_its_time_is() -> None:
    outline = Outline(render(recording_of([])))
    tiles = [(float(str(image["x"])[:-1]), float(str(image["width"])[:-1])) for image in outline.all("image")]
    assert tiles[0][0] == 0
    for (left, width), (following, _) in itertools.pairwise(tiles):
        assert left + width == pytest.approx(following, abs=0.02)
    assert sum(tiles[-1]) == pytest.approx(100, abs=0.1)
