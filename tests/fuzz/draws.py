"""Random numbers that hypothesis draws, the same ones every time."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

DRAWS = st.randoms(use_true_random=False)


def examples(count: int) -> settings:
    """So many examples, however long they take."""
    return settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
