"""Mixtures hold what their targets say, when they say it."""

import numpy as np
import pytest
from conftest import SMALL_AUDIO, tone

from escnn.audio.log_mel import LogMel
from escnn.training.frames import mixtures as module
from escnn.training.frames.mixtures import Mixtures, Windows, is_continuous, level_db, sounding_parts

FLOOR = SMALL_AUDIO.floor_db
RATE = SMALL_AUDIO.sample_rate


def log_mel(samples: np.ndarray) -> np.ndarray:
    return LogMel(SMALL_AUDIO)(samples[None].astype(np.float32))[0]


@pytest.fixture
def windows() -> Windows:
    """Two classes: a short low tone amid silence, and a high tone that never ends."""
    short = np.zeros(4_000, np.float32)
    short[1_000:2_000] = tone(300, 0.125, RATE)
    decibels = np.stack([log_mel(short), log_mel(tone(3_000, 0.5, RATE))]).astype(np.float16)
    return Windows(decibels, np.array([0, 1]), np.array([0, 1]))


def drawn(windows: Windows, count: int, **options: float) -> list[tuple[np.ndarray, np.ndarray]]:
    mixtures = Mixtures(windows, 2, SMALL_AUDIO)
    others = [np.full((32, mixtures.frames), -50, np.float32)]
    return [mixtures.draw(np.random.default_rng(seed), others, **options) for seed in range(count)]


def test_a_mixture_is_a_function_of_its_generator(windows: Windows) -> None:
    first, again = drawn(windows, 3), drawn(windows, 3)
    for (mine, targets), (other, also) in zip(first, again, strict=True):
        assert np.array_equal(mine, other)
        assert np.array_equal(targets, also)
    assert not np.array_equal(first[0][0], first[1][0])


def test_targets_say_when_a_class_sounds(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAINTEST_DB", 24.0)  # loud enough to see each of them in the log-mel
    monkeypatch.setattr(module, "OTHER_SHARE", 0.0)
    low = slice(*np.searchsorted(np.linspace(0, 32, 33), [2, 8]))
    seen = 0
    for decibels, targets in drawn(windows, 60):
        assert decibels.shape == (32, targets.shape[1])
        assert decibels.min() >= FLOOR
        assert set(np.unique(targets)) <= {0.0, 1.0}
        on = np.flatnonzero(targets[0])
        if not len(on) or len(on) > targets.shape[1] / 2:
            continue
        level = 10 * np.log10(np.sum(10 ** (decibels[low] / 10), axis=0))
        silent = np.flatnonzero(targets[0] == 0)
        assert level[on].mean() > level[silent].mean() + 6
        seen += 1
    assert seen > 20


def test_only_what_sounds_throughout_is_a_background(windows: Windows) -> None:
    assert [is_continuous(windows[index]) for index in range(2)] == [False, True]
    whole = [targets.mean(axis=1) for _, targets in drawn(windows, 60)]
    assert any(share[1] == 1 for share in whole)
    assert all(share[0] < 1 for share in whole)


def test_a_share_of_the_mixtures_holds_nothing_to_name(windows: Windows) -> None:
    assert all(not targets.any() for _, targets in drawn(windows, 20, nothing=1.0))
    assert any(targets.any() for _, targets in drawn(windows, 20, nothing=0.0))
    levels = [level_db(10 ** (decibels / 10)) for decibels, _ in drawn(windows, 20, nothing=1.0)]
    assert module.LOWEST_DB - 1 < min(levels) < max(levels) < module.HIGHEST_DB + 1


def test_other_sounds_are_stretches_and_are_never_a_target(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    mixtures = Mixtures(windows, 2, SMALL_AUDIO)
    other = np.full((32, 5 * mixtures.frames), -80, np.float32)
    other[10:14] = np.linspace(-60, 0, other.shape[1])  # in bands where no class sounds, louder and louder

    def of(share: float, **options: float) -> list[tuple[np.ndarray, np.ndarray]]:
        monkeypatch.setattr(module, "OTHER_SHARE", share)
        return [mixtures.draw(np.random.default_rng(seed), [other], **options) for seed in range(40)]

    def heard(drawn: list[tuple[np.ndarray, np.ndarray]]) -> float:
        return float(np.mean([(decibels[11:13].mean() > decibels[16:24].mean() + 3) for decibels, _ in drawn]))

    assert heard(of(1.0)) > heard(of(0.0)) + 0.3
    rises = [np.ptp(decibels[5:19].max(axis=0)) for decibels, _ in of(0.0, nothing=1.0)]
    assert np.median(rises) == pytest.approx(60 / 5, abs=4)  # a fifth of it, not all of it
    assert all(set(np.unique(targets)) <= {0.0, 1.0} for _, targets in of(1.0))
    assert not any(targets.any() for _, targets in of(1.0, nothing=1.0))


def test_parts_are_where_it_sounds_the_longest_first() -> None:
    sound = np.zeros(3 * RATE, np.float32)
    sound[RATE // 2 : RATE] = tone(500, 0.5, RATE)
    sound[2 * RATE : 2 * RATE + RATE // 5] = tone(500, 0.2, RATE)
    hop = SMALL_AUDIO.hop_length
    parts = sounding_parts(log_mel(sound), FLOOR, gap=30)
    assert len(parts) == 2
    for (first, last), (start, end) in zip(parts, [(0.5, 1.0), (2.0, 2.2)], strict=True):
        assert first * hop / RATE == pytest.approx(start, abs=0.03)
        assert last * hop / RATE == pytest.approx(end, abs=0.03)
    assert len(sounding_parts(log_mel(sound), FLOOR, gap=100)) == 1
    assert sounding_parts(np.full((32, 50), FLOOR, np.float32), FLOOR, 30) == [(0, 50)]
