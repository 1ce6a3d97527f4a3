"""The page of an evaluation: its numbers agree, hostile names stay text, equal input gives equal bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from outline import Outline

from escnn.report.calibration import (
    CalibrationBin,
    calibration_error,
    calibration_in_words,
    reliability_dots,
    wilson_interval,
)
from escnn.report.confusion import (
    LEVELS,
    Cell,
    EvaluatedClip,
    class_rows,
    confusion_cells,
    in_words,
    macro_f1,
    most_confidently_wrong,
    side_by_side,
)
from escnn.report.curves import EpochScore, axis_from_zero, training_curves
from escnn.report.evaluation import (
    EvaluatedData,
    EvaluatedModel,
    EvaluationPage,
    FoldScore,
    duration,
    fold_spread,
    render_evaluation,
)

HOSTILE = [
    "<script>alert(1)</script>.wav",
    '"><img src=x onerror=alert(1)>.wav',
    "' onmouseover='alert(1)",
    "</title></style></script><h1>{{ 7 * 7 }}{% raw %}",
    "emoji 🐓 and \u202eright to left\u202c אבג",
    "&lt;b&gt; &amp;",
]


def bins_of(clips: list[EvaluatedClip], count: int = 15) -> list[CalibrationBin]:
    sorted_in = [[clip for clip in clips if min(int(clip.score * count), count - 1) == k] for k in range(count)]
    return [
        CalibrationBin(
            sum(clip.score for clip in part) / max(len(part), 1),
            sum(clip.true == clip.predicted for clip in part) / max(len(part), 1),
            len(part),
        )
        for part in sorted_in
    ]


def page_of(labels: list[str], clips: list[EvaluatedClip]) -> EvaluationPage:
    return EvaluationPage(
        title="ESC-50, fold 5",
        labels=labels,
        clips=clips,
        top5=0.975,
        log_loss=0.512,
        bins=bins_of(clips),
        data=EvaluatedData("ESC-50", "ab" * 32, (5,)),
        model=EvaluatedModel(
            name="default",
            parameters=2_718_322,
            measured="Fold 5, trained on folds 1 to 4.",
            sha256="cd" * 32,
            trained_on_folds=(1, 2, 3, 4),
            epochs=60,
            seed=7,
            seconds=4320.0,
        ),
        versions=(("escnn", "0.1.0"), ("torch", "2.14.1")),
        command="escnn evaluate runs/one --report page.html",
        created=datetime(2026, 11, 22, 17, 40, tzinfo=UTC),
        curves=[EpochScore(k, 3 / k, 0.1 * k, 0.15 * k if k % 2 else None) for k in range(1, 6)],
    )


@pytest.fixture
def page() -> EvaluationPage:
    """Six classes, ten clips, three mistakes; nothing is called "hen", and no clip is of a "cow"."""
    answers = [(0, 0), (0, 0), (0, 1), (0, 1), (1, 1), (1, 1), (2, 2), (3, 3), (4, 4), (5, 0)]
    labels = ["dog", "sea_waves", "rain", "cat", "cow", "hen"]
    clips = [
        EvaluatedClip(f"5-{k}.wav", true, said, 0.5 + 0.04 * k, 0.5 + 0.04 * k if true == said else 0.1, 5)
        for k, (true, said) in enumerate(answers)
        if true != 4
    ]
    clips.append(EvaluatedClip("5-a.wav", 3, 3, 0.99961, 0.99961, 5, mp3=b"fLaC of a cat"))
    clips[2] = replace(clips[2], mp3=b"fLaC of a wave")
    return page_of(labels, clips)


def many(classes: int = 50, clips: int = 1600) -> EvaluationPage:
    rng = np.random.default_rng(0)
    made = []
    for k in range(clips):
        right = rng.random() < 0.85
        score = float(rng.uniform(0.2, 1.0))
        said = k % classes if right else int(rng.integers(classes))
        made.append(
            EvaluatedClip(
                f"{1 + k % 4}-{100_000 + k}-A-{k % classes}.wav", k % classes, said, score, score / 3, 1 + k % 4
            )
        )
    return page_of([f"class_number_{k}" for k in range(classes)], made)


def test_the_policy_allows_exactly_the_style_and_script_there_are(page):
    outline = Outline(render_evaluation(page))
    (policy,) = (meta["content"] for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    for tag in ("style", "script"):
        (content,) = (text for name, attributes, text in outline.raw if name == tag and "type" not in attributes)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy


def test_nothing_is_loaded_and_nothing_runs_from_attributes(page):
    outline = Outline(render_evaluation(page))
    for tag, attributes in outline.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        for name in ("src", "href", "srcset", "poster", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    for _, _, content in outline.raw:
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|import\(|innerHTML|https?:", content)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_outside_are_text(page, name):
    hostile = replace(
        page,
        title=name,
        labels=[name] * len(page.labels),
        clips=[replace(clip, name=name) for clip in page.clips],
        data=replace(page.data, name=name),
        model=replace(page.model, name=name, measured=name),
        versions=((name, name),) * 2,
        command=name,
    )
    ours, theirs = Outline(render_evaluation(page)), Outline(render_evaluation(hostile))
    assert theirs.text.count(name) > 30
    shape, expected = ([(tag, sorted(attributes)) for tag, attributes in o.elements] for o in (theirs, ours))
    assert shape == expected, "a name makes no element and no attribute"
    assert name in Outline(render_evaluation(replace(page, warnings=(name,)))).text
    assert [raw for raw in theirs.raw if raw[0] == "script"] == [raw for raw in ours.raw if raw[0] == "script"]


def test_a_name_that_is_not_utf8(page):
    broken = replace(page, clips=[replace(clip, name="caf\udce9.wav") for clip in page.clips], labels=["\udce9"] * 6)
    html = render_evaluation(broken)
    html.encode("utf-8")
    assert "caf\\udce9.wav" in Outline(html).text


def test_the_same_content_gives_the_same_page_but_for_one_time(page):
    later = replace(page, created=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC))
    one, other = render_evaluation(page), render_evaluation(later)
    assert one == render_evaluation(page) and one != other
    assert len(Outline(one).all("time")) == 1
    assert Outline(other).all("time")[0]["datetime"] == "2031-01-02T03:04:05+00:00"
    without_time = [re.sub(r"<time.*?</time>", "", text) for text in (one, other)]
    assert without_time[0] == without_time[1]


def test_structure_for_those_who_do_not_see_it(page):
    outline = Outline(render_evaluation(replace(page, folds=[FoldScore(1, 5, 0.8, 1.0, 0.7)] * 2)))
    assert outline.all("html")[0]["lang"] == "en"
    for tag in ("h1", "main", "nav", "title"):
        assert len(outline.all(tag)) == 1, tag
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(below <= above + 1 for above, below in pairwise(levels)), "no level is skipped"
    assert len(outline.all("table")) == len(outline.all("caption")) > 5
    assert all(heading.get("scope") in {"col", "row"} for heading in outline.all("th"))
    named = [svg for svg in outline.all("svg") if svg.get("role") == "img"]
    assert len(named) == 4 and all(svg["aria-label"] for svg in named), "interval, two curves, calibration"
    hidden = [svg for svg in outline.all("svg") if svg.get("aria-hidden") == "true"]
    nested = [svg for svg in outline.all("svg") if svg.get("class") == "lines"]
    assert len(named) + len(hidden) + len(nested) == len(outline.all("svg"))
    assert all(
        box.get("tabindex") == "0" and box["aria-label"] for box in outline.all("div") if box.get("class") == "box"
    )
    skip = next(attributes for tag, attributes in outline.elements if tag in {"a", "button", "input"})
    assert skip["href"] == "#main", "the first thing to reach is the skip link"


def test_every_id_is_there_once_and_every_reference_leads_somewhere(page):
    for shown in (page, many(7, 60), replace(page, curves=())):
        outline = Outline(render_evaluation(shown))
        ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert {link["href"][1:] for link in outline.all("a")} <= set(ids)
        assert {a["aria-labelledby"] for _, a in outline.elements if "aria-labelledby" in a} <= set(ids)


def matrix_of(html: str) -> list[list[tuple[str, int]]]:
    """The confusion matrix as it is written: class and number of each cell, 0 for the empty ones."""
    table = html[html.index('<caption class="unseen">Confusion matrix') :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    cells = r'<td(?: class="(\w+)")?>(?:<a href="#cell-\d+-\d+" aria-label="[^"]*">(\d+)</a>)?</td>'
    return [[(name, int(count or 0)) for name, count in re.findall(cells, row)] for row in body.split("</tr>")[:-1]]


def test_the_matrix_counts_every_clip_where_it_belongs():
    shown = many(50, 1600)
    matrix = matrix_of(render_evaluation(shown))
    expected = np.zeros((50, 50), dtype=int)
    for clip in shown.clips:
        expected[clip.true, clip.predicted] += 1
    assert np.array_equal([[count for _, count in row] for row in matrix], expected)
    for k, row in enumerate(matrix):
        for j, (name, count) in enumerate(row):
            if count:
                share = count / sum(number for _, number in row)
                assert name[0] == ("r" if j == k else "w")
                assert (int(name[1:]) - 1) / LEVELS < share <= int(name[1:]) / LEVELS


def test_empty_cells_cannot_be_reached_and_the_others_say_what_they_are(page):
    html = render_evaluation(page)
    links = [link for link in Outline(html).all("a") if re.match(r"\d+ of", link.get("aria-label") or "")]
    assert len(links) == sum(count > 0 for row in matrix_of(html) for _, count in row) == 6
    labels = [link["aria-label"] for link in links]
    assert "2 of 4 clips of dog, taken for sea waves" in labels and "1 of 1 clip of hen, taken for dog" in labels
    assert "2 of 2 clips of cat, named right" in labels


def test_every_clip_is_listed_once_with_its_scores_without_script():
    shown = many(6, 200)
    html = render_evaluation(shown)
    lists = html[html.index('class="lists"') : html.index('id="classes"')]
    rows = re.findall(
        r'<tr><th scope="row"><bdi>([^<]+)</bdi></th><td>(\d)</td><td>([^<]+)</td>(?:<td>([^<]+)</td>)?</tr>', lists
    )
    assert Counter(name for name, *_ in rows) == Counter(clip.name for clip in shown.clips)
    for name, fold, score, true_score in rows:
        (clip,) = (clip for clip in shown.clips if clip.name == name)
        assert int(fold) == clip.fold and float(score.split()[0]) == pytest.approx(100 * clip.score, abs=0.051)
        assert bool(true_score) == (clip.true != clip.predicted)
    assert lists.count("<details>") == lists.count("<summary>") == len(confusion_cells(shown.clips)) + 2


def test_each_sound_is_inside_once(page):
    html = render_evaluation(page)
    for flac in (b"fLaC of a cat", b"fLaC of a wave"):
        assert html.count(base64.b64encode(flac).decode()) == 1
    players = Outline(html).all("audio")
    assert len(players) == 2 and all(player["preload"] == "none" and player["aria-label"] for player in players)
    (hear,) = (link for link in Outline(html).all("a") if link.get("class") == "hear")
    assert re.search(
        rf'id="{hear["href"][1:]}"><td>\d+</td><th scope="row"><bdi class="file">5-2.wav</bdi><audio ', html
    )


def test_the_data_island_is_an_order_of_all_classes():
    island, _ = (raw for raw in Outline(render_evaluation(many(12, 300))).raw if raw[0] == "script")
    assert island[1] == {"type": "application/json", "id": "orders"}
    assert sorted(json.loads(island[2])["confused"]) == list(range(12)) and "<" not in island[2]


def test_the_page_says_what_was_measured(page):
    words = Outline(render_evaluation(page)).words
    assert "ESC-50, fold 5: named right 70.0 %" in words and "7 of 10 clips." in words
    assert "guessing gets 16.7 %" in words and "Among its best five 97.5 %" in words and "Log loss 0.512" in words
    assert "2 718 322 parameters" in words and "cd" * 32 in words and "ab" * 32 in words
    assert "folds 1, 2, 3, 4, 60 epochs, seed 7, 1 h 12 min" in words
    assert "even scores for all 6 classes would give 1.79" in words  # ln 6


def test_the_page_without_its_optional_parts(page):
    few = [replace(clip, mp3=None) for clip in page.clips if clip.true == clip.predicted]
    model = EvaluatedModel("m", 1, "Somehow.")
    bare = page_of(page.labels[:4], few)
    outline = Outline(render_evaluation(replace(bare, curves=(), model=model, versions=())))
    assert "How it learnt" not in outline.text and "Among its best five" not in outline.text
    assert "No clip was named wrong." in outline.text and "Most often confused" not in outline.text
    assert "It names every one of them right." in outline.text and "Training" not in outline.text
    assert outline.all("audio") == [] and not [link for link in outline.all("a") if link["href"] == "#training"]


def test_folds_have_a_table_with_mean_and_deviation(page):
    folds = [FoldScore(k, 400, accuracy, 0.97, 0.8) for k, accuracy in enumerate([0.80, 0.84, 0.88, 0.92], 1)]
    assert fold_spread(folds)["accuracy"] == pytest.approx((0.86, 0.0516398), abs=1e-6)  # sqrt(0.008 / 3)
    assert "Mean 86.0 % ± 5.2 97.0 % ± 0.0 80.0 % ± 0.0" in Outline(render_evaluation(replace(page, folds=folds))).words
    assert fold_spread(folds[:1]) is None


def test_1600_clips_stay_below_700_kilobytes():
    assert len(render_evaluation(many(50, 1600)).encode()) < 700_000


@pytest.mark.parametrize(
    ("right", "clips", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(right, clips, low, high):
    """R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    assert wilson_interval(right, clips) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(clips - right, clips) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_rates_of_a_class_by_hand(page):
    rows = class_rows(6, confusion_cells(page.clips))
    dog, waves, hen, cow = ({row.id: row for row in rows}[k] for k in (0, 1, 5, 4))
    assert (dog.recall, dog.precision, dog.clips, dog.predicted) == (0.5, 2 / 3, 4, 3)
    assert dog.f1 == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    assert (waves.recall, waves.precision, waves.rival) == (1.0, 0.5, None)
    assert (hen.recall, hen.precision, hen.f1) == (0.0, None, 0.0) and hen.rival.predicted == 0
    assert (cow.recall, cow.precision, cow.f1, cow.clips) == (None, None, None, 0)
    assert [row.id for row in rows] == [5, 0, 1, 2, 3, 4], "the lowest recall first, those without clips last"
    assert macro_f1(rows) == pytest.approx((4 / 7 + 2 / 3 + 1 + 1 + 0) / 5)
    assert sum(row.clips for row in rows) == sum(row.predicted for row in rows) == len(page.clips)


