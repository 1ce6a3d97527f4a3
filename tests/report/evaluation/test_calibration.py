from __future__ import annotations

import numpy as np
import pytest

from escnn.evaluation.metrics import CalibrationBin, calibration_bins, calibration_error
from escnn.report.evaluation.calibration import calibration_in_words, reliability_dots

EMPTY = CalibrationBin(0.0, 0.0, 0)


def bin_of(mean_score: float, accuracy: float, count: int) -> CalibrationBin:
    return CalibrationBin(mean_score * count, accuracy * count, count)


@pytest.mark.parametrize(
    ("bins", "error", "expected"),
    [
        ([bin_of(0.9, 0.7, 300), bin_of(0.5, 0.5, 100)], 0.15, "Overconfident:"),
        ([bin_of(0.6, 0.9, 300), bin_of(0.5, 0.5, 100)], 0.225, "Underconfident:"),
        ([bin_of(0.8, 0.81, 200), EMPTY], 0.01, "Well calibrated:"),
        ([bin_of(0.8, 1.0, 200), bin_of(0.6, 0.4, 200)], 0.2, "Right on average, but not in each bin:"),
        ([bin_of(0.9, 0.8, 20)], 0.1, "Too few clips to tell:"),
        ([bin_of(0.9, 1.0, 20)], 0.1, "Too few clips to tell:"),
        (
            [bin_of(0.95, 1.0, 4), bin_of(0.6, 1 / 3, 3), bin_of(0.7, 0.5, 6), bin_of(0.8, 1.0, 7)],
            0.18,
            "Too few clips",
        ),
    ],
)
def test_calibration_in_words(bins: list[CalibrationBin], error: float, expected: str) -> None:
    assert calibration_error(bins) == pytest.approx(error)
    assert calibration_in_words(bins)[0].startswith(expected)


@pytest.mark.parametrize("clips", [10, 20, 50, 100, 400, 2000])
def test_a_calibrated_network_is_hardly_ever_called_anything_else(clips: int) -> None:
    """Its answers are right as often as their scores say, by a coin; whatever is found beyond that is chance."""
    rng = np.random.default_rng(clips)
    said = []
    for _ in range(200):
        scores = rng.uniform(0.35, 1.0, clips)
        rows = np.stack([scores, *[(1 - scores) / 2] * 2], axis=1)
        said.append(calibration_in_words(calibration_bins(np.where(rng.random(clips) < scores, 0, 1), rows))[0])
    blamed = sum(words not in ("Well calibrated:", "Too few clips to tell:") for words in said)
    assert blamed <= 0.08 * 200, "a test at 95 % is wrong once in twenty"
    few = said.count("Too few clips to tell:")
    assert few > 150 if clips <= 20 else clips < 2000 or few == 0


def test_dots_cover_areas_as_their_bins_hold_clips() -> None:
    small, large = reliability_dots([bin_of(0.1, 0.0, 25), EMPTY, bin_of(0.9, 0.9, 100)])
    assert (large.radius / small.radius) ** 2 == pytest.approx(100 / 25)
    assert (small.low, small.high, large.low, large.high) == pytest.approx((0, 1 / 3, 2 / 3, 1))
    assert (large.height, small.height) == (1, 0.25)
