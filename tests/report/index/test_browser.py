"""The page of several sounds in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from report.browser import Watched, needs_chromium, serious_violations
from report.index.made_up import entry, render

pytestmark = needs_chromium
HOSTILE = "<img src=x onerror=window.run=1>\"'&amp;?#% \u202e\U0001f415 <script>window.run=1<!--"
NAMES = ["b.wav", HOSTILE, *(f"{number}.wav" for number in range(10))]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of twelve sounds, one with a hostile name, and a page for each."""
    folder = tmp_path_factory.mktemp("pages")
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "report.html").write_text(f"<!doctype html><h1>{NAMES.index(name)}</h1>", "utf-8")
    (folder / "index.html").write_text(render([entry(name) for name in NAMES]), "utf-8")
    return folder / "index.html"


def test_a_page_asks_for_nothing_says_nothing_and_needs_no_script(browser: Browser, index: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    watched = Watched(context.new_page())
    page = watched.open(index)
    page.wait_for_timeout(200)
    assert watched.requests == [page.url]
    assert watched.errors == []
    assert page.locator("h1").is_visible()
    assert page.locator("table").is_visible()
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1920, "dark")])
def test_a_page_is_accessible_and_fits(browser: Browser, index: Path, width: int, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True
    )
    page = context.new_page()
    page.goto(index.as_uri())
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


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
