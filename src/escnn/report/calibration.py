"""Whether scores can be taken at their word: the reliability diagram and what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from escnn.report.html import percent

Z95 = 1.959963984540054  # 97.5 % of a normal distribution lie below: two-sided 95 %
ABOUT_RIGHT = 0.02  # mean score and accuracy this close are called equal, however many clips there are
UNEVEN = 0.1  # calibration error from which equal means are not enough
LARGEST_DOT, SMALLEST_DOT = 16.0, 3.0  # pixels: radius of the fullest bin, and the least of any


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The clips whose score fell into one of equally wide bins: bin k of n holds k / n to (k + 1) / n."""

    mean_score: float  # 0 to 1; of no meaning without clips
    share_right: float  # 0 to 1; likewise
    count: int


@dataclass(frozen=True, slots=True)
class Dot:
    """A bin of the reliability diagram that holds clips: its edges and the `height` of its count, 0 to 1."""

    bin: CalibrationBin
    low: float  # where the bin begins
    high: float
    height: float
    radius: float  # pixels


def wilson_interval(right: int, clips: int) -> tuple[float, float]:
    """The shares that go with `right` of `clips` at 95 % confidence (E. B. Wilson, 1927)."""
    share, square = right / clips, Z95**2 / clips
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Expected calibration error (C. Guo et al., 2017): mean gap between score and share right, by clips."""
    clips = sum(part.count for part in bins)
    return sum(part.count * abs(part.mean_score - part.share_right) for part in bins) / clips


def calibration_in_words(bins: Sequence[CalibrationBin]) -> tuple[str, str]:
    """Whether it is too sure or too modest: a few words, and a sentence with the numbers behind them.

    What chance may do to the share right counts as equal.
    """
    clips = sum(part.count for part in bins)
    score = sum(part.count * part.mean_score for part in bins) / clips
    right = sum(part.count * part.share_right for part in bins) / clips
    chance = Z95 * math.sqrt(right * (1 - right) / clips)
    numbers = f"its answers score {percent(score)} on average, and {percent(right)} of them are right"
    if abs(score - right) > max(ABOUT_RIGHT, chance):
        if score > right:
            return "It is too sure of itself:", f"{numbers}."
        return "It is too modest:", f"{numbers}."
    if calibration_error(bins) > UNEVEN:
        return (
            "Right on average, but not in each bin:",
            f"{numbers}, yet some scores promise too much and some too little.",
        )
    return "Its scores are about right:", f"{numbers}."


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
