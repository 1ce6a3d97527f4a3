from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from report.browser import Watched


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Watched(context.new_page())
    context.close()
