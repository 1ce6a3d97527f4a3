"""Windows of several requests share the network, and everybody gets what is theirs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from escnn.inference.classifier import Classifier
from escnn.server.batching import Batcher


@pytest.fixture(scope="module")
def classifier(small_model: Path) -> Classifier:
    return Classifier.load(small_model, threads=2)


@pytest.fixture
def batcher(classifier: Classifier) -> Iterator[Batcher]:
    one = Batcher(classifier)
    yield one
    one.stop()


def log_mels(classifier: Classifier, count: int, seed: int) -> np.ndarray:
    audio = classifier.card.audio
    shape = (count, audio.n_mels, audio.frames)
    return np.random.default_rng(seed).uniform(-90, -20, shape).astype(np.float32)


def test_everybody_gets_the_scores_of_their_own_windows(classifier: Classifier, batcher: Batcher) -> None:
    asked = [log_mels(classifier, 1 + seed % 5, seed) for seed in range(40)]
    for windows, scores in zip(asked, [batcher.submit(windows) for windows in asked], strict=True):
        np.testing.assert_allclose(scores.result(10), classifier.scores(windows), atol=1e-6)


def test_single_windows_share_a_batch(
    classifier: Classifier, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    gate, real = threading.Event(), classifier.scores

    def scores(windows: np.ndarray) -> np.ndarray:
        gate.wait(10)
        sizes.append(len(windows))
        return real(windows)

    monkeypatch.setattr(classifier, "scores", scores)
    waiting = [batcher.submit(log_mels(classifier, 1, seed)) for seed in range(12)]
    gate.set()
    for one in waiting:
        one.result(10)
    assert sum(sizes) == 12
    assert max(sizes) == classifier.runtime.batch_windows > 1


def test_an_error_reaches_those_it_concerns_and_the_next_is_computed(classifier: Classifier, batcher: Batcher) -> None:
    broken = batcher.submit(np.zeros((1, 3, 3), dtype=np.float32))
    with pytest.raises(Exception, match=r"(?i)dimension|shape"):
        broken.result(10)
    assert batcher.submit(log_mels(classifier, 1, 0)).result(10).shape == (1, 3)


def test_what_nobody_waits_for_is_not_computed(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, computed, real = threading.Event(), [], classifier.scores

    def scores(windows: np.ndarray) -> np.ndarray:
        gate.wait(10)
        computed.append(len(windows))
        return real(windows)

    monkeypatch.setattr(classifier, "scores", scores)
    batcher = Batcher(classifier)
    busy = [batcher.submit(log_mels(classifier, 5, seed)) for seed in range(2)]  # a thread each
    given_up = batcher.submit(log_mels(classifier, 3, 9))
    assert given_up.cancel()
    gate.set()
    batcher.stop()
    assert [one.result(0).shape for one in busy] == [(5, 3), (5, 3)], "what was handed in is computed before the end"
    assert computed == [5, 5]
