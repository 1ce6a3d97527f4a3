"""The page of several sounds in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.browser import Opener, Watched, assert_accessible, needs_chromium
from report.index.made_up import entry, render
from report.outline import HOSTILE_NAME

pytestmark = needs_chromium
NAMES = ["b.wav", HOSTILE_NAME, *(f"{number}.wav" for number in range(10))]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of twelve sounds, one with a hostile name, and a page for each."""
    folder = tmp_path_factory.mktemp("pages")
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "report.html").write_text(f"<!doctype html><h1>{NAMES.index(name)}</h1>", "utf-8")
    (folder / "index.html").write_text(render([entry(name) for name in NAMES]), "utf-8")
    return folder / "index.html"


def test_a_page_asks_for_nothing_says_nothing_and_needs_no_script(open_page: Opener, index: Path) -> None:
    watched = Watched(open_page("about:blank", java_script_enabled=False))
    page = watched.open(index)
    page.wait_for_timeout(200)
    watched.assert_asks_and_says_nothing()
    assert page.locator("table").is_visible()


def test_a_page_is_accessible_and_fits(on_screens: Opener, index: Path) -> None:
    assert_accessible(on_screens(index))


def test_a_number_stays_whole_on_a_phone(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(render([entry("a.wav")] * 100), "utf-8")
    watched.page.set_viewport_size({"width": 390, "height": 800})
    count = watched.open(tmp_path / "index.html").locator(".counts td").first
    assert count.inner_text() == "100"
    lines = "cell => { const text = new Range(); text.selectNodeContents(cell); return text.getClientRects().length }"
    assert count.evaluate(lines) == 1


def test_the_index_leads_to_every_page(watched: Watched, index: Path) -> None:
    assert watched.open(index).locator(".tiles a").count() == len(NAMES)
    for number in range(3):
        page = watched.open(index)
        assert page.evaluate("window.run") is None
        page.locator(".tiles a").nth(number).click()
        page.wait_for_load_state()
        assert page.locator("h1").inner_text() == str(number)
    assert watched.errors == []
