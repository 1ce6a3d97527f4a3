"""The page of an evaluation: its numbers agree, hostile names stay text, equal input gives equal bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import tone
from report.colors import contrast, luminance
from report.evaluation.made_up import card, evaluation_of, history, large, small
from report.outline import HOSTILE, Outline

from escnn.audio.decoding import load_audio
from escnn.audio.encoding import encode
from escnn.evaluation.evaluation import Evaluation
from escnn.report.evaluation.confusion import LEVELS, confusion_cells
from escnn.report.evaluation.page import confident_mistakes, duration, evaluation_page, hardest_first

WHEN = datetime(2026, 11, 22, 17, 40, tzinfo=UTC)


def page_of(evaluation: Evaluation, **options: Any) -> str:
    return evaluation_page(
        evaluation,
        **{
            "history": history(),
            "command": ["evaluate", "--model", "runs/one", "--report"],
            "created": WHEN,
            **options,
        },
    )


@pytest.fixture
def page() -> str:
    return page_of(small())


@pytest.fixture
def with_sounds(tmp_path: Path) -> Evaluation:
    """The small evaluation, its clips sounds on disk, no two alike."""
    paths = [tmp_path / f"{number}.wav" for number in range(10)]
    for number, path in enumerate(paths):
        soundfile.write(path, tone(300 + 100 * number, 0.1, 44_100), 44_100)
    evaluation = small()
    clips = [replace(clip, path=path) for clip, path in zip(evaluation.clips, paths, strict=True)]
    return replace(evaluation, clips=tuple(clips))


def test_the_policy_allows_exactly_the_style_and_script_there_are(page: str) -> None:
    outline = Outline(page)
    (policy,) = (meta["content"] for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    for tag in ("style", "script"):
        (content,) = (text for name, attributes, text in outline.raw if name == tag and "type" not in attributes)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def test_nothing_is_loaded_and_nothing_runs_from_attributes(page: str) -> None:
    outline = Outline(page)
    for tag, attributes in outline.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        for name in ("src", "href", "srcset", "poster", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    for _, _, content in outline.raw:
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|import\(|innerHTML|https?:", content)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_outside_are_text(page: str, name: str) -> None:
    evaluation = small()
    hostile = replace(
        evaluation,
        labels=(name,) * 6,
        clips=tuple(replace(clip, name=name) for clip in evaluation.clips),
        models={5: replace(card([name] * 6), name=name)},
        data_name=name,
        versions={name: name, "torch": name},
    )
    ours, theirs = Outline(page), Outline(page_of(hostile, command=[name]))
    assert theirs.text.count(name) > 30
    shape, expected = ([(tag, sorted(attributes)) for tag, attributes in o.elements] for o in (theirs, ours))
    assert shape == expected, "a name makes no element and no attribute"
    assert [raw for raw in theirs.raw if raw[0] == "script"] == [raw for raw in ours.raw if raw[0] == "script"]


def test_a_name_that_is_not_utf8() -> None:
    evaluation = small()
    clips = tuple(replace(clip, name="caf\udce9.wav") for clip in evaluation.clips)
    html = page_of(replace(evaluation, clips=clips, labels=("\udce9",) * 6))
    html.encode("utf-8")
    assert "caf\\udce9.wav" in Outline(html).text


def test_the_same_content_gives_the_same_page_but_for_one_time(page: str) -> None:
    later = page_of(small(), created=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert page == page_of(small())
    assert page != later
    assert len(Outline(page).all("time")) == 1
    assert Outline(later).all("time")[0]["datetime"] == "2031-01-02T03:04:05+00:00"
    without_time = [re.sub(r"<time.*?</time>", "", text) for text in (page, later)]
    assert without_time[0] == without_time[1]


def test_structure_for_those_who_do_not_see_it() -> None:
    outline = Outline(page_of(large(6, 60)))
    assert outline.all("html")[0]["lang"] == "en"
    for tag in ("h1", "main", "nav", "title"):
        assert len(outline.all(tag)) == 1, tag
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(below <= above + 1 for above, below in pairwise(levels)), "no level is skipped"
    assert len(outline.all("table")) == len(outline.all("caption")) > 5
    assert all(heading.get("scope") in {"col", "row"} for heading in outline.all("th"))
    named = [svg for svg in outline.all("svg") if svg.get("role") == "img"]
    assert len(named) == 4, "interval, two curves, calibration"
    assert all(svg["aria-label"] for svg in named)
    hidden = [svg for svg in outline.all("svg") if svg.get("aria-hidden") == "true"]
    nested = [svg for svg in outline.all("svg") if svg.get("class") == "lines"]
    assert len(named) + len(hidden) + len(nested) == len(outline.all("svg"))
    boxes = [box for box in outline.all("div") if box.get("class") == "box"]
    assert all(box.get("tabindex") == "0" and box["aria-label"] for box in boxes)
    skip = next(attributes for tag, attributes in outline.elements if tag in {"a", "button", "input"})
    assert skip["href"] == "#main", "the first thing to reach is the skip link"


def test_every_id_is_there_once_and_every_reference_leads_somewhere(page: str) -> None:
    for html in (page, page_of(large(7, 60)), page_of(small(), history=())):
        outline = Outline(html)
        ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert {str(link["href"])[1:] for link in outline.all("a")} <= set(ids)
        assert {a["aria-labelledby"] for _, a in outline.elements if "aria-labelledby" in a} <= set(ids)


def matrix_of(html: str) -> list[list[tuple[str, int]]]:
    """The confusion matrix as it is written: class and number of each cell, 0 for the empty ones."""
    table = html[html.index('<caption class="unseen">Confusion matrix') :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    cells = r'<td(?: class="(\w+)")?>(?:<a href="#cell-\d+-\d+" aria-label="[^"]*">(\d+)</a>)?</td>'
    return [[(name, int(count or 0)) for name, count in re.findall(cells, row)] for row in body.split("</tr>")[:-1]]


def test_the_matrix_counts_every_clip_where_it_belongs() -> None:
    evaluation = large(50, 1600)
    matrix = matrix_of(page_of(evaluation))
    expected = np.zeros((50, 50), dtype=int)
    for true, scores in zip(evaluation.truth, evaluation.scores, strict=True):
        expected[true, scores.argmax()] += 1
    assert np.array_equal([[count for _, count in row] for row in matrix], expected)
    for k, row in enumerate(matrix):
        for j, (name, count) in enumerate(row):
            if count:
                share = count / sum(number for _, number in row)
                assert name[0] == ("r" if j == k else "w")
                assert (int(name[1:]) - 1) / LEVELS < share <= int(name[1:]) / LEVELS


def test_empty_cells_cannot_be_reached_and_the_others_say_what_they_are(page: str) -> None:
    links = [link for link in Outline(page).all("a") if re.match(r"\d+ of", link.get("aria-label") or "")]
    assert len(links) == sum(count > 0 for row in matrix_of(page) for _, count in row) == 6
    labels = [link["aria-label"] for link in links]
    assert "2 of 4 clips of dog, taken for sea waves" in labels
    assert "1 of 1 clip of hen, taken for dog" in labels
    assert "2 of 2 clips of cat, correct" in labels


def test_every_clip_is_listed_once_with_its_scores_without_script() -> None:
    evaluation = large(6, 200)
    html = page_of(evaluation)
    lists = html[html.index('class="lists"') : html.index('id="classes"')]
    rows = re.findall(
        r'<tr><th scope="row"><bdi>([^<]+)</bdi></th><td>(\d)</td><td>([^<]+)</td>(?:<td>([^<]+)</td>)?</tr>', lists
    )
    places = {clip.name: number for number, clip in enumerate(evaluation.clips)}
    assert Counter(name for name, *_ in rows) == Counter(places.keys())
    for name, fold, score, true_score in rows:
        number = places[name]
        scores, true = evaluation.scores[number], evaluation.truth[number]
        assert int(fold) == evaluation.clips[number].fold
        assert float(score.split()[0]) == pytest.approx(100 * scores.max(), abs=0.051)
        assert bool(true_score) == (scores.argmax() != true)
        if true_score:
            assert float(true_score.split()[0]) == pytest.approx(100 * scores[true], abs=0.051)
    assert lists.count("<details>") == lists.count("<summary>") == len(confusion_cells(evaluation)) + 2


def test_each_sound_is_inside_once(with_sounds: Evaluation) -> None:
    html = page_of(with_sounds, embed_audio=True)
    for clip in with_sounds.clips:
        sound = load_audio(clip.path)
        assert html.count(base64.b64encode(encode(sound.samples, sound.sample_rate, "MP3")).decode()) == 1
    players = Outline(html).all("audio")
    assert len(players) == 10
    assert all(player["preload"] == "none" and player["aria-label"] for player in players)
    listen = [link for link in Outline(html).all("a") if link.get("class") == "hear"]
    assert len(listen) == 3, "the mistakes are played in the list of mistakes"
    for link in listen:
        name = re.match(r"Listen to (\S+),", str(link["aria-label"]))
        assert name
        place = rf'id="{str(link["href"])[1:]}"><td>\d+</td><th scope="row"><bdi class="file">{name[1]}</bdi><audio '
        assert re.search(place, html)


def test_the_data_island_is_an_order_of_all_classes() -> None:
    island, _ = (raw for raw in Outline(page_of(large(12, 300))).raw if raw[0] == "script")
    assert island[1] == {"type": "application/json", "id": "orders"}
    assert sorted(json.loads(island[2])["confused"]) == list(range(12))
    assert "<" not in island[2]


def test_the_page_says_what_was_measured(page: str) -> None:
    words = Outline(page).words
    assert "ESC-50, fold 5: accuracy 70.0 %" in words
    assert "7 of 10 clips right." in words
    assert "Measured on the 10 clips of fold 5." in words
    assert "Top-5 accuracy 100.0 %" in words
    assert "cd" * 32 in words
    assert "ab" * 32 in words
    assert f"{small().model.parameters:,} parameters".replace(",", " ") in words
    assert "folds 1, 2, 3, 4, 60 epochs, seed 7, 1 h 12 min" in words
    assert "escnn evaluate --model runs/one --report" in words
    assert "even scores for all 6 classes would give 1.79" in words  # ln 6


def test_the_figures_are_those_of_the_evaluation() -> None:
    evaluation = large(12, 300)
    words = Outline(page_of(evaluation)).words
    assert f"Top-5 accuracy {100 * evaluation.top_k_accuracy(5):.1f} %" in words
    assert f"Macro F1 {100 * evaluation.macro_f1:.1f} %" in words
    assert f"Log loss {evaluation.log_loss:.3g}" in words
    assert words.count(f"alibration error {100 * evaluation.calibration_error:.1f} %") == 2


@pytest.mark.parametrize(
    ("right", "clips", "low", "high"),
    [(81, 263, "25.5", "36.6"), (15, 148, "6.2", "16.0"), (0, 20, "0.0", "16.1"), (1, 29, "0.6", "17.2")],
)
def test_the_interval_is_the_published_one(right: int, clips: int, low: str, high: str) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    answers = [(0, 0, 0.9, 0.9)] * right + [(0, 1, 0.9, 0.1)] * (clips - right)
    words = Outline(page_of(evaluation_of(["a", "b"], answers))).words
    assert f"95 % interval {low} % to {high} %" in words


def test_the_baseline_is_the_most_frequent_class() -> None:
    """Eight of the twenty clips are "low": always saying so gets 40 %, which guessing one of three would not."""
    answers = [(true, 0, 0.5, 0.5 if true == 0 else 0.3) for true in [0] * 8 + [1] * 6 + [2] * 6]
    html = page_of(evaluation_of(["low", "middle", "high"], answers))
    assert "always naming the most frequent class: 40.0 %" in Outline(html).words
    assert 'class="baseline" x1="40.00%"' in html
    assert "most frequent class: 33.3 %" not in Outline(html).words
    many = evaluation_of(list("abcdefg"), [(k, k, 0.9, 0.9) for k in (0, 0, 0, 0, 1, 2, 3, 4, 5, 6)])
    assert "the five most frequent classes reaches 80.0 %" in Outline(page_of(many)).words


@pytest.mark.parametrize(("classes", "shown"), [(2, False), (5, False), (6, True)])
def test_there_is_no_top_5_of_five_classes(classes: int, shown: bool) -> None:
    answers = [(k % classes, k % classes, 0.9, 0.9) for k in range(20)]
    evaluation = evaluation_of([f"c{k}" for k in range(classes)], answers, folds=[1, 2] * 10)
    words = Outline(page_of(evaluation)).words
    assert ("Top-5 accuracy" in words) == shown
    assert ("Clips Accuracy Top 5 Macro F1" in words) == shown
    assert ("Clips Accuracy Macro F1" in words) != shown


def test_the_page_without_its_optional_parts() -> None:
    answers = [(k % 4, k % 4, 0.9, 0.9) for k in range(8)]
    evaluation = evaluation_of(["a", "b", "c", "d"], answers)
    model = replace(evaluation.model, training={})
    html = page_of(replace(evaluation, models={5: model}, versions={}), history=(), command=())
    outline = Outline(html)
    assert "There are none: every clip is right." in outline.text
    assert "Every class is without a mistake." in outline.text
    for absent in ("Training", "Most often confused", "Fold by fold", "Command"):
        assert absent not in outline.text, absent
    assert outline.all("audio") == []
    assert not [link for link in outline.all("a") if link["href"] == "#training"]


def test_folds_have_a_table_with_all_clips_and_deviation() -> None:
    right = {1: 8, 2: 10, 3: 6, 4: 8}  # of 10
    answers, folds = [], []
    for fold, count in right.items():
        for number in range(10):
            true = number % 2
            answers.append((true, true, 0.9, 0.9) if number < count else (true, 1 - true, 0.9, 0.1))
            folds.append(fold)
    words = Outline(page_of(evaluation_of(["a", "b"], answers, folds=folds))).words
    assert "ESC-50, folds 1 to 4: accuracy 80.0 %" in words
    assert "1 10 80.0 % 80.0 % 2 10 100.0 % 100.0 %" in words
    assert "All 40 80.0 % ± 16.3 80.0 % ± 16.3" in words  # sqrt(0.08 / 3)
    assert "Every clip was scored by the model that was not trained on its fold." in words
    assert "4 models, one a fold" in words
    assert "60 epochs, seed 7" in words
    assert "1 h 12 min" not in words, "of one of them only"


def test_it_warns_of_clips_that_the_model_was_trained_on_and_tells_of_test_time_augmentation() -> None:
    evaluation = small()
    trained = replace(evaluation, models={5: card(evaluation.labels, fold=1)}, tta=3)
    words = Outline(page_of(trained)).words
    assert "the model was trained on fold 5: its figures say little about new sounds" in words
    assert "with test-time augmentation: every window was scored in 3 ways." in words
    assert "trained on fold" not in Outline(page_of(evaluation)).words


def test_1600_clips_stay_below_700_kilobytes() -> None:
    assert len(page_of(large(50, 1600)).encode()) < 700_000


def test_classes_come_with_their_rates_the_lowest_recall_first_those_without_clips_last(page: str) -> None:
    assert [row.Index for row in hardest_first(small())] == [5, 0, 1, 2, 3, 4]
    table = page[page.index('id="classes"') : page.index('id="wrong"')]
    rows = [" ".join(re.sub("<[^>]+>", " ", row).split()) for row in re.findall("<tr>.*?</tr>", table)]
    assert rows[1:3] == ["hen 0.0 % – 0.0 % 1 0 dog 1 of 1", "dog 50.0 % 66.7 % 57.1 % 4 3 sea waves 2 of 4"]
    assert rows[-1] == "cow – – – 0 0"


def test_the_surest_mistakes_come_first() -> None:
    evaluation = large(20, 900)
    highest, wrong = evaluation.scores.max(axis=1), set(np.flatnonzero(evaluation.predicted != evaluation.truth))
    worst = confident_mistakes(evaluation)
    assert len(worst) == 20
    assert set(worst) <= wrong
    assert all(highest[above] >= highest[below] for above, below in pairwise(worst))
    assert max(highest[index] for index in wrong - set(worst)) <= highest[worst[-1]]


@pytest.mark.parametrize(
    ("seconds", "text"), [(42, "42 s"), (600, "10 min"), (4320, "1 h 12 min"), (3599, "1 h 0 min")]
)
def test_lengths_of_time_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\u00a0", " ") == text


def test_the_numbers_in_the_matrix_stand_out_and_its_shades_grow() -> None:
    css = (resources.files("escnn.report") / "evaluation" / "evaluation.css").read_text(encoding="utf-8")
    grounds = dict(re.findall(r"\.matrix \.box \.([rw]\d) \{ background: (#\w{6}); \}", css))
    swatches = dict(re.findall(r"\.shades \.([rw]\d) \{ fill: (#\w{6}); \}", css))
    assert swatches == grounds
    assert len(grounds) == 2 * LEVELS
    inks = {
        name: ink
        for names, ink in re.findall(r"\.matrix \.box :is\(([^)]*w\d)\) \{ color: (#\w+); \}", css)
        for name in re.findall(r"[rw]\d", names)
    }
    for name, ground in grounds.items():
        assert contrast(ground, inks[name]) >= 4.5, name
    for kind in "rw":
        shades = [luminance(grounds[f"{kind}{level}"]) for level in range(1, LEVELS + 1)]
        assert shades == sorted(shades)