def test_the_surest_mistakes_come_first():
    shown = many(20, 900)
    worst = [shown.clips[k] for k in most_confidently_wrong(shown.clips)]
    assert len(worst) == 20 and all(clip.true != clip.predicted for clip in worst)
    assert all(above.score >= below.score for above, below in pairwise(worst))
    others = [clip.score for clip in shown.clips if clip.true != clip.predicted and clip not in worst]
    assert max(others) <= worst[-1].score


def test_confused_classes_lie_side_by_side():
    """Two chains, 0-4-2 and 5-1, and a class that nothing was ever taken for."""
    pairs = {(0, 4): 3, (4, 2): 2, (5, 1): 4}
    cells = [Cell(true, said, range(count), 10) for (true, said), count in pairs.items()]
    order = side_by_side(6, [*cells, Cell(3, 3, range(10), 10)])
    assert sorted(order) == list(range(6))
    place = {label: k for k, label in enumerate(order)}
    assert all(abs(place[one] - place[other]) == 1 for one, other in pairs)
    assert order[-1] == 3
    assert side_by_side(3, [Cell(k, k, range(5), 5) for k in range(3)]) == [0, 1, 2], "nothing confused: as given"


def test_it_says_in_words_what_goes_wrong(page):
    cells = confusion_cells(page.clips)
    words = in_words(page.labels, cells, class_rows(6, cells))
    assert "every clip of 3 of the 5 classes" in words
    assert "Hardest is \u2068hen\u2069: 0 of 1 right." in words
    assert "\u2068dog\u2069 taken for \u2068sea waves\u2069, 2 of 4 clips" in words


