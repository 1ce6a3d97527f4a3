"""Any file that libsndfile or ffmpeg reads, its bytes, or an array: to mono float32 at the rate that is asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import soxr
from numpy.typing import NDArray

from escnn.audio.array_file import ArrayFile
from escnn.audio.channels import Mixer
from escnn.audio.channels import Samples as Samples
from escnn.audio.formats.decoder import DECODING_ERRORS, OPENING_ERRORS, Block, BytesFile, size_of, status_of
from escnn.audio.formats.ffmpeg import FfmpegFile, find_ffmpeg
from escnn.audio.formats.ogg import lacks_last_page
from escnn.audio.formats.signatures import LOOKED_AT, signature
from escnn.audio.formats.sound_file import SoundFile
from escnn.errors import AudioError, reason

# A path, the content of a file, or samples (time,) or (time, channels) and their rate in Hz.
Source = str | os.PathLike[str] | bytes | tuple[NDArray[Any], int]

# Of files that libsndfile reads, and of those for which it takes ffmpeg.
EXTENSIONS = frozenset(
    {
        *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mpga", ".aif"),
        *(".aiff", ".aifc", ".au", ".snd", ".caf", ".voc", ".sph", ".nist"),
        *(".m4a", ".m4b", ".aac", ".wma", ".amr", ".3gp", ".webm", ".weba", ".mka", ".ac3", ".ape", ".wv", ".tta"),
    }
)
LOWEST_RATE, HIGHEST_RATE = 1_000, 384_000  # Hz
MOST_CHANNELS = 32
SHORTEST_SECONDS = 0.01
LONGEST_SECONDS = 24 * 3600.0  # of a stream of blocks
LONGEST_WAVEFORM_SECONDS = 3600.0  # of a sound that is held in memory as one array
STEP = 2.0**-15  # of 16 bits: what varies by no more is silent
FEWEST_BYTES = 500  # of a second of sound: a header that promises more than its file can hold is read, not believed
TOLERANCE_SECONDS = 0.01  # between what a header promises and what is there

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
    """An open sound. `blocks` reads it once; `seconds` and `warnings` tell the truth once it is read."""

    def __init__(self, sound: SoundFile | FfmpegFile | ArrayFile, name: str, file: BinaryIO | None = None) -> None:
        """`file` is what holds the bytes, None for an array."""
        self.name = name
        self.info = SoundInfo(sound.samplerate, sound.channels, sound.format, sound.subtype)
        self.warnings: list[str] = []
        self._sound, self._file = sound, file
        self._before = status_of(file)
        self._frames = 0  # so far
        self._low, self._high = np.inf, -np.inf
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
        return self._frames / self.info.sample_rate

    @property
    def declared_seconds(self) -> float | None:
        """How long the header says the sound is; None where it does not."""
        return self._sound.frames / self.info.sample_rate or None

    def sha256(self) -> str:
        """SHA-256 of the open file's content, or of an array's bytes; to be asked once `blocks` has been read."""
        if self._file is None:
            return hashlib.sha256(cast(ArrayFile, self._sound).tobytes()).hexdigest()
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()  # type: ignore[arg-type]

    def blocks(self, sample_rate: int | None = None, *, longest_seconds: float = LONGEST_SECONDS) -> Iterator[Samples]:
        """Yield the sound in blocks of shape (time,), mono, at `sample_rate` (default: its own).

        Of several channels it is their mean, or the strongest where that would silence something (see `Mixer`). The
        blocks laid end to end do not depend on where they are cut. Samples that are no numbers, or absurdly large, are
        silenced with a warning. Raises `AudioError` for a sound that is empty, silent, or longer than
        `longest_seconds`.
        """
        own_rate = self.info.sample_rate
        resampler = None
        if sample_rate is not None and sample_rate != own_rate:
            resampler = soxr.ResampleStream(own_rate, sample_rate, 1, dtype="float32")
        is_float = self.info.subtype.lower().startswith(("float", "double"))
        mixer = Mixer(own_rate, self.info.channels, is_float=is_float)
        for mono in mixer.mixed(self._decoded(longest_seconds)):
            self._low, self._high = min(self._low, mono.min()), max(self._high, mono.max())
            yield mono if resampler is None else resampler.resample_chunk(mono)
        self._check(mixer.silenced)
        self.warnings += self._looking_back(mixer)
        if resampler is not None:
            yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)

    def _decoded(self, longest_seconds: float) -> Iterator[Block]:
        too_long = AudioError(
            f"{self.name}: longer than {longest_seconds:g} seconds", code="too_long", hint="cut it into parts"
        )
        if self._is_truly(longest_seconds):
            raise too_long
        try:
            for block in self._sound.blocks():
                self._frames += len(block)
                if self.seconds > longest_seconds:
                    raise too_long
                yield block
        except DECODING_ERRORS as error:
            raise AudioError(
                f"{self.name}: cannot be decoded ({reason(error)})", code="damaged", hint=_CONVERT_HINT
            ) from error
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def _is_truly(self, longer_than: float) -> bool:
        """Whether the header says so, and the file is large enough for it to be true."""
        declared, file = self.declared_seconds or 0.0, self._file
        return declared > longer_than and file is not None and size_of(file) >= FEWEST_BYTES * declared

    def _check(self, silenced: int) -> None:
        """Raise an error where all that was read is no sound; so many of its samples were `silenced`."""
        if error := too_short(self.name, self._frames, self.info.sample_rate):
            raise error
        if self._high - self._low > STEP:
            return
        if silenced or self._sound.lost:
            found = "its samples are no numbers of -1 to 1" if silenced else "nothing of it can be decoded"
            raise AudioError(f"{self.name}: {found}", code="damaged", hint=_CONVERT_HINT)
        found = "zero" if self._low == self._high == 0 else "the same, but for the last of 16 bits"
        raise AudioError(
            f"{self.name}: silent, every sample is {found}", code="silent", hint="was the microphone muted?"
        )

    def _looking_back(self, mixer: Mixer) -> Iterator[str]:
        """What a person should know of the sound, once it is read."""
        yield from mixer.notes()
        yield from self._sound.notes
        lost, declared = self._sound.lost / self.info.sample_rate, self._sound.frames / self.info.sample_rate
        if lost:
            yield f"damaged: {self.seconds - lost:.2f} of {self.seconds:.2f} s could be read, the rest is silence"
        if early := ends_early(self.seconds, declared, max(TOLERANCE_SECONDS, lost)):
            yield early
        elif self._file is not None and lacks_last_page(self._file):
            yield f"ends after {self.seconds:.2f} s, without the page that ends an Ogg stream"
        if status_of(self._file) != self._before:
            yield "it changed while it was read; is it still being written?"


def too_short(name: str, frames: int, sample_rate: int) -> AudioError | None:
    """What is wrong with a sound of so few `frames`; None where they are enough."""
    milliseconds, fewest = 1000 * frames / sample_rate, 1000 * SHORTEST_SECONDS
    if milliseconds >= fewest:
        return None
    found, hint = "0 samples", "there is no sound in it"
    if frames:
        found = f"{frames} samples, {milliseconds:.3g} ms of sound"
        hint = f"at least {fewest:g} ms are needed"
    return AudioError(f"{name}: {found}", code="empty", hint=f"{hint}; was the copy cut off?")


def ends_early(seconds: float, declared: float, tolerance: float = TOLERANCE_SECONDS) -> str | None:
    """What a person should know of a sound that ends before its header says; None where it does not."""
    cut_off = declared > seconds + tolerance
    return f"ends after {seconds:.2f} s, its header promised {declared:.2f} s" if cut_off else None


def source_name(source: Source) -> str:
    """How messages call a source that nobody named."""
    return "audio" if isinstance(source, bytes | tuple) else str(os.fspath(source))


@contextmanager
def open_sound(source: Source, name: str | None = None) -> Iterator[SoundReader]:
    """Open a path, the bytes of a sound file, or an array for reading.

    Args:
        source: a path; the content of a file; or ``(samples, sample_rate)``, samples of shape (time,) or
            (time, channels), floats of -1 to 1 or integers of full scale.
        name: how messages call it; by default the path.

    Raises:
        AudioError: it is missing, a folder, not readable, or no sound that libsndfile or ffmpeg knows.
    """
    name = name or source_name(source)
    with ExitStack() as stack:
        if isinstance(source, tuple):
            yield SoundReader(ArrayFile(source, name), name)
            return
        file: BinaryIO = BytesFile(source) if isinstance(source, bytes) else _open_file(Path(source), name)
        stack.enter_context(file)
        sound = stack.enter_context(closing(_decoder(file, name)))
        yield SoundReader(sound, name, file)


def load_audio(source: Source, sample_rate: int | None = None, *, name: str | None = None) -> Waveform:
    """Read a whole sound (at most an hour) into memory.

    Args:
        source: a path, the content of a file as bytes, or ``(samples, sample_rate)``.
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


