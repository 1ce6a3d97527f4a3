"""Whether scores can be trusted: the reliability diagram and what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from escnn.evaluation.metrics import Z95, CalibrationBin, calibration_error
from escnn.report.html import percent

ABOUT_RIGHT = 0.02  # mean score and accuracy this close are called equal, however many clips there are
UNEVEN = 0.1  # a gap, or a calibration error, from which scores mislead
LARGEST_DOT, SMALLEST_DOT = 16.0, 3.0  # pixels: radius of the fullest bin, and the least of any


@dataclass(frozen=True, slots=True)
class Dot:
    """A bin of the reliability diagram that holds clips: its edges and the `height` of its count, 0 to 1."""

    bin: CalibrationBin
    low: float  # where the bin begins
    high: float
    height: float
    radius: float  # pixels


def calibration_in_words(bins: Sequence[CalibrationBin]) -> tuple[str, str]:
    """Whether it is overconfident or underconfident: a few words, and a sentence with the numbers behind them.

    Measured against what chance does where every score is the probability of being right: what it may do to the
    accuracy (95 %), and the calibration error that it leaves on average.
    """
    clips = sum(part.count for part in bins)
    score, right = sum(part.score_sum for part in bins) / clips, sum(part.right for part in bins) / clips
    variances = [part.count * part.mean_score * (1 - part.mean_score) for part in bins]  # of the clips right in a bin
    chance = Z95 * math.sqrt(sum(variances)) / clips
    chance_error = math.sqrt(2 / math.pi) * sum(map(math.sqrt, variances)) / clips
    error = calibration_error(bins)
    numbers = f"its answers score {percent(score)} on average, and {percent(right)} of them are right"
    if abs(score - right) > max(ABOUT_RIGHT, chance):
        return "Overconfident:" if score > right else "Underconfident:", f"{numbers}."
    if error > max(UNEVEN, 2 * chance_error):
        return (
            "Right on average, but not in each bin:",
            f"{numbers}, yet some bins promise too much, some too little.",
        )
    if max(error, chance) > UNEVEN:
        return "Too few clips to tell:", f"{numbers}. With {clips} clips, chance alone makes gaps as large as these."
    return "Well calibrated:", f"{numbers}."


def reliability_dots(bins: Sequence[CalibrationBin]) -> list[Dot]:
    """What the reliability diagram draws; the area of a dot is its share of the fullest bin's clips."""
    most = max(part.count for part in bins)
    return [
        Dot(
            part,
            low=place / len(bins),
            high=(place + 1) / len(bins),
            height=part.count / most,
            radius=max(LARGEST_DOT * math.sqrt(part.count / most), SMALLEST_DOT),
        )
        for place, part in enumerate(bins)
        if part.count
    ]
