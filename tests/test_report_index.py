"""The page over several clips: a card each with a link that leads to its page whatever it is called, and no script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from outline import Outline
from test_report_evaluation import HOSTILE

from escnn.report import ClassScore
from escnn.report.index import IndexClip, IndexFailure, IndexPage, relative_href, render_index


def clip(name: str, label: str = "dog", score: float = 0.81) -> IndexClip:
    answers = (ClassScore(label, score), ClassScore("washing_machine", 0.12), ClassScore("cat", 0.04))
    picture = f"PNG {name}".encode(errors="backslashreplace")
    return IndexClip(name, f"{name}/index.html", (*answers, ClassScore("cow", 0.01)), picture, 5.0)


@pytest.fixture
def page() -> IndexPage:
    return IndexPage(
        clips=(clip("b.wav"), clip("a.wav", "sea_waves"), clip("c.wav", score=0.99961)),
        failures=(IndexFailure("notes.txt", "not a sound", "Convert it to WAV."),),
        model_name="default",
        model_sha256="cd" * 32,
        versions=(("escnn", "0.1.0"), ("torch", "2.14.1")),
        command="escnn visualize sounds --out report",
        created=datetime(2026, 11, 22, 17, 40, tzinfo=UTC),
    )


def links(html: str) -> list[str]:
    """Addresses that lead off the page, in its order."""
    return [link["href"] for link in Outline(html).all("a") if not link["href"].startswith("#")]


@pytest.mark.parametrize(
    "name",
    [
        *HOSTILE,
        "two words.wav",
        "100%.wav",
        "a#b?c=d&e.wav",
        "javascript:alert(1)",
        "//elsewhere.org/x",
        "../up",
        "caf\udce9",
    ],
)
def test_a_link_leads_to_its_page_and_nowhere_else(page, name):
    (href,) = links(render_index(replace(page, clips=(clip(name),))))
    parts = urlsplit(href)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert unquote_to_bytes(parts.path) == f"./{name}/index.html".encode("utf-8", "surrogateescape")
    assert urljoin("http://here.org/report/", href).startswith("http://here.org/")


def test_a_name_that_no_file_system_can_hold_still_gives_a_link():
    assert relative_href("\ud800") == "./%ED%A0%80"


def test_nothing_runs_and_nothing_is_loaded(page):
    outline = Outline(render_index(page))
    assert outline.all("script") == []
    for tag, attributes in outline.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        assert (attributes.get("src") or "data:").startswith("data:")
    ((_, _, style),) = outline.raw
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (meta["content"] for meta in outline.all("meta") if "http-equiv" in meta)
    assert f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"url\(|@import|https?:", style)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_outside_are_text(page, name):
    hostile = replace(
        page,
        clips=tuple(
            replace(each, name=name, page=name, scores=[ClassScore(f"{name}{k}", 0.5) for k in range(4)])
            for each in page.clips
        ),
        failures=(IndexFailure(name, name, name),),
        model_name=name,
        versions=((name, name),) * 2,
        command=name,
    )
    same_label = tuple(replace(each, scores=page.clips[0].scores) for each in page.clips)
    ours, theirs = Outline(render_index(replace(page, clips=same_label))), Outline(render_index(hostile))
    assert theirs.text.count(name) > 10
    shape, expected = ([(tag, sorted(attributes)) for tag, attributes in o.elements] for o in (theirs, ours))
    assert shape == expected, "a name makes no element and no attribute"
    warned = replace(page, clips=[replace(page.clips[0], warnings=[name])])
    assert name in Outline(render_index(warned)).text


def test_cards_come_in_the_order_given_each_with_its_picture(page):
    html = render_index(page)
    assert links(html) == ["./b.wav/index.html", "./a.wav/index.html", "./c.wav/index.html"]
    pictures = [base64.b64decode(image["src"].split(",")[1]) for image in Outline(html).all("img")]
    assert pictures == [each.spectrogram_png for each in page.clips]
    assert [image["alt"] for image in Outline(html).all("img")][1].startswith("Spectrogram of a.wav, 5.0 seconds")


def test_it_says_what_was_heard_and_what_failed(page):
    words = Outline(render_index(page)).words
    assert "The network heard 3 sounds" in words and "1 file could not be read. Named by the model default." in words
    assert "dog 81.0 % b.wav 5.0 s then washing machine 12.0 %, cat 4.0 %" in words and "cow" not in words
    assert "notes.txt not a sound Convert it to WAV." in words
    assert "> 99.9 %" in words and "cd" * 32 in words
    assert "Class Sounds dog 2 sea waves 1 " in words


def test_counts_add_up_to_the_clips(page):
    labels = ["dog", "cat", "cat", "rain", "cat", "dog"]
    html = render_index(replace(page, clips=[clip(f"{k}.wav", label) for k, label in enumerate(labels)]))
    rows = re.findall(r'<th scope="row"><bdi>(\w+)</bdi>.*?<td>(\d+)</td>', html)
    assert [(label, int(count)) for label, count in rows] == Counter(labels).most_common()


def test_without_failures_or_without_sounds(page):
    whole = Outline(render_index(replace(page, failures=())))
    assert "Every file could be read." in whole.text and "Failures" not in whole.text
    none = Outline(render_index(replace(page, clips=())))
    assert "0 sounds" in none.words and none.all("table") == [] and "not a sound" in none.text


def test_equal_pages_are_equal_but_for_one_time(page):
    later = render_index(replace(page, created=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)))
    one = render_index(page)
    assert one == render_index(page) and one != later
    assert re.sub(r"<time.*?</time>", "", one) == re.sub(r"<time.*?</time>", "", later)
    assert len(Outline(one).all("time")) == 1


def test_structure_for_those_who_do_not_see_it(page):
    outline = Outline(render_index(page))
    assert outline.all("html")[0]["lang"] == "en"
    for tag in ("h1", "main", "nav", "table", "caption"):
        assert len(outline.all(tag)) == 1, tag
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(below <= above + 1 for above, below in pairwise(levels)), "no level is skipped"
    assert all(heading.get("scope") in {"col", "row"} for heading in outline.all("th"))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = {a.get(name) for _, a in outline.elements for name in ("aria-labelledby", "aria-describedby")} - {None}
    inside = {link["href"][1:] for link in outline.all("a") if link["href"].startswith("#")}
    assert referred | inside <= set(ids)
    assert outline.all("a")[0]["href"] == "#main", "the first thing to reach is the skip link"
