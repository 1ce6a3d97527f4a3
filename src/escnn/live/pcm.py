"""PCM from a pipe or a socket: raw, or a WAV file whose header does not know how long it will be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from escnn.audio.channels import Block, Mixer, Samples
from escnn.audio.decoding import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, ends_early
from escnn.audio.formats.chunks import UNKNOWN
from escnn.errors import AudioError, UsageError

MOST_HEADER = 1 << 20  # bytes before the sound
MARK_BYTES = 12  # in which a WAV file says that it is one
BYTES = {"u8": 1, "s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}  # of a sample
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # formats of WAV
_WAV_HINT = "send WAV, as `arecord -f cd -t wav` does, or describe raw PCM with --rate, --channels and --encoding"


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """How samples are written: channels side by side, with `encoding` one of `BYTES`."""

    sample_rate: int  # Hz
    channels: int = 1
    encoding: str = "s16le"

    def __post_init__(self) -> None:
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            raise UsageError(f"rate {self.sample_rate}: must be {LOWEST_RATE} to {HIGHEST_RATE} Hz")
        if not 1 <= self.channels <= MOST_CHANNELS:
            raise UsageError(f"channels {self.channels}: must be 1 to {MOST_CHANNELS}")
        if self.encoding not in BYTES:
            raise UsageError(f"encoding {self.encoding!r:.60}: must be one of {', '.join(BYTES)}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of a sample of every channel."""
        return self.channels * BYTES[self.encoding]

    @property
    def is_float(self) -> bool:
        """Whether samples are floats."""
        return self.encoding.startswith("f")


def decoded(data: bytes, pcm: PcmFormat) -> Block:
    """Whole frames of PCM as floats of -1 to 1, (time, channels), as libsndfile reads them."""
    if pcm.encoding == "s24le":
        triples = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        wide: NDArray[np.int32] = np.zeros((len(triples), 4), dtype=np.uint8).view("<i4")
        wide.view(np.uint8)[:, 1:] = triples
        values = wide[:, 0].astype(np.float32) / np.float32(2**31)
    elif pcm.encoding == "u8":
        values = (np.frombuffer(data, dtype=np.uint8).astype(np.float32) - 128) / np.float32(128)
    elif pcm.is_float:
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is silenced as damage
            values = np.frombuffer(data, dtype=f"<f{BYTES[pcm.encoding]}").astype(np.float32)
    else:
        size = BYTES[pcm.encoding]
        values = np.frombuffer(data, dtype=f"<i{size}").astype(np.float32) / np.float32(2 ** (8 * size - 1))
    return values.reshape(-1, pcm.channels)


def check_raw(head: bytes, name: str = "-") -> None:
    """Look at the first `MARK_BYTES` of what is to be raw PCM.

    Raises:
        AudioError: there are none.
        UsageError: they are those of a WAV, whose header would be heard as sound.
    """
    if not head:
        raise _no_sound_came(name)
    if _is_wav(head):
        raise UsageError(
            f"{name}: begins with the header of a WAV, and --rate describes raw PCM",
            hint="leave out --rate, --channels and --encoding: the header says them",
        )


def ends_before(declared: int, there: int, pcm: PcmFormat, passed: int) -> str | None:
    """How `detect` would say that only so many bytes are `there` of those that a header `declared`, after `passed`
    bytes of header; None where that is nothing to speak of.
    """
    if declared in (passed + there, passed + there - 8):  # some recorders count the header as sound
        return None
    return ends_early(there // pcm.frame_bytes / pcm.sample_rate, declared / pcm.frame_bytes / pcm.sample_rate)


def _is_wav(head: bytes) -> bool:
    return head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:MARK_BYTES] == b"WAVE"


def _no_sound_came(name: str) -> AudioError:
    return AudioError(f"{name}: no sound came", code="empty", hint="does the recorder run?")


