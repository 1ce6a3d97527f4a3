"""A sound is cut into windows, the last of which ends with it; where each begins is said once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escnn.audio.windows import cut_windows, window_start


def cut(lengths: list[int], length: int) -> list[np.ndarray]:
    samples = np.arange(1, sum(lengths) + 1, dtype=np.float32)
    return list(cut_windows(np.split(samples, np.cumsum(lengths)[:-1]), length))


def test_a_short_sound_is_padded_at_its_end() -> None:
    (window,) = cut([3], 5)
    assert window.tolist() == [1, 2, 3, 0, 0]


def test_a_sound_of_one_window_is_that_window() -> None:
    (window,) = cut([2, 3], 5)
    assert window.tolist() == [1, 2, 3, 4, 5]


def test_the_last_window_ends_where_the_sound_ends() -> None:
    assert [window.tolist() for window in cut([4, 4, 4], 5)] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [8, 9, 10, 11, 12]]


def test_a_sample_too_many_makes_no_window_of_its_own() -> None:
    assert len(cut([501], 500)) == 1
    assert len(cut([505], 500)) == 2


@given(st.integers(1, 400), st.lists(st.integers(1, 60), max_size=8))
def test_every_window_lies_where_its_start_says(samples: int, cuts: list[int]) -> None:
    sound = np.arange(1, samples + 1, dtype=np.float32)
    places = sorted({cut for cut in np.cumsum(cuts, dtype=int).tolist() if cut < samples})
    windows = list(cut_windows(np.split(sound, places), 20))
    for index, window in enumerate(windows):
        start = round(window_start(index, 20 / 8_000, samples / 8_000) * 8_000)
        found = sound[start : start + 20]
        np.testing.assert_array_equal(window, np.pad(found, (0, 20 - len(found))))


@pytest.mark.parametrize(
    ("index", "seconds", "start"), [(0, 0.2, 0.0), (0, 5.0, 0.0), (1, 12.0, 5.0), (2, 12.0, 7.0), (1, 5.01, 0.01)]
)
def test_the_last_window_begins_a_window_before_the_end(index: int, seconds: float, start: float) -> None:
    assert window_start(index, 5.0, seconds) == pytest.approx(start)
