"""One pass over a sound of any length: a score a class for every frame, in memory that does not grow.

The network is fully convolutional, so that it need not be shown one window after the other. A sound is read once, its
log-mel computed once, and the network sees it in blocks. These begin on its grid, the product of all of its strides,
and overlap by as much as a frame depends on: no score depends on where blocks end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from escnn.audio.channels import Samples
from escnn.audio.log_mel import AudioConfig
from escnn.inference.read_ahead import read_ahead

if TYPE_CHECKING:
    from escnn.inference.onnx_runtime import OnnxRuntime
    from escnn.network.runtime import TorchRuntime

Array = NDArray[np.float32]
BLOCK_SECONDS = 40.0  # of which a block gives scores; longer ones take more memory, shorter ones overlap more
PIECE_SECONDS = 5.0  # of log-mel that are computed at once


@dataclass(frozen=True, slots=True)
class FrameScores:
    """Scores of consecutive frames, (frames, classes), each 0 to 1; `first` is the number of the first of them."""

    first: int
    scores: Array


def read_frame_scores(
    blocks: Iterable[Samples], runtime: OnnxRuntime | TorchRuntime, block_seconds: float = BLOCK_SECONDS
) -> Iterator[FrameScores]:
    """The scores of a sound at the model's rate, from its first frame to its last, in the order of time.

    Decoding and log-mels are computed in a thread, ahead of the network, which computes several blocks at once where
    the runtime has a core for each.
    """
    audio, geometry = runtime.card.audio, runtime.card.frame_geometry
    core = max(1, round(block_seconds * audio.sample_rate / audio.hop_length / geometry.grid)) * geometry.grid
    pool = ThreadPoolExecutor(runtime.parallel)
    scoring: deque[tuple[_Block, Future[Array]]] = deque()

    def score(block: _Block) -> Array:
        scores = runtime.frame_scores(block.log_mel[None])[0].T  # (frames, classes)
        before = block.before // geometry.stride
        wanted: Array = scores[before : before + geometry.frames(block.length)].copy()
        return wanted

    try:
        pieces = stream_log_mels(blocks, runtime, audio)
        for block in read_ahead(_cut_blocks(pieces, core, geometry.margin), 1):
            scoring.append((block, pool.submit(score, block)))
            if len(scoring) > runtime.parallel:
                done, scores = scoring.popleft()
                yield FrameScores(done.first // geometry.stride, scores.result())
        for done, scores in scoring:
            yield FrameScores(done.first // geometry.stride, scores.result())
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of a log-mel: `length` frames from number `first` on, of `log_mel` those from `before` on."""

    first: int
    length: int
    before: int
    log_mel: Array  # (mels, frames)


def _cut_blocks(pieces: Iterable[Array], core: int, margin: int) -> Iterator[_Block]:
    """Stretches of `core` frames, with up to `margin` frames before and after each."""
    waiting: list[Array] = []
    count = first = before = 0  # frames that wait; the first of the next block, and how many of those before it wait
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
    blocks: Iterable[Samples], runtime: OnnxRuntime | TorchRuntime, audio: AudioConfig
) -> Iterator[Array]:
    """The log-mel of a sound that comes in blocks, in pieces (mels, frames): bit for bit that of the whole.

    What lies beyond its ends is silence; a sound shorter than a window is filled up with it, as for `predict`.
    """
    hop = audio.hop_length
    lead = -(-audio.n_fft // 2 // hop)  # frames whose spectra reach beyond where they stand
    at_once = max(1, round(PIECE_SECONDS * audio.sample_rate / hop))
    size = (2 * lead + at_once) * hop  # of samples: a frame of them more than those that are looked at
    waiting = [np.zeros(lead * hop, dtype=np.float32)]
    count, samples, frames = lead * hop, 0, 0

    def piece(chunk: Samples, wanted: int) -> Array:
        log_mel: Array = runtime.log_mels(chunk[None])[0]
        return log_mel[:, lead : lead + wanted]

    for block in blocks:
        samples += len(block)
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