def _decoder(file: BinaryIO, name: str) -> SoundFile | FfmpegFile:
    """What can decode an open file: libsndfile, otherwise ffmpeg if it is there."""
    try:
        head = file.read(LOOKED_AT)
        if not head:
            raise AudioError(f"{name}: the file is empty (0 bytes)", code="empty", hint="was the copy cut off?")
        return SoundFile(file)
    except OSError as error:
        raise _unreadable(name, error) from error
    except OPENING_ERRORS as error:
        kind = signature(head)
        if kind is not None and not kind.demuxer:
            raise AudioError(f"{name}: not an audio file but {kind.name}", code="not_audio") from error
        if kind is None:
            said = f"not an audio file libsndfile can read ({reason(error)})"
            raise AudioError(f"{name}: {said}", code="not_audio", hint=_CONVERT_HINT) from error
        program = find_ffmpeg()
        if program is None:
            said = f"{kind.name} that libsndfile cannot read ({reason(error)}), and ffmpeg is not installed"
            raise AudioError(
                f"{name}: {said}", code="not_audio", hint="install ffmpeg, or convert it with `ffmpeg -i IN out.wav`"
            ) from error
        return FfmpegFile(program, file, kind, name)


def _open_file(path: Path, name: str) -> BinaryIO:
    try:
        if path.is_dir():
            with os.scandir(path) as entries:  # one that cannot be read is an error of another kind
                kind = "a folder" if any(entries) else "an empty folder"
            raise AudioError(f"{name}: is {kind}", code="folder", hint="give files, or a folder with sounds in it")
        if path.exists() and not path.is_file():
            hint = "copy the sound into a file"
            raise AudioError(f"{name}: neither a file nor a folder", code="unreadable", hint=hint)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise AudioError(f"{name}: no such file", code="missing") from error
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    return os.fdopen(descriptor, "rb", buffering=0)


def _unreadable(name: str, error: Exception) -> AudioError:
    return AudioError(f"{name}: cannot be read ({reason(error)})", code="unreadable")