@pytest.mark.parametrize(
    ("bins", "error", "expected"),
    [
        ([CalibrationBin(0.9, 0.7, 300), CalibrationBin(0.5, 0.5, 100)], 0.15, "too sure"),
        ([CalibrationBin(0.6, 0.9, 300), CalibrationBin(0.5, 0.5, 100)], 0.225, "too modest"),
        ([CalibrationBin(0.8, 0.81, 200), CalibrationBin(0.0, 0.0, 0)], 0.01, "about right"),
        ([CalibrationBin(0.8, 1.0, 200), CalibrationBin(0.6, 0.4, 200)], 0.2, "not in each bin"),
        ([CalibrationBin(0.9, 0.8, 20)], 0.1, "about right"),  # chance alone does that to 20 clips
    ],
)
def test_calibration_in_words(bins, error, expected):
    assert calibration_error(bins) == pytest.approx(error)
    assert expected in calibration_in_words(bins)[0]


def test_dots_cover_areas_as_their_bins_hold_clips():
    bins = [CalibrationBin(0.1, 0.0, 25), CalibrationBin(0.0, 0.0, 0), CalibrationBin(0.9, 0.9, 100)]
    small, large = reliability_dots(bins)
    assert (large.radius / small.radius) ** 2 == pytest.approx(100 / 25)
    assert (small.low, small.high, large.low, large.high) == pytest.approx((0, 1 / 3, 2 / 3, 1))
    assert large.height == 1 and small.height == 0.25


