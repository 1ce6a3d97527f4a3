"""The page of several sounds: a tile each with a link that leads to its page whatever it is called, and no script."""

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
from report.index.made_up import ENTRIES, entry, render
from report.outline import HOSTILE, Outline
from report.sound.made_up import CARD

from escnn.errors import AudioError
from escnn.inference.prediction import Failure
from escnn.report.index.page import relative_href


def links(html: str) -> list[str]:
    """Addresses that lead off the page, in its order."""
    return [str(link["href"]) for link in Outline(html).all("a") if not str(link["href"]).startswith("#")]


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
def test_a_link_leads_to_its_page_and_nowhere_else(name: str) -> None:
    (href,) = links(render([entry(name)]))
    parts = urlsplit(href)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert unquote_to_bytes(parts.path) == f"./{name}/report.html".encode("utf-8", "surrogateescape")
    assert urljoin("http://here.org/report/", href).startswith("http://here.org/")


def test_a_name_that_no_file_system_can_hold_still_gives_a_link() -> None:
    assert relative_href("\ud800") == "./%ED%A0%80"


def test_nothing_runs_and_nothing_is_loaded() -> None:
    outline = Outline(render())
    assert outline.all("script") == []
    for tag, attributes in outline.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        assert (attributes.get("src") or "data:").startswith("data:")
    ((_, _, style),) = outline.raw
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (str(meta["content"]) for meta in outline.all("meta") if "http-equiv" in meta)
    assert f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"url\(|@import|https?:", style)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_outside_are_text(name: str) -> None:
    def named(text: str) -> Outline:
        labels = tuple(f"{text}{number}" for number in range(4))
        sounds = [entry(text, labels[0], labels=labels, warnings=(f"{text}4",)) for _ in range(2)]
        failure = Failure(text, AudioError(f"{text}5", code="missing", hint=f"{text}6"), CARD)
        return Outline(render(sounds, [failure], replace(CARD, name=f"{text}7"), versions={f"{text}8": "1"}))

    theirs, ours = named(name), named("plain")
    for number in (0, 1, 2, 4, 5, 6, 7, 8):
        assert f"{name}{number}" in theirs.text
    shape, expected = ([(tag, sorted(attributes)) for tag, attributes in o.elements] for o in (theirs, ours))
    assert shape == expected, "a name makes no element and no attribute"


def test_tiles_come_in_the_order_given_each_with_its_picture() -> None:
    html = render()
    assert links(html) == ["./b.wav/report.html", "./a.wav/report.html", "./c.wav/report.html"]
    pictures = [base64.b64decode(str(image["src"]).split(",")[1]) for image in Outline(html).all("img")]
    assert pictures == [each.spectrogram_png for each in ENTRIES]
    assert [str(image["alt"]) for image in Outline(html).all("img")][1].startswith("Spectrogram of a.wav, 5.0 s,")


def test_it_says_what_was_predicted_and_what_failed() -> None:
    words = Outline(render()).words
    assert "Predictions for 3 sounds" in words
    assert "1 file could not be read. Classified by the model small." in words
    assert "dog 81.0 % b.wav 5.0 s then sea waves 5.7 %, washing machine 3.8 %" in words
    assert "cow" not in words
    assert "notes.txt not a sound Convert it to WAV." in words
    assert "> 99.9 %" in words and "cd" * 32 in words and "escnn visualize sounds" in words
    assert "Class Sounds dog 2 sea waves 1 " in words
    assert "5.7 %" not in Outline(render(top_k=1)).words
    assert "a.wav 1:05.0" in Outline(render([entry("a.wav", seconds=65.0)])).words


def test_counts_add_up_to_the_sounds() -> None:
    labels = ["dog", "cat", "cat", "cow", "cat", "dog"]
    html = render([entry(f"{k}.wav", label) for k, label in enumerate(labels)])
    rows = re.findall(r'<th scope="row"><bdi>(\w+)</bdi>.*?<td>(\d+)</td>', html)
    assert [(label, int(count)) for label, count in rows] == Counter(labels).most_common()


def test_without_failures_or_without_sounds() -> None:
    whole = Outline(render(failures=()))
    assert "Every file could be read." in whole.text and "Failures" not in whole.text
    none = Outline(render(entries=()))
    assert "0 sounds" in none.words and none.all("table") == [] and "not a sound" in none.text


def test_equal_pages_are_equal_but_for_one_time() -> None:
    one, later = render(), render(created=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert one == render()
    assert one != later
    assert re.sub(r"<time.*?</time>", "", one) == re.sub(r"<time.*?</time>", "", later)
    assert len(Outline(one).all("time")) == 1


def test_structure_for_those_who_do_not_see_it() -> None:
    outline = Outline(render())
    assert outline.all("html")[0]["lang"] == "en"
    for tag in ("h1", "main", "nav", "table", "caption"):
        assert len(outline.all(tag)) == 1, tag
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(below <= above + 1 for above, below in pairwise(levels)), "no level is skipped"
    assert all(heading.get("scope") in {"col", "row"} for heading in outline.all("th"))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = {a.get(name) for _, a in outline.elements for name in ("aria-labelledby", "aria-describedby")} - {None}
    inside = {str(link["href"])[1:] for link in outline.all("a") if str(link["href"]).startswith("#")}
    assert referred | inside <= set(ids)
    assert outline.all("a")[0]["href"] == "#main", "the first thing to reach is the skip link"
