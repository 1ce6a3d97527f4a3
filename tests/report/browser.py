"""Headless Chromium, where there is one; a page that is watched for what it says and asks for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None and os.environ.get("CI"):
    pytest.fail("no Chromium: on Debian, apt-get install chromium", pytrace=False)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open pages in: install Debian's chromium")

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


def wait_until(page: Page, so: Callable[[], bool]) -> None:
    """Playwright's own waiting evaluates strings in the page, which its policy forbids."""
    for _ in range(100):
        if so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("waited for 5 seconds")


def serious_violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page whose policy is not enforced (`bypass_csp`)."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{violation['id']}: {violation['help']}: {violation['nodes'][0]['html'][:200]}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] not in ALLOWED
    ]