def test_curves_run_through_their_points_and_leave_out_what_was_not_measured(page):
    curves = training_curves(page.curves)
    held, learnt = curves.accuracy
    assert [x for x, _ in held.points] == [0, 0.5, 1] and len(learnt.points) == 5
    assert [y for _, y in held.points] == pytest.approx([0.15, 0.45, 0.75])
    assert held.path == "0.0,850.0 500.0,550.0 1000.0,250.0", "y runs downwards on a screen"
    assert curves.loss.points[0] == (0, 3 / curves.loss_top) and max(y for _, y in curves.loss.points) <= 1
    assert [label for label, _ in curves.epoch_ticks] == ["1", "2", "3", "4", "5"]
    assert "At the end: held-out fold 75.0" in curves.description
    once = training_curves([EpochScore(1, math.nan, 0.1), EpochScore(2, 1.0, 0.2)])
    assert once.loss.points == [(1, 1)], "a loss that is no number is no point"


def test_axes_hold_their_highest_value_with_few_round_ticks():
    for highest in (0.013, 0.2, 0.99, 1.0, 1.01, 3.9, 4.61, 7.0, 10.0, 49.9, 123.0):
        top, ticks = axis_from_zero(highest)
        assert highest <= top <= 2 * highest and 3 <= len(ticks) <= 7
        for label, place in ticks:
            assert float(label) == pytest.approx(place * top) and len(label) <= 5
    long = [EpochScore(k, 1.0, 0.5) for k in range(1, 61)]
    assert [label for label, _ in training_curves(long).epoch_ticks] == ["1", "10", "20", "30", "40", "50", "60"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(42, "42 s"), (600, "10 min"), (4320, "1 h 12 min"), (3599, "1 h 0 min")]
)
def test_lengths_of_time_as_one_says_them(seconds, text):
    assert duration(seconds).replace("\u00a0", " ") == text


def luminance(color: str) -> float:
    channels = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return float(
        np.dot(
            (0.2126, 0.7152, 0.0722), [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        )
    )


def test_the_numbers_in_the_matrix_stand_out_and_its_shades_grow():
    css = (resources.files("escnn.report") / "evaluation.css").read_text(encoding="utf-8")
    grounds = dict(re.findall(r"\.matrix \.box \.([rw]\d) \{ background: (#\w{6}); \}", css))
    swatches = dict(re.findall(r"\.shades \.([rw]\d) \{ fill: (#\w{6}); \}", css))
    assert swatches == grounds and len(grounds) == 2 * LEVELS
    inks = {
        name: ink if len(ink) == 7 else f"#{ink[1] * 2}{ink[2] * 2}{ink[3] * 2}"
        for names, ink in re.findall(r"\.matrix \.box :is\(([^)]*w\d)\) \{ color: (#\w+); \}", css)
        for name in re.findall(r"[rw]\d", names)
    }
    for name, ground in grounds.items():
        light, dark = sorted((luminance(ground), luminance(inks[name])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name
    for kind in "rw":
        shades = [luminance(grounds[f"{kind}{level}"]) for level in range(1, LEVELS + 1)]
        assert shades == sorted(shades)
