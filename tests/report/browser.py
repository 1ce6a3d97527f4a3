"""Headless Chromium, where there is one; a page that is watched for what it says and asks for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, Request

from escnn.report.html import in_frame

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None and os.environ.get("CI"):
    pytest.fail("no Chromium: on Debian, apt-get install chromium", pytrace=False)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open pages in: install Debian's chromium")

Opener = Callable[..., Page]  # what the fixture `open_page` gives
ALLOWED = {"minor", "moderate", None}  # impacts of axe-core that do not fail a test


class Watched:
    """A page in the browser, with everything that it said or asked for. Files are opened from disk, as users do."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)

    def open(self, path: Path) -> Page:
        self.page.goto(path.as_uri())
        return self.page

    def assert_asks_and_says_nothing(self) -> None:
        """The page is shown, has asked for nothing but itself, said nothing, and run nothing that a name brought in."""
        assert self.requests == [self.page.url]
        assert self.errors == []
        assert self.page.evaluate("window.run") is None
        assert self.page.locator("h1").is_visible()

    def assert_seeks(self, audio: Locator) -> None:
        """A player comes to every moment of its sound."""
        audio.evaluate("audio => { audio.preload = 'auto' }")
        wait_until(self.page, lambda: audio.evaluate("audio => audio.readyState") > 0)
        for twentieth in range(1, 20):
            audio.evaluate("(audio, share) => { audio.currentTime = share * audio.duration }", twentieth / 20)
            wait_until(self.page, lambda: not audio.evaluate("audio => audio.seeking"))


def written(html: dict[str, str], folder: Path) -> dict[str, Path]:
    """Pages as files, by their names; the one called "frame" as a notebook shows it."""
    for name, text in html.items():
        shown = f"<!doctype html><title>A notebook</title>{in_frame(text)}" if name == "frame" else text
        (folder / f"{name}.html").write_text(shown, "utf-8")
    return {name: folder / f"{name}.html" for name in html}


@contextmanager
def microphone(browser: Browser, sound: str) -> Iterator[Browser]:
    """Another browser, whose microphone plays a file from the moment that it is asked for."""
    arguments = [
        "--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
    ]  # fmt: skip
    with browser.browser_type.launch(executable_path=CHROMIUM, args=arguments) as hearing:
        yield hearing


def wait_until(page: Page, so: Callable[[], bool]) -> None:
    """Playwright's own waiting evaluates strings in the page, which its policy forbids."""
    for _ in range(100):
        if so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("waited for 5 seconds")


def box_of(element: Locator) -> FloatRect:
    """Where an element lies in the window, in pixels; it has to be there."""
    box = element.bounding_box()
    assert box is not None
    return box


def serious_violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page whose policy is not enforced (`bypass_csp`)."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{violation['id']}: {violation['help']}: {violation['nodes'][0]['html'][:200]}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] not in ALLOWED
    ]


def assert_fits(page: Page) -> None:
    """The page is no wider than its window, with its details open as well."""
    assert page.viewport_size is not None
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        page.evaluate("for (const list of document.querySelectorAll('details')) list.open = true")


def assert_accessible(page: Page) -> None:
    """It fits its window and is accessible, with its details open."""
    assert_fits(page)
    assert serious_violations(page) == []
