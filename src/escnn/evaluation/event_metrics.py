"""How well events that were found agree with those that are there: by segments, by events, and by what was missed.

The definitions are those of A. Mesaros, T. Heittola, T. Virtanen: Metrics for Polyphonic Sound Event Detection, 2016;
`sed_eval` computes the same.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Span = tuple[float, float, str]  # start and end in seconds, label
SEGMENT_SECONDS = 1.0
COLLAR_SECONDS = 0.2  # by which an onset, or an offset, may differ
COLLAR_SHARE = 0.5  # of an event's length: by which its offset may differ where that is more


@dataclass(frozen=True, slots=True)
class Counts:
    """What agrees (`hits`), was found and is not there (`false`), and is there and was not found (`missed`)."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.hits + other.hits, self.false + other.false, self.missed + other.missed)

    @property
    def precision(self) -> float:
        """Share of what was found that is there; 1 where nothing was found."""
        return self.hits / (self.hits + self.false) if self.hits + self.false else 1.0

    @property
    def recall(self) -> float:
        """Share of what is there that was found; 1 where there is nothing."""
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where nothing is there and nothing was found."""
        total = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / total if total else 1.0


@dataclass(frozen=True, slots=True)
class DetectionMetrics:
    """Figures over several recordings. An event overlaps another if they share a moment and the label."""

    segments: Counts  # pairs of a second and a label
    events: Counts  # matched one to one, by onset and offset
    found: int  # events that an event found overlaps
    truth: int  # events that are there
    false_alarms: int  # events found that overlap none
    claims: int  # events found
    seconds: float  # of sound

    def __add__(self, other: DetectionMetrics) -> DetectionMetrics:
        return DetectionMetrics(
            self.segments + other.segments,
            self.events + other.events,
            self.found + other.found,
            self.truth + other.truth,
            self.false_alarms + other.false_alarms,
            self.claims + other.claims,
            self.seconds + other.seconds,
        )

    @property
    def recall(self) -> float:
        """Share of the events that were found, wherever their borders are put; 1 where there are none."""
        return self.found / self.truth if self.truth else 1.0

    @property
    def precision(self) -> float:
        """Share of the events found that overlap one that is there; 1 where nothing was found."""
        return 1 - self.false_alarms / self.claims if self.claims else 1.0

    @property
    def false_alarms_an_hour(self) -> float:
        """Events found that overlap none, in an hour of sound."""
        return self.false_alarms / self.seconds * 3600 if self.seconds else 0.0


def compare(truth: Sequence[Span], found: Sequence[Span], seconds: float) -> DetectionMetrics:
    """The figures of one recording that lasts so many `seconds`."""
    there, claimed = segments_of(truth), segments_of(found)
    both = truth and found  # in most recordings most classes are not there
    matched = len(match_events(truth, found)) if both else 0
    overlapping = list(overlaps(truth, found)) if both else []
    return DetectionMetrics(
        Counts(len(there & claimed), len(claimed - there), len(there - claimed)),
        Counts(matched, len(found) - matched, len(truth) - matched),
        found=len({i for i, _ in overlapping}),
        truth=len(truth),
        false_alarms=len(found) - len({j for _, j in overlapping}),
        claims=len(found),
        seconds=seconds,
    )


def compare_all(
    truth: Mapping[str, Sequence[Span]], found: Mapping[str, Sequence[Span]], seconds: Mapping[str, float]
) -> DetectionMetrics:
    """The figures of all recordings that `seconds` names; one without an entry elsewhere has no events there."""
    total = DetectionMetrics(Counts(), Counts(), 0, 0, 0, 0, 0.0)
    for name, length in seconds.items():
        total += compare(truth.get(name, ()), found.get(name, ()), length)
    return total


def overlaps(truth: Sequence[Span], found: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """Pairs of an event and one found that share a moment and the label: index of the former and of the latter."""
    near = _Nearby(found)
    for i, (start, end, label) in enumerate(truth):
        for j in near(label, start - near.longest, end):
            if min(end, found[j][1]) > max(start, found[j][0]):
                yield i, j


class _Nearby:
    """Finds spans by label and start, without looking at all of them."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.longest = max((end - start for start, end, _ in spans), default=0.0)
        self._starts: dict[str, list[tuple[float, int]]] = {}
        for index, (start, _, label) in enumerate(spans):
            self._starts.setdefault(label, []).append((start, index))
        for starts in self._starts.values():
            starts.sort()

    def __call__(self, label: str, earliest: float, latest: float) -> list[int]:
        """Indices, in order, of the spans with this label that start between two moments, both included."""
        starts = self._starts.get(label, [])
        first, end = bisect_left(starts, (earliest, 0)), bisect_right(starts, (latest, sys.maxsize))
        return sorted(index for _, index in starts[first:end])


def segments_of(spans: Iterable[Span], length: float = SEGMENT_SECONDS) -> set[tuple[int, str]]:
    """Which segments each label sounds in, even for a moment: (number of the segment, label)."""
    return {
        (number, label)
        for start, end, label in spans
        for number in range(math.floor(start / length), math.ceil(end / length))
    }


def match_events(truth: Sequence[Span], found: Sequence[Span]) -> dict[int, int]:
    """As many pairs as there can be of an event and one found that agree: index of the former to that of the latter.

    They agree if they have the same label, onsets at most `COLLAR_SECONDS` apart, and offsets at most that or
    `COLLAR_SHARE` of the event's length apart.
    """
    near = _Nearby(found)
    candidates = [
        [j for j in near(one[2], one[0] - 2 * COLLAR_SECONDS, one[0] + 2 * COLLAR_SECONDS) if _agree(one, found[j])]
        for one in truth
    ]
    taken: dict[int, int] = {}  # index of one found to that of its event

    def place(i: int, tried: set[int]) -> bool:
        """Find a partner for event `i`, if need be by moving another's: an augmenting path (H. W. Kuhn, 1955)."""
        for j in candidates[i]:
            if j not in tried:
                tried.add(j)
                if j not in taken or place(taken[j], tried):
                    taken[j] = i
                    return True
        return False

    for i in range(len(truth)):
        place(i, set())
    return {i: j for j, i in taken.items()}


def _agree(one: Span, other: Span) -> bool:
    (start, end, label), (from_, to, named) = one, other
    most = max(COLLAR_SECONDS, COLLAR_SHARE * (end - start))
    return label == named and abs(from_ - start) <= COLLAR_SECONDS and abs(to - end) <= most
