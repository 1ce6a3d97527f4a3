"""Any file that libsndfile reads, or bytes, to mono float32 at the rate that is asked for: bounded and checked.

No torch here, so that readers that only look at sound start in a quarter of a second.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from escnn.chunks import lacks_last_page, promised_and_held
from escnn.errors import AudioError, reason

Samples = NDArray[np.float32]
SoundSource = str | os.PathLike[str] | bytes

EXTENSIONS = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"}
)
LOWEST_RATE, HIGHEST_RATE = 1_000, 384_000  # Hz
MOST_CHANNELS = 32
MP3_RATES = (44_100, 48_000)  # Hz; below these it has a delay, above there is none
LONGEST_SECONDS = 24 * 3600.0  # of a stream of blocks
LONGEST_WAVEFORM_SECONDS = 3600.0  # of a sound that is held in memory as one array
BLOCK_FRAMES = 1 << 13  # what is lost where a damaged file stops making sense
LOUDEST = 1e10  # beyond this a float sample is damage: its power would overflow float32

_CONVERT_HINT = "supported are wav, flac, ogg, opus, mp3 and aiff; convert with `ffmpeg -i IN out.wav`"


@dataclass(frozen=True, slots=True)
class SoundInfo:
    """What the file's header says of itself."""

    sample_rate: int  # Hz
    channels: int
    format: str  # libsndfile's name, such as "WAV"
    subtype: str  # such as "PCM_16"


@dataclass(frozen=True, slots=True)
class Waveform:
    """A sound in memory: `samples` has shape (time,), mono, float32, at `sample_rate` Hz."""

    samples: Samples
    sample_rate: int
    info: SoundInfo
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.sample_rate


class SoundReader:
    """An open sound. `blocks` reads it once; `seconds`, `peak` and `warnings` tell the truth once it is read."""

    def __init__(self, file: soundfile.SoundFile, name: str, promise: float = 1.0, *, endless: bool = False) -> None:
        """`promise`: bytes of sound that the header promises for each that is there; `endless`: no end was found."""
        self.name = name
        self.info = SoundInfo(file.samplerate, file.channels, file.format, file.subtype)
        self.warnings: list[str] = []
        self.peak = 0.0
        self._file = file
        self._promise = promise
        self._endless = endless
        self._frames_read = 0
        if not LOWEST_RATE <= self.info.sample_rate <= HIGHEST_RATE:
            raise AudioError(
                f"{name}: sample rate {self.info.sample_rate} Hz is outside {LOWEST_RATE} to {HIGHEST_RATE} Hz",
                code="sample_rate",
                hint="the header is probably damaged; if not, resample it first",
            )
        if self.info.channels > MOST_CHANNELS:
            raise AudioError(
                f"{name}: {self.info.channels} channels, at most {MOST_CHANNELS} are read",
                code="channels",
                hint="mix it down first",
            )

    @property
    def seconds(self) -> float:
        """Seconds read so far, counted in samples that came and not in what the header promised."""
        return self._frames_read / self.info.sample_rate

    def blocks(self, sample_rate: int | None = None, *, longest_seconds: float = LONGEST_SECONDS) -> Iterator[Samples]:
        """Yield the sound in blocks of shape (time,), mono (mean of the channels), at `sample_rate` (default: its own).

        The blocks laid end to end do not depend on where they are cut. Samples that are no numbers, or absurdly large,
        are silenced with a warning. Raises `AudioError` for a sound that is empty, silent, or longer than
        `longest_seconds`.
        """
        own_rate = self.info.sample_rate
        resampler = None
        if sample_rate is not None and sample_rate != own_rate:
            resampler = soxr.ResampleStream(own_rate, sample_rate, 1, dtype="float32")
        for mono in self._mono_blocks():
            if self.seconds > longest_seconds:
                raise AudioError(
                    f"{self.name}: longer than {longest_seconds:g} seconds", code="too_long", hint="cut it into parts"
                )
            yield mono if resampler is None else resampler.resample_chunk(mono)
        if self._frames_read == 0:
            raise AudioError(
                f"{self.name}: 0 samples",
                code="empty",
                hint="the header is there but no sound follows; was the copy cut off?",
            )
        if self.peak == 0.0:
            raise AudioError(
                f"{self.name}: silent, every sample is zero", code="silent", hint="was the microphone muted?"
            )
        if resampler is not None:
            yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)

    def _mono_blocks(self) -> Iterator[Samples]:
        promised = round(self._file.frames * self._promise)
        silenced = 0
        while True:
            try:
                block: Samples = self._file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)  # (time, channels)
            except (soundfile.SoundFileError, RuntimeError) as error:
                if self._frames_read == 0:
                    raise AudioError(
                        f"{self.name}: cannot be decoded ({reason(error)})", code="damaged", hint=_CONVERT_HINT
                    ) from error
                self.warnings.append(f"damaged after {self.seconds:.2f} s; what came before was used")
                break
            if len(block) == 0:
                if 0 < self._frames_read < promised < 2**62:
                    self.warnings.append(
                        f"ends after {self.seconds:.2f} s, its header promised {promised / self.info.sample_rate:.2f} s"
                    )
                elif self._frames_read and self._endless:
                    self.warnings.append(f"ends after {self.seconds:.2f} s, without the page that ends an Ogg stream")
                break
            damaged = ~(np.abs(block) <= LOUDEST)
            if damaged.any():
                silenced += int(damaged.sum())
                block[damaged] = 0.0
            mono: Samples = block.mean(axis=1, dtype=np.float32) if block.shape[1] > 1 else block[:, 0]
            self._frames_read += len(mono)
            self.peak = max(self.peak, float(np.abs(mono).max()))
            yield mono
        if silenced:
            self.warnings.append(f"{silenced} samples were not finite numbers and were silenced")


