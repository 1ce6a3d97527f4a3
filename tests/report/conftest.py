from __future__ import annotations

import functools

import pytest
from report.browser import Opener, Watched


@pytest.fixture
def watched(open_page: Opener) -> Watched:
    return Watched(open_page("about:blank"))


@pytest.fixture(params=[(320, "light"), (1920, "dark")], ids=["narrow", "wide"])
def on_screens(open_page: Opener, request: pytest.FixtureRequest) -> Opener:
    """`open_page` on a narrow, light screen and on a wide, dark one, without the policy: axe-core runs."""
    width, scheme = request.param
    return functools.partial(open_page, width=width, height=800, color_scheme=scheme, bypass_csp=True)
