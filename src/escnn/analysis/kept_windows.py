"""Which windows of a sound are kept while it is read once: those that may turn out to be worth showing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from escnn.audio.decoding import Samples

Array = NDArray[np.float32]
SHOWN_WINDOWS = 12  # of a long recording, at most, are shown with their sound: a minute of ESC-50's windows
FOLLOWED_CLASSES = 64  # whose best window is kept; of more classes, those with the highest mean so far


class KeptWindows:
    """Windows that `select_windows` may choose once all scores are known: about one a class."""

    def __init__(self, classes: int) -> None:
        self._samples: dict[int, Samples] = {}
        self._count = 0
        self._highest: list[tuple[float, int]] = []  # (-score of its best class, index), the surest first
        self._first: dict[int, tuple[float, int]] = {}  # class -> the surest window that it leads
        self._best = np.full(classes, -np.inf)  # highest score of each class so far, and where
        self._where = np.zeros(classes, dtype=np.int64)
        self._total = np.zeros(classes)

    def add(self, samples: Samples, scores: Array) -> None:
        """The next window, (time,), and its scores, (classes,)."""
        index, self._count = self._count, self._count + 1
        leading = int(scores.argmax())
        place = (-float(scores[leading]), index)
        self._highest = sorted([*self._highest, place])[:SHOWN_WINDOWS]
        self._first[leading] = min(place, self._first.get(leading, place))
        better = scores > self._best
        self._best[better], self._where[better] = scores[better], index
        self._total += scores
        self._samples[index] = samples
        followed = np.argsort(-self._total, kind="stable")[:FOLLOWED_CLASSES]
        firsts = sorted(self._first.values())[:SHOWN_WINDOWS]
        wanted = {*self._where[followed].tolist(), *(number for _, number in (*self._highest, *firsts))}
        self._samples = {number: kept for number, kept in self._samples.items() if number in wanted}
        self._best[~np.isin(self._where, self.numbers)] = -np.inf  # of a class that was not followed: look again

    def __getitem__(self, index: int) -> Samples:
        return self._samples[index]

    @property
    def numbers(self) -> list[int]:
        """Which windows are kept, ascending."""
        return sorted(self._samples)


def main_window(scores: Array, window_scores: Array, kept: Sequence[int]) -> int:
    """Of the windows kept, the one that scores highest for the class that is best in the mean `scores`.

    With up to `FOLLOWED_CLASSES` classes that is the highest of all windows.
    """
    return kept[int(window_scores[kept, scores.argmax()].argmax())]


def select_windows(window_scores: Array, main: int) -> list[int]:
    """Up to `SHOWN_WINDOWS` windows to show, in order of time: the main one, then for each class that leads anywhere
    its surest window, then the surest of the rest. `window_scores` is (windows, classes).
    """
    leading, highest = window_scores.argmax(axis=1), window_scores.max(axis=1)
    surest = np.argsort(-highest, kind="stable").tolist()
    first_of_class = {int(leading[number]): number for number in reversed(surest)}
    firsts = sorted(first_of_class.values(), key=surest.index)
    return sorted(list(dict.fromkeys([main, *firsts, *surest]))[:SHOWN_WINDOWS])
