"""Every window that is shown in the end was kept while the sound was read once, and few others were."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from escnn.analysis.kept_windows import FOLLOWED_CLASSES, SHOWN_WINDOWS, KeptWindows, main_window, select_windows

MOST_KEPT = FOLLOWED_CLASSES + 2 * SHOWN_WINDOWS


def keep(scores: np.ndarray) -> tuple[KeptWindows, int]:
    """The windows kept of a sound with these scores, (windows, classes), and how many there were at most at a time."""
    kept, most = KeptWindows(scores.shape[1]), 0
    for number, row in enumerate(scores):
        kept.add(np.full(4, number, dtype=np.float32), row)
        most = max(most, len(kept.numbers))
    return kept, most


@st.composite
def score_tables(draw: st.DrawFn) -> np.ndarray:
    """Scores of windows, (windows, classes): peaked or flat, steady or changing, with many ties or few."""
    windows, classes = draw(st.integers(1, 150)), draw(st.sampled_from((2, 3, 12, 13, 50, 65, 200)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.dirichlet(np.full(classes, draw(st.sampled_from((0.05, 1.0, 50.0)))), windows)
    if draw(st.booleans()):  # sorted by one class: it rises or falls throughout
        scores = scores[np.argsort(scores[:, 0])[:: draw(st.sampled_from((1, -1)))]]
    if draw(st.booleans()):
        scores = np.round(scores, draw(st.integers(0, 2)))
    if draw(st.booleans()):
        scores = np.repeat(scores, 3, axis=0)[:windows]
    return scores.astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(score_tables())
@example(np.zeros((40, 3), dtype=np.float32))
def test_every_window_that_is_selected_was_kept(scores: np.ndarray) -> None:
    kept, most = keep(scores)
    mean = scores.mean(axis=0, dtype=np.float64).astype(np.float32)
    main = main_window(mean, scores, kept.numbers)
    if scores.shape[1] <= FOLLOWED_CLASSES:
        assert main == int(scores[:, mean.argmax()].argmax())
    for number in select_windows(scores, main):
        assert kept[number][0] == number
    assert most <= MOST_KEPT


def test_the_best_class_of_very_many_may_rise_late() -> None:
    """Its peak, in the first window, is not kept while the class is forgotten; the best window kept is shown then."""
    scores = np.full((2_000, 100), 0.009, dtype=np.float32)
    scores[0] = 0.008
    scores[0, 99] = 0.02
    scores[1:100, 99] = 0.0
    scores[100:, 99] = 0.018
    scores[range(50, 90), range(40)] = 0.03  # each of these windows is the surest of another class
    kept, most = keep(scores)
    mean = scores.mean(axis=0, dtype=np.float64).astype(np.float32)
    assert mean.argmax() == 99
    main = main_window(mean, scores, kept.numbers)
    assert scores[main, 99] == np.float32(0.018)
    for number in select_windows(scores, main):
        assert kept[number][0] == number
    assert most <= MOST_KEPT


def test_of_many_windows_those_are_selected_that_tell_most() -> None:
    rng = np.random.default_rng(3)
    scores = rng.dirichlet(np.full(4, 0.3), size=60).astype(np.float32)
    main = int(scores[:, 2].argmin())
    selected = select_windows(scores, main)
    assert len(selected) == SHOWN_WINDOWS
    assert selected == sorted(selected)
    assert main in selected
    for label in set(scores.argmax(axis=1).tolist()):
        leading = [number for number in range(60) if scores[number].argmax() == label]
        assert max(leading, key=lambda number: scores[number].max()) in selected
    left = scores[[number for number in range(60) if number not in selected]].max()
    assert sum(scores[number].max() < left for number in selected) <= 5  # the main one, and one for each class


@pytest.mark.parametrize("windows", [1, 5, SHOWN_WINDOWS])
def test_of_few_windows_all_are_selected(windows: int) -> None:
    scores = np.random.default_rng(0).dirichlet(np.ones(3), windows).astype(np.float32)
    assert select_windows(scores, 0) == list(range(windows))
