"""What comes piece by piece is what `detect` computes of the whole: log-mels and final scores, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SMALL_AUDIO
from hypothesis import given, settings
from hypothesis import strategies as st

from escnn.audio.demo_sounds import RATE as DEMO_RATE
from escnn.audio.demo_sounds import synthesized
from escnn.audio.log_mel import LogMel
from escnn.detection.frame_scores import read_frame_scores, stream_log_mels
from escnn.inference.onnx_runtime import OnnxRuntime
from escnn.live.log_mel_stream import Frames, LogMelStream
from escnn.live.scores import EarlyScores, FinalScores
from escnn.model.model_file import read_model

RATE = SMALL_AUDIO.sample_rate


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def final_scores(runtime: OnnxRuntime, sound: np.ndarray, pieces: int) -> np.ndarray:
    final = FinalScores(runtime)
    parts = [part for piece in np.array_split(sound, pieces) for part in final.feed(piece)]
    return np.concatenate([*parts, *final.end()])


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 40_000), pieces=st.integers(1, 60))
def test_the_log_mel_of_pieces_is_that_of_the_whole_bit_for_bit(samples: int, pieces: int) -> None:
    sound = noise(samples)
    log_mels = LogMel(SMALL_AUDIO)
    stream = LogMelStream(log_mels, SMALL_AUDIO)
    parts = [stream.feed(piece) for piece in np.array_split(sound, pieces)]
    got = np.concatenate([*parts, stream.end()], axis=1)
    runtime = type("Runtime", (), {"log_mels": staticmethod(log_mels)})
    whole = np.concatenate(list(stream_log_mels([sound], runtime, SMALL_AUDIO)), axis=1)  # type: ignore[arg-type]
    assert np.array_equal(got, whole)


def test_a_frame_is_given_with_the_next_hop_of_samples() -> None:
    stream = LogMelStream(LogMel(SMALL_AUDIO), SMALL_AUDIO)
    half, hop = SMALL_AUDIO.n_fft // 2, SMALL_AUDIO.hop_length
    assert stream.feed(noise(half + 3 * hop - 1)).shape[1] == 2
    assert stream.feed(noise(1)).shape[1] == 1


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(st.integers(0, 30), max_size=20))
def test_the_last_frames_are_kept_whatever_was_added(parts: list[int]) -> None:
    frames, count = Frames(2, 10), 0
    for part in parts:
        frames.add(np.stack([np.arange(count, count + part)] * 2).astype(np.float32))
        count += part
        first = max(0, count - 10)
        assert frames.end == count
        assert frames.first <= first
        assert np.array_equal(frames.between(first, count)[1], np.arange(first, count))


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(1, 60_000), pieces=st.integers(1, 50), seed=st.integers(0, 99))
def test_final_scores_are_those_of_the_whole(runtime: OnnxRuntime, samples: int, pieces: int, seed: int) -> None:
    sound = noise(samples, seed)
    whole = np.concatenate([part.scores for part in read_frame_scores([sound], runtime)])
    got = final_scores(runtime, sound, pieces)
    assert got.shape == whole.shape
    assert np.abs(got - whole).max() < 1e-5


@pytest.mark.parametrize("seconds", [60.0, pytest.param(111.0, marks=pytest.mark.slow)])
def test_with_the_bundled_model_final_scores_are_those_of_detect_bit_for_bit(seconds: float) -> None:
    runtime = OnnxRuntime(read_model(), threads=1)
    parts = [synthesized(name) for name in ("siren", "church_bells", "clock_tick")]
    sound = np.resize(np.concatenate(parts), round(seconds * DEMO_RATE)).astype(np.float32)
    sound += 0.01 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    whole = np.concatenate([part.scores for part in read_frame_scores([sound], runtime)])
    assert np.array_equal(final_scores(runtime, sound, 37), whole)


def test_early_scores_come_at_every_step_and_approach_the_final_ones(runtime: OnnxRuntime) -> None:
    sound = noise(12 * RATE)
    geometry = runtime.card.frame_geometry
    whole = np.concatenate([part.scores for part in read_frame_scores([sound], runtime)])
    wanted = 2 * geometry.margin // geometry.stride
    early = EarlyScores(runtime, wanted)
    steps = [step for piece in np.array_split(sound, 91) for step in early.feed(piece)]
    assert len(steps) == (len(sound) - SMALL_AUDIO.n_fft // 2) // SMALL_AUDIO.hop_length // geometry.grid
    first, scores = steps[-1]
    beside = np.abs(scores - whole[first : first + len(scores)]).max(axis=1)
    assert first + len(scores) == len(steps) * geometry.grid // geometry.stride
    assert beside[-1] > 1e-4, "nobody knows what comes next"


def test_early_scores_do_not_depend_on_pieces(runtime: OnnxRuntime) -> None:
    sound = noise(6 * RATE)
    one, many = (
        [step for piece in np.array_split(sound, count) for step in early.feed(piece)]
        for count, early in ((1, EarlyScores(runtime, 4)), (200, EarlyScores(runtime, 4)))
    )
    assert len(one) == len(many) > 3
    for (first, scores), (other, others) in zip(one, many, strict=True):
        assert first == other
        assert np.array_equal(scores, others)
