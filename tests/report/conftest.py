from __future__ import annotations

import pytest
from report.browser import Opener, Watched


@pytest.fixture
def watched(open_page: Opener) -> Watched:
    return Watched(open_page("about:blank"))
