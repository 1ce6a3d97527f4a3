"""One pass over a sound of any length: a score a class for every frame, in memory that does not grow.

The network is fully convolutional, so that it need not be shown one window after the other. A sound is read once, its
log-mel computed once, and the network sees it in blocks. These begin on its grid, the product of all of its strides,
and overlap by as much as a frame depends on: no score depends on where blocks end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from escnn.audio.channels import Samples
from escnn.audio.decoding import Source, open_sound
from escnn.audio.log_mel import AudioConfig
from escnn.errors import AudioError
from escnn.inference.read_ahead import read_ahead
from escnn.model.card import ModelCard, no_numbers

if TYPE_CHECKING:
    from escnn.inference.onnx_runtime import OnnxRuntime
    from escnn.network.runtime import TorchRuntime

Array = NDArray[np.float32]
BLOCK_SECONDS = 40.0  # of which a block gives scores; longer ones take more memory, shorter ones overlap more
PIECE_SECONDS = 5.0  # of log-mel that are computed at once
AHEAD = 2  # blocks that are got ready while the network is at work


@dataclass(frozen=True, slots=True)
class FrameScores:
    """Scores of consecutive frames, (frames, classes), each 0 to 1; `first` is the number of the first of them, and the
    sound goes on to `heard_seconds` at least: to its end, if they are the last.
    """

    first: int
    scores: Array
    heard_seconds: float


@dataclass(eq=False)
class Recording:
    """A recording on its way through the network, and what is known of it once it has been read."""

    source: Source
    name: str
    number: int = 0  # of those before it
    first: int = 0  # the score to begin with, a border of blocks
    declared_seconds: float | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: AudioError | None = None


def score_recordings(
    recordings: Iterable[Recording], runtime: OnnxRuntime | TorchRuntime, block_seconds: float = BLOCK_SECONDS
) -> Iterator[tuple[Recording, FrameScores | None]]:
    """The scores of recordings, one after the other, each from its first frame to its last; after those of each, None.

    Decoding and log-mels are computed in a thread, ahead of the network, which computes several blocks at once where
    the runtime has a core for each. What cannot be read has its `error` set, and may have had scores before.
    """
    rate = runtime.card.audio.sample_rate

    def blocks() -> Iterator[tuple[Recording, _Block | None]]:
        for recording in recordings:
            try:
                with open_sound(recording.source, recording.name) as reader:
                    recording.declared_seconds = reader.declared_seconds
                    for block in _blocks(reader.blocks(rate), runtime, block_seconds, recording.first):
                        yield recording, block
                recording.seconds, recording.warnings = reader.seconds, tuple(reader.warnings)
            except AudioError as error:
                recording.error = error
            yield recording, None

    yield from _scored(blocks(), runtime)


def read_frame_scores(
    sound: Iterable[Samples],
    runtime: OnnxRuntime | TorchRuntime,
    block_seconds: float = BLOCK_SECONDS,
    first: int = 0,
) -> Iterator[FrameScores]:
    """The scores of a sound at the model's rate, from score `first` on, which must be a border of blocks."""
    stream = Recording(b"", "stream")
    blocks = ((stream, block) for block in _blocks(sound, runtime, block_seconds, first))
    yield from (part for _, part in _scored(blocks, runtime) if part is not None)