class _BytesFile(io.BytesIO):
    """Bytes as a file that stays where it is when it is sent before its start, as a file on disk does.

    `io.BytesIO` goes to the start instead, or raises; where a header is forged, libsndfile asks for it.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """The new position, in bytes."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.getbuffer().nbytes}[whence]
        return super().seek(base + offset) if 0 <= base + offset < 2**63 else self.tell()


@contextmanager
def open_sound(source: SoundSource, name: str | None = None) -> Iterator[SoundReader]:
    """Open a path or the bytes of a sound file for reading.

    Args:
        source: a path, or the content of a file.
        name: how messages call it; by default the path.

    Raises:
        AudioError: it is missing, a folder, not readable, or no sound that libsndfile knows.
    """
    name = name or ("audio" if isinstance(source, bytes) else str(os.fspath(source)))
    # A file descriptor keeps libsndfile from seeing the name: a name that is not UTF-8, or ends in .raw, cannot hurt.
    handle = _BytesFile(source) if isinstance(source, bytes) else _open_descriptor(Path(source), name)
    size = len(source) if isinstance(source, bytes) else os.fstat(handle).st_size  # type: ignore[arg-type]
    try:
        if size == 0:
            raise AudioError(f"{name}: the file is empty (0 bytes)", code="empty", hint="was the copy cut off?")
        promise, endless = _promise(handle)
        try:
            file = soundfile.SoundFile(handle, closefd=False)
        except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise AudioError(
                f"{name}: not an audio file libsndfile can read ({reason(error)})",
                code="not_audio",
                hint=_CONVERT_HINT,
            ) from error
        with file:
            yield SoundReader(file, name, promise, endless=endless)
    finally:
        if isinstance(handle, int):
            os.close(handle)


def load_audio(source: SoundSource, sample_rate: int | None = None, *, name: str | None = None) -> Waveform:
    """Read a whole sound (at most an hour) into memory.

    Args:
        source: a path, or the content of a file as bytes.
        sample_rate: in Hz; by default the file's own. Resampled with soxr (HQ).
        name: how messages call it; by default the path.

    Returns:
        A `Waveform`, mono, float32.

    Raises:
        AudioError: there is no sound to be had from it.
    """
    with open_sound(source, name) as reader:
        samples = np.concatenate(list(reader.blocks(sample_rate, longest_seconds=LONGEST_WAVEFORM_SECONDS)))
        return Waveform(samples, sample_rate or reader.info.sample_rate, reader.info, tuple(reader.warnings))


def windows(blocks: Iterable[Samples], length: int) -> Iterator[Samples]:
    """Cut a sound into windows of `length` samples, one after the other, while it is being read.

    A sound shorter than one window is padded with silence at its end, as the clips of ESC-50 are. Otherwise the last
    window ends where the sound ends and overlaps the one before it, so that no window is mostly padding. A rest of less
    than 1 % of a window is left out: resampling may add a sample or two.
    """
    rest = np.zeros(0, dtype=np.float32)
    previous: Samples | None = None
    for block in blocks:
        rest = np.concatenate((rest, block))
        while len(rest) >= length:
            previous, rest = rest[:length], rest[length:]
            yield previous
    if previous is None:
        yield np.pad(rest, (0, length - len(rest)))
    elif len(rest) >= max(1, length // 100):
        yield np.concatenate((previous, rest))[-length:]


def encode(samples: Samples, sample_rate: int, kind: str) -> bytes:
    """A sound as a file for a page to play.

    Args:
        samples: (time,); what exceeds -1..1 is clipped.
        sample_rate: in Hz.
        kind: ``WAV`` (16 bits), which keeps it as it is, or ``MP3``, a fraction of that and without delay; resampled
            to 44.1 kHz unless it is one of `MP3_RATES`. Not FLAC: near the end of one, Chromium seeks for ever.
    """
    encoded = io.BytesIO()
    if kind == "MP3" and sample_rate not in MP3_RATES:
        samples, sample_rate = soxr.resample(samples, sample_rate, 44_100), 44_100
    # At a constant 96 kbit/s (of 44.1 kHz); a variable rate, libsndfile's default, spoils quiet and simple sounds.
    quality = {"bitrate_mode": "CONSTANT", "compression_level": 0.8} if kind == "MP3" else {"subtype": "PCM_16"}
    soundfile.write(encoded, np.clip(samples, -1, 1), sample_rate, format=kind, **quality)
    return encoded.getvalue()


def _promise(handle: int | io.BytesIO) -> tuple[float, bool]:
    """Bytes of sound promised for each that is there, and whether an end is missing; leaves the file at its start."""
    with nullcontext(handle) if isinstance(handle, io.BytesIO) else os.fdopen(handle, "rb", 0, closefd=False) as file:
        try:
            promised, held = promised_and_held(file) or (0, 0)
            endless = lacks_last_page(file)
        except OSError:  # a failing disk: libsndfile will meet it too, and say so
            promised, held, endless = 0, 0, False
        file.seek(0)
    return promised / held if held else 1.0, endless


def _open_descriptor(path: Path, name: str) -> int:
    if path.is_dir():
        raise AudioError(f"{name}: is a folder", code="folder", hint="give the files in it")
    if path.exists() and not path.is_file():
        raise AudioError(f"{name}: neither a file nor a folder", code="unreadable", hint="copy the sound into a file")
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise AudioError(f"{name}: no such file", code="missing") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: cannot be opened ({reason(error)})", code="unreadable") from error