def read_wav_header(read: Callable[[int], bytes], name: str = "-") -> tuple[PcmFormat, int | None]:
    """What the header of a WAV file says, read to where the sound begins; and how many bytes of it there are, None
    where that is unknown or endless.

    Args:
        read: gives exactly so many bytes, or fewer at the end.
        name: how messages call it.

    Raises:
        AudioError: no sound comes, or it is no WAV file of a known kind.
    """

    def exactly(count: int) -> bytes:
        data = read(count)
        if len(data) < count:
            raise AudioError(f"{name}: ends within its header", code="empty", hint="does the recorder run?")
        return data

    head = read(MARK_BYTES)
    if not head:
        raise _no_sound_came(name)
    if not _is_wav(head):
        raise AudioError(f"{name}: neither WAV nor described as raw PCM", code="not_audio", hint=_WAV_HINT)
    pcm, passed, wide = None, 0, 0
    while True:
        chunk = exactly(8)
        kind, length = chunk[:4], int.from_bytes(chunk[4:], "little")
        if kind == b"data" and pcm is not None:
            length = length if head[:4] == b"RIFF" else wide
            return pcm, None if any(length in numbers for numbers in UNKNOWN) else length
        passed += 8 + length
        if kind == b"data" or passed > MOST_HEADER:
            raise AudioError(f"{name}: its header is damaged", code="damaged", hint=_WAV_HINT)
        body = exactly(length + length % 2)
        if kind == b"fmt ":
            pcm = _format_of(body, name)
        elif kind == b"ds64":  # lengths of 64 bits: of all that follows, and of the sound
            wide = int.from_bytes(body[8:16], "little")


def _format_of(body: bytes, name: str) -> PcmFormat:
    kind, channels, rate = (int.from_bytes(body[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
    align, bits = int.from_bytes(body[12:14], "little"), int.from_bytes(body[14:16], "little")
    if kind == _EXTENSIBLE:
        kind = int.from_bytes(body[24:26], "little")
    letter = {_PCM: "u" if bits == 8 else "s", _FLOAT: "f"}.get(kind)
    encoding = f"{letter}{bits}" + ("" if bits == 8 else "le")
    if encoding not in BYTES or align != channels * BYTES[encoding]:
        raise AudioError(
            f"{name}: a WAV of format {kind} with {bits} bits, which is not read from a pipe",
            code="not_audio",
            hint="record 16, 24 or 32 bits, or floats: `arecord -f S16_LE`",
        )
    try:
        return PcmFormat(rate, channels, encoding)
    except UsageError as error:
        raise AudioError(f"{name}: {error.message}", code="damaged") from error


class LiveSound:
    """From PCM to what a `LiveDetector` takes: one channel at the model's rate.

    Several channels are mixed as `detect` does it, which judges stretches of five seconds; for early scores they are
    mixed at once, by their mean.
    """

    def __init__(self, pcm: PcmFormat, sample_rate: int) -> None:
        self.pcm, self._rate = pcm, sample_rate
        self._mixer = Mixer(pcm.sample_rate, pcm.channels, is_float=pcm.is_float)
        self.is_direct = pcm.channels == 1 and not pcm.is_float
        # `is_direct`: what `detect` would hear is known at once.
        self._settled, self._early = self._resampler(), self._resampler()
        self._rest = b""  # of a frame that has not come whole
        self.frames = 0  # that came

    @property
    def seconds(self) -> float:
        """Of the sound that came."""
        return self.frames / self.pcm.sample_rate

    def feed(self, data: bytes) -> tuple[Samples, Samples | None]:
        """The samples that `detect` would hear, as far as they are known; those for early scores, if others."""
        data = self._rest + data
        whole = len(data) - len(data) % self.pcm.frame_bytes
        self._rest = data[whole:]
        return self.feed_block(decoded(data[:whole], self.pcm))

    def feed_block(self, block: Block) -> tuple[Samples, Samples | None]:
        """The same of samples (time, channels)."""
        nothing = np.zeros(0, dtype=np.float32)
        if not len(block):
            return nothing, None if self.is_direct else nothing
        self.frames += len(block)
        settled = [self._resampled(self._settled, part) for part in self._mixer.feed(block)]
        early = None
        if not self.is_direct:
            mean = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0).mean(axis=1, dtype=np.float32)
            early = self._resampled(self._early, np.clip(mean, -1, 1))
        return np.concatenate([nothing, *settled]), early

    def end(self) -> Samples:
        """What is left of the samples that `detect` would hear."""
        parts = [self._resampled(self._settled, part) for part in self._mixer.end()]
        if self._settled is not None:
            parts.append(self._settled.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        return np.concatenate([np.zeros(0, dtype=np.float32), *parts])

    def _resampler(self) -> soxr.ResampleStream | None:
        if self.pcm.sample_rate == self._rate:
            return None
        return soxr.ResampleStream(self.pcm.sample_rate, self._rate, 1, dtype="float32")

    def notes(self) -> list[str]:
        """What a person should know of it once it has ended, in the words of `detect`."""
        return list(self._mixer.notes())

    @staticmethod
    def _resampled(resampler: soxr.ResampleStream | None, samples: Samples) -> Samples:
        return samples if resampler is None else resampler.resample_chunk(samples)
