"""Events are runs of scores, whatever pieces the scores come in."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from escnn.detection.events import EventFinder
from escnn.model.frames import EventSettings

CLASSES = 3
Found = list[tuple[int, int, int, float]]  # class, first frame, the one after the last, highest score


def found(scores: np.ndarray, cuts: list[int], **changes: float) -> Found:
    """Events of scores that come in pieces that end at `cuts`; a frame lasts a second."""
    plain = {"median_frames": 1, "merge_seconds": 0.5}
    finder = EventFinder.of(EventSettings(**{**plain, **changes}), scores.shape[1], 1.0)
    events = [event for piece in np.split(scores, cuts) for event in finder.feed(piece)]
    return sorted((class_id, run.start, run.end, run.score) for class_id, run in [*events, *finder.end()])


def by_definition(scores: np.ndarray, onset: float, offset: float, merge: float, shortest: float, median: int) -> Found:
    """The same, with all scores at hand, frame by frame."""
    half = median // 2
    padded = np.pad(scores, ((half, half), (0, 0)), mode="edge")
    smooth = np.stack([np.median(padded[i : i + median], axis=0) for i in range(len(scores))])
    events = []
    for class_id, row in enumerate(smooth.T):
        runs: list[list[int]] = []
        for frame, score in enumerate(row):
            if score >= offset:
                if runs and runs[-1][1] == frame:
                    runs[-1][1] = frame + 1
                else:
                    runs.append([frame, frame + 1])
        joined: list[list[int]] = []
        for start, end in runs:
            if row[start:end].max() < onset:
                continue
            if joined and start - joined[-1][1] < merge:
                joined[-1][1] = end
            else:
                joined.append([start, end])
        events += [(class_id, s, e, float(row[s:e].max())) for s, e in joined if e - s >= shortest]
    return sorted(events)


@settings(max_examples=300, deadline=None)
@given(
    frames=st.integers(5, 60),
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    merge=st.integers(0, 8),
    shortest=st.integers(0, 5),
    median=st.sampled_from([1, 3, 5]),
)
def test_events_are_those_of_the_definition_however_scores_are_cut(
    frames: int, seed: int, cuts: list[int], merge: int, shortest: int, median: int
) -> None:
    steps = np.random.default_rng(seed).normal(0, 0.25, (frames, CLASSES))
    scores = np.abs(np.cumsum(steps, axis=0) % 2 - 1).astype(np.float32)
    said = found(
        scores, sorted(min(cut, frames) for cut in cuts), onset_score=0.75, offset_share=0.5,
        merge_seconds=merge, min_seconds=shortest, median_frames=median,
    )  # fmt: skip
    assert said == by_definition(scores, 0.75, 0.375, merge, shortest, median)


def test_two_classes_at_once_are_two_events() -> None:
    scores = np.zeros((20, 2), np.float32)
    scores[5:10, 0] = scores[7:15, 1] = 0.9
    assert [event[:3] for event in found(scores, [8])] == [(0, 5, 10), (1, 7, 15)]


def test_an_event_is_told_as_soon_as_nothing_can_join_it() -> None:
    finder = EventFinder.of(EventSettings(merge_seconds=3, median_frames=1), 1, 1.0)
    loud, silent = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    assert list(finder.feed(loud)) == []
    assert list(finder.feed(silent)) == []  # a run that begins now would still join it
    ((_, run),) = finder.feed(silent)
    assert (run.start, run.end) == (0, 2)
    assert list(finder.end()) == []


def test_a_run_that_reaches_no_onset_score_neither_counts_nor_bridges() -> None:
    scores = np.zeros((12, 1), np.float32)
    scores[[1, 5, 9], 0] = 0.9, 0.4, 0.9
    assert [event[:3] for event in found(scores, [], merge_seconds=5)] == [(0, 1, 2), (0, 9, 10)]