def _scored(
    blocks: Iterator[tuple[Recording, _Block | None]], runtime: OnnxRuntime | TorchRuntime
) -> Iterator[tuple[Recording, FrameScores | None]]:
    stride = runtime.card.frame_geometry.stride

    def score(block: _Block) -> FrameScores:
        scores = runtime.frame_scores(block.log_mel[None])[0].T  # (frames, classes)
        if not np.isfinite(scores).all():
            raise no_numbers(runtime.card)
        before = block.before // stride
        wanted = scores[before : before + -(-block.length // stride)].copy()
        return FrameScores(block.first // stride, wanted, block.heard_seconds)

    pool = ThreadPoolExecutor(runtime.parallel)
    scoring: deque[tuple[Recording, Future[FrameScores] | None]] = deque()
    try:
        for recording, block in read_ahead(blocks, AHEAD):
            scoring.append((recording, None if block is None else pool.submit(score, block)))
            while scoring and (len(scoring) > 2 * runtime.parallel or _is_done(scoring[0][1])):
                yield _result(*scoring.popleft())
        while scoring:
            yield _result(*scoring.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _is_done(future: Future[FrameScores] | None) -> bool:
    return future is None or future.done()


def _result(recording: Recording, future: Future[FrameScores] | None) -> tuple[Recording, FrameScores | None]:
    return recording, None if future is None else future.result()


def _blocks(
    sound: Iterable[Samples], runtime: OnnxRuntime | TorchRuntime, block_seconds: float, first: int
) -> Iterator[_Block]:
    """A sound as blocks, from that on which begins with score `first`."""
    audio, geometry = runtime.card.audio, runtime.card.frame_geometry
    core = block_frames(runtime.card, block_seconds)
    frame = first * geometry.stride
    before = min(frame, geometry.margin)
    samples = 0

    def counted() -> Iterator[Samples]:
        nonlocal samples
        for part in sound:
            samples += len(part)
            yield part

    pieces = stream_log_mels(counted(), runtime, audio, frame - before)
    for block in _cut_blocks(pieces, core, geometry.margin, frame, before):
        yield replace(block, heard_seconds=samples / audio.sample_rate)


def block_frames(card: ModelCard, block_seconds: float = BLOCK_SECONDS) -> int:
    """How many frames of the log-mel a block gives scores for: a whole number of steps of the network's grid."""
    grid = card.frame_geometry.grid
    return max(1, round(block_seconds * card.audio.sample_rate / card.audio.hop_length / grid)) * grid


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of a log-mel: `length` frames from number `first` on, of `log_mel` those from `before` on."""

    first: int
    length: int
    before: int
    log_mel: Array  # (mels, frames)
    heard_seconds: float = 0.0  # of the sound, when it was cut


def _cut_blocks(pieces: Iterable[Array], core: int, margin: int, first: int = 0, before: int = 0) -> Iterator[_Block]:
    """Stretches of `core` frames, with up to `margin` frames before and after each. The first one begins with frame
    `first`, and `before` frames of the pieces lie before it.
    """
    waiting: list[Array] = []
    count = 0  # frames that wait
    for piece in pieces:
        waiting.append(piece)
        count += piece.shape[1]
        while count > before + core + margin:  # more than that: what is left for the next block is never empty
            log_mel = np.concatenate(waiting, axis=1)
            yield _Block(first, core, before, np.ascontiguousarray(log_mel[:, : before + core + margin]))
            keep = max(0, before + core - margin)
            waiting, count = [log_mel[:, keep:]], count - keep
            first, before = first + core, before + core - keep
    log_mel = np.concatenate(waiting, axis=1)
    if (rest := count - before) > core:  # the end of the sound is nearer than a margin
        yield _Block(first, core, before, log_mel)
        keep = max(0, before + core - margin)
        first, before, rest, log_mel = first + core, before + core - keep, rest - core, log_mel[:, keep:]
    yield _Block(first, rest, before, np.ascontiguousarray(log_mel))


def stream_log_mels(
    blocks: Iterable[Samples], runtime: OnnxRuntime | TorchRuntime, audio: AudioConfig, first: int = 0
) -> Iterator[Array]:
    """The log-mel of a sound that comes in blocks, in pieces (mels, frames), from frame `first` on: bit for bit that of
    the whole.

    What lies beyond its ends is silence; a sound shorter than a window is filled up with it, as for `predict`.
    """
    hop = audio.hop_length
    lead = -(-audio.n_fft // 2 // hop)  # frames whose spectra reach beyond where they stand
    skip = max(0, first - lead) * hop
    silence = max(0, lead - first) * hop  # before the sound
    at_once = max(1, round(PIECE_SECONDS * audio.sample_rate / hop))
    size = (2 * lead + at_once) * hop  # of samples: a frame of them more than those that are looked at
    waiting = [np.zeros(silence, dtype=np.float32)]
    count, samples, frames = silence, 0, first

    def piece(chunk: Samples, wanted: int) -> Array:
        log_mel: Array = runtime.log_mels(chunk[None])[0]
        return log_mel[:, lead : lead + wanted]

    for block in blocks:
        samples += len(block)
        block = block[max(0, len(block) - max(0, samples - skip)) :]
        waiting.append(block)
        count += len(block)
        if count >= size:
            joined = np.concatenate(waiting)
            first = 0
            while len(joined) - first >= size:
                yield piece(joined[first : first + size], at_once)
                first += at_once * hop
                frames += at_once
            waiting, count = [joined[first:]], len(joined) - first
    samples = max(samples, audio.window_samples)
    left = 1 + samples // hop - frames
    rest = np.concatenate(waiting)
    while left > 0:
        wanted = min(left, at_once)
        yield piece(np.pad(rest[:size], (0, max(0, size - len(rest)))), wanted)
        rest, left = rest[wanted * hop :], left - wanted
