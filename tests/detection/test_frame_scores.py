"""One pass in blocks gives what the pass over the whole gives; nothing drifts, and the end is heard."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import SMALL_AUDIO, SMALL_HEAD, SMALL_MODEL, random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from escnn.audio.log_mel import AudioConfig, LogMel
from escnn.detection.events import EventFinder
from escnn.detection.frame_scores import (
    Recording,
    block_frames,
    read_frame_scores,
    score_recordings,
    stream_log_mels,
)
from escnn.inference.onnx_runtime import OnnxRuntime
from escnn.model.architecture import ModelConfig
from escnn.model.frames import EventSettings, FrameHeadConfig, FrameRecord, Geometry, geometry
from escnn.model.model_file import ModelFile
from escnn.network.runtime import TorchRuntime

RATE = SMALL_AUDIO.sample_rate


def in_pieces(samples: np.ndarray, pieces: int) -> Iterator[np.ndarray]:
    return iter(np.array_split(samples, pieces))


def scores_of(runtime: OnnxRuntime, samples: np.ndarray, pieces: int, block_seconds: float) -> np.ndarray:
    parts = list(read_frame_scores(in_pieces(samples, pieces), runtime, block_seconds))
    assert [part.first for part in parts] == np.cumsum([0, *(len(part.scores) for part in parts)])[:-1].tolist()
    return np.concatenate([part.scores for part in parts])


@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(1, 40_000),
    pieces=st.integers(1, 40),
    block_seconds=st.floats(0.01, 6.0),
    seed=st.integers(0, 99),
)
def test_blocks_of_any_length_give_the_scores_of_the_pass_over_the_whole(
    runtime: OnnxRuntime, samples: int, pieces: int, block_seconds: float, seed: int
) -> None:
    sound = np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)
    padded = np.pad(sound, (0, max(0, SMALL_AUDIO.window_samples - samples)))
    whole = runtime.frame_scores(runtime.log_mels(padded[None]))[0].T
    assert np.abs(scores_of(runtime, sound, pieces, block_seconds) - whole).max() < 1e-4
    assert len(whole) == runtime.card.frame_geometry.frames(1 + len(padded) // SMALL_AUDIO.hop_length)


def test_a_margin_that_is_too_small_would_be_seen(runtime: OnnxRuntime) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    real = runtime.card.frame_geometry
    narrow = Geometry(real.stride, real.grid, real.grid)
    card = SimpleNamespace(audio=SMALL_AUDIO, frame_geometry=narrow)
    stand_in = SimpleNamespace(card=card, parallel=1, log_mels=runtime.log_mels, frame_scores=runtime.frame_scores)
    whole = scores_of(runtime, sound, 1, 100.0)
    assert np.abs(scores_of(stand_in, sound, 1, 0.5) - whole).max() > 1e-4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        SMALL_MODEL,
        ModelConfig(widths=(4, 6, 8, 10), depths=(1, 1, 2, 2), stem_kernel=5),
        ModelConfig(widths=(4, 6, 8), depths=(3, 1, 1), stem_kernel=7, shortcut="strided", pooling="mean"),
    ],
)
def test_the_margin_holds_for_other_networks(config: ModelConfig) -> None:
    model = random_model(config=config, frames=SMALL_HEAD)
    sound = np.random.default_rng(1).normal(0, 0.1, 9 * RATE).astype(np.float32)
    for file in (model, ModelFile(dataclasses.replace(model.card, frames=None), model.weights)):
        if file.card.frames is None:
            file = random_model(config=config)
        runtime = OnnxRuntime(file)
        whole = scores_of(runtime, sound, 1, 100.0)
        assert np.abs(scores_of(runtime, sound, 1, 0.2) - whole).max() < 1e-4


@pytest.mark.parametrize("frames", [1, 2, 3, 31, 63, 64, 65, 130])
@pytest.mark.parametrize("head", [SMALL_HEAD, None])
def test_torch_and_onnx_give_the_same_scores(frames: int, head: FrameRecord | None) -> None:
    model = random_model(frames=head)
    log_mels = np.random.default_rng(frames).uniform(-110, -10, (2, 32, frames)).astype(np.float32)
    ours, theirs = (
        runtime.frame_scores(log_mels) for runtime in (OnnxRuntime(model), TorchRuntime(model, torch.device("cpu")))
    )
    assert ours.shape == (2, 3, model.card.frame_geometry.frames(frames))
    assert np.abs(ours - theirs).max() < 1e-5
    assert ours.std() > 1e-3


def test_the_log_mel_of_a_stream_is_that_of_the_whole_bit_for_bit(runtime: OnnxRuntime) -> None:
    sound = np.random.default_rng(2).normal(0, 0.1, 13 * RATE + 77).astype(np.float32)
    whole = LogMel(SMALL_AUDIO)(sound[None])[0]
    streamed = np.concatenate(list(stream_log_mels(in_pieces(sound, 91), runtime, SMALL_AUDIO)), axis=1)
    assert np.array_equal(streamed, whole)


@pytest.mark.parametrize("border", [0, 1, 3, 7])
def test_a_stream_can_be_begun_at_any_border_of_blocks(runtime: OnnxRuntime, border: int) -> None:
    sound = np.random.default_rng(4).normal(0, 0.1, 12 * RATE).astype(np.float32)
    first = border * block_frames(runtime.card, 1.0) // runtime.card.frame_geometry.stride
    whole = scores_of(runtime, sound, 5, 1.0)
    parts = list(read_frame_scores(in_pieces(sound, 17), runtime, 1.0, first))
    assert parts[0].first == first
    assert np.array_equal(np.concatenate([part.scores for part in parts]), whole[first:])


def test_several_recordings_are_scored_in_order_and_what_cannot_be_read_says_so(
    runtime: OnnxRuntime, tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    sounds = [rng.normal(0, 0.1, samples).astype(np.float32) for samples in (900, 30_000, 4_000)]
    recordings = [Recording((sound, RATE), f"{number}") for number, sound in enumerate(sounds)]
    recordings.insert(1, Recording(tmp_path / "missing.wav", "missing"))
    told = list(score_recordings(recordings, runtime, 1.0))
    assert [recording.name for recording, part in told if part is None] == ["0", "missing", "1", "2"]
    assert recordings[1].error is not None
    for recording, sound in zip([recordings[0], *recordings[2:]], sounds, strict=True):
        scores = np.concatenate([part.scores for of, part in told if of is recording and part is not None])
        assert np.array_equal(scores, scores_of(runtime, sound, 1, 1.0))
        assert (recording.seconds, recording.error) == (len(sound) / RATE, None)


def test_a_day_of_hourly_clicks_has_each_of_them_where_it_is() -> None:
    audio = AudioConfig(sample_rate=1_000, clip_seconds=2.0, n_fft=64, hop_length=50, n_mels=8, f_min=0.0, f_max=500.0)

    class Loudness:
        """Stands in for a network: the score of a frame is whether its loudest cell is louder than -60 dB."""

        parallel = 2
        card = SimpleNamespace(audio=audio, frame_geometry=Geometry(4, 8, 64))
        log_mels = staticmethod(LogMel(audio))

        @staticmethod
        def frame_scores(log_mels: np.ndarray) -> np.ndarray:
            loud = (log_mels.max(axis=1) > -60).astype(np.float32)  # (batch, frames)
            centred = np.pad(loud, ((0, 0), (2, 6)))[:, : 4 * -(-loud.shape[1] // 4)]
            return centred.reshape(len(loud), 1, -1, 4).max(axis=3)

    hour = 3600 * audio.sample_rate
    clicks = [hour * number + 1_234 * number for number in range(24)]

    def day() -> Iterator[np.ndarray]:
        for first in range(0, 24 * hour, 100_001):
            block = np.zeros(min(100_001, 24 * hour - first), np.float32)
            block[[click - first for click in clicks if 0 <= click - first < len(block)]] = 1.0
            yield block

    finder = EventFinder.of(EventSettings(merge_seconds=0, median_frames=1), 1, 0.2)
    runs = [run for part in read_frame_scores(day(), Loudness()) for _, run in finder.feed(part.scores)]  # type: ignore[arg-type]
    runs += [run for _, run in finder.end()]
    assert len(runs) == len(clicks)
    for click, run in zip(clicks, runs, strict=True):
        assert abs((run.start + run.end - 1) / 2 * 0.2 - click / audio.sample_rate) <= 0.2


def test_what_a_score_depends_on_is_within_the_margin() -> None:
    config = ModelConfig()
    assert geometry(config, FrameHeadConfig()) == Geometry(stride=16, grid=32, margin=480)
    with_head = random_model(config=SMALL_MODEL, frames=SMALL_HEAD)
    runtime = OnnxRuntime(with_head)
    where = with_head.card.frame_geometry
    rng = np.random.default_rng(3)
    log_mel = rng.uniform(-80, -20, (1, 32, 4 * where.margin)).astype(np.float32)
    before = runtime.frame_scores(log_mel)[0]
    middle = 2 * where.margin // where.stride
    log_mel[:, :, : 2 * where.margin - where.margin] = -100
    log_mel[:, :, 2 * where.margin + where.margin + 1 :] = -100
    after = runtime.frame_scores(log_mel)[0]
    assert np.array_equal(before[:, middle], after[:, middle])
    assert not np.array_equal(before, after)
