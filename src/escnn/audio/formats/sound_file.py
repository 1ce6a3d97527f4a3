"""A sound file to its real end: libsndfile, helped over wrong lengths, damage, and what follows the first sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import BinaryIO, cast

import numpy as np

from escnn.audio.formats import chunks, flac, mpeg, ogg
from escnn.audio.formats.decoder import DECODING_ERRORS, OPENING_ERRORS, Block, Decoder, Spliced, Stream
from escnn.audio.formats.signatures import LOOKED_AT, signature

BLOCK_FRAMES = 1 << 13  # decoded at a time: what is lost where a damaged file stops making sense and has no marks
READ_AHEAD = 1 << 18  # bytes that a decoder may have taken from the file before they are heard
LEADING = 1 << 20  # bytes before the first frame of an MP3, at most, that are passed over
ENDLESS = 2**62  # frames
MOST_SOUNDS = 5_000  # in a file: each is opened for itself
MOST_TRIES = 20_000  # frames that are tried after damage
FRAMES_OF_A_SOUND = 10  # of an MP3: fewer that follow are what an encoder adds


class SoundFile:
    """An open sound file. `blocks` gives what can be decoded, with silence in place of what is lost between.

    `frames` is how many the header declares, 0 where it does not. Once `blocks` is through, `lost` counts those that
    were silenced, and `notes` are what else a person should know.

    Raises:
        OPENING_ERRORS: libsndfile cannot read it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._part = _open(file)
        self.samplerate, self.channels = self._part.decoder.samplerate, self._part.decoder.channels
        self.format, self.subtype = self._part.decoder.format, self._part.decoder.subtype
        self.frames = self._part.frames
        self.lost = 0
        self.notes: list[str] = []

    def blocks(self) -> Iterator[Block]:
        """Blocks (time, channels) until the file ends; of several sounds in one file, one after the other.

        Raises:
            DECODING_ERRORS: nothing could be decoded.
        """
        start = 0
        for _ in range(MOST_SOUNDS):
            try:
                yield from self._part.blocks()
            except DECODING_ERRORS:
                if start == 0:
                    raise
                self.notes.append("another sound follows in this file that cannot be decoded")
            self.lost += self._part.lost
            self.notes += self._part.notes
            following = self._part.following()
            self._part.decoder.close()
            if not following:
                return
            start += following
            try:
                self._part = _open(cast(BinaryIO, Spliced(b"", self._file, start)))
            except OPENING_ERRORS:
                return
            if (self._part.decoder.samplerate, self._part.decoder.channels) != (self.samplerate, self.channels):
                self.notes.append("another sound follows in this file, with other channels or another rate: not heard")
                return
            self.frames = self.frames and self._part.frames and self.frames + self._part.frames

    def close(self) -> None:
        """Let go of the file, which stays open."""
        self._part.decoder.close()


class _Part:
    """One sound in a file."""

    def __init__(
        self,
        file: BinaryIO,
        decoder: Decoder,
        view: Spliced | None = None,
        sound: chunks.Sound | None = None,
        *,
        is_longer: bool = False,
    ) -> None:
        """`view` is what the decoder reads in place of the file; `is_longer`: than the header of the `sound` says."""
        self.file, self.decoder = file, decoder
        self.notes: list[str] = []
        self.lost = 0  # frames that were silenced
        self.frames = decoder.frames if decoder.frames < ENDLESS else 0
        self._left = self.frames or ENDLESS
        self._position = 0  # frames given so far
        self._silence = 0  # frames that are given next
        self._ahead: Block | None = None  # what is given then, decoded already
        self._view, self._sound = view, sound
        self._place = 0  # in the file, of the last block
        if sound and is_longer:
            there = self.frames / decoder.samplerate
            promised = there * sound.declared / sound.there
            self.notes.append(f"its header promised {promised:.2f} s, but {there:.2f} s are there and were read")
        elif sound and sound.missing and sound.there:
            self.frames = round(self.frames * sound.declared / sound.there)

    def blocks(self) -> Iterator[Block]:
        """Blocks (time, channels) until it ends."""
        while self._left > 0:
            if self._silence:
                block: Block = np.zeros((min(self._silence, BLOCK_FRAMES), self.decoder.channels), dtype=np.float32)
                self._silence -= len(block)
                self.lost += len(block)
            elif self._ahead is not None:
                block, self._ahead = self._ahead, None
            else:
                try:
                    self._place = self._tell()
                    block = self._decoded(self._left)
                except DECODING_ERRORS:
                    if self._resume():
                        continue
                    if not self._position:
                        raise
                    if not self.frames:
                        seconds = self._position / self.decoder.samplerate
                        self.notes.append(f"damaged after {seconds:.2f} s; what came before was used")
                    return
            if not len(block):
                return
            self._left -= len(block)
            self._position += len(block)
            yield block

    def following(self) -> int | None:
        """Where in the file another sound begins, once this one was read."""
        if self.decoder.format == "OGG":
            return ogg.next_stream(self.file, max(1, self._place - READ_AHEAD))
        return self._sound.behind if self._sound and chunks.is_followed(self.file, self._sound) else None

    def _decoded(self, frames: int) -> Block:
        """Up to so many frames, (time, channels); none at the end."""
        return self.decoder.next_block(min(frames, BLOCK_FRAMES))

    def _resume(self) -> bool:
        """Get ready to go on behind damage that was met after the last block; False where nothing is found there."""
        return False

    def _tell(self) -> int:
        return self._view.tell_in_file() if self._view else self.file.tell()


class _FlacPart(_Part):
    """FLAC: every frame tells which samples it holds, so what comes after damage is put where it belongs."""

    def blocks(self) -> Iterator[Block]:
        """Blocks (time, channels) until it ends, even where the header tells of less."""
        yield from super().blocks()
        if self._left == 0 and self._resume(is_longer=True):
            self._left = ENDLESS
            yield from super().blocks()

    def following(self) -> int | None:
        """Where in the file another sound begins, once this one was read."""
        own, following = self._streams
        return following[0] if own and following else None

    @cached_property
    def _streams(self) -> tuple[tuple[int, flac.StreamInfo] | None, tuple[int, flac.StreamInfo] | None]:
        """This sound, and the next one."""
        own = flac.find_stream(self.file, 0)
        return own, own and flac.find_stream(self.file, max(own[0] + len(flac.MARK), self._place - READ_AHEAD))

    def _resume(self, *, is_longer: bool = False) -> bool:
        """Get ready to go on with the next frame that can be decoded; the very next if it `is_longer` than it told."""
        found, following = self._streams
        if found is None:
            return False
        start = max(found[0] + 42, self._place - READ_AHEAD)
        info = replace(found[1], total=0) if is_longer else found[1]
        for at, first, length in islice(flac.frames(self.file, start, info, self._position), MOST_TRIES):
            if (following and at > following[0]) or (is_longer and first > self._position):
                return False
            view = Spliced(info.header, self.file, at)
            try:
                decoder = Decoder(view)
                block = decoder.next_block(length)
            except OPENING_ERRORS:
                continue
            if len(block) == length and decoder.channels == self.decoder.channels:
                self.decoder.close()
                self.decoder, self._view = decoder, view
                self._silence = max(0, first - self._position)
                self._ahead = block[max(0, self._position - first) :]
                return True
        return False


class _MpegPart(_Part):
    """MPEG audio: where no header tells its length, or frames are damaged, its frames are found one by one."""

    def __init__(self, file: BinaryIO, decoder: Decoder | None, frames: mpeg.Frames) -> None:
        self._frames = frames
        self._words: list[str] = []
        self._is_clean = decoder is None
        super().__init__(file, decoder or self._decoder_of_frames())
        if self._is_clean:
            self.frames, self._left = 0, ENDLESS

    def blocks(self) -> Iterator[Block]:
        """Blocks (time, channels) until it ends."""
        yield from super().blocks()
        self.lost = self._frames.lost
        complaints = sum("error" in line for line in self._words)
        if complaints and not self.lost:
            self.notes.append(f"damaged: its decoder complained {'once' if complaints == 1 else f'{complaints} times'}")

    def following(self) -> int | None:
        """Where in the file another sound begins, once this one was read."""
        frames = mpeg.Frames(self.file, self._frames.end if self._is_clean else self._tell() - 4)
        return frames.first if len(list(islice(frames, FRAMES_OF_A_SOUND))) == FRAMES_OF_A_SOUND else None

    def _decoder_of_frames(self) -> Decoder:
        with mpeg.without_words(self._words):
            return Decoder(Stream(iter(self._frames)))

    def _decoded(self, frames: int) -> Block:
        with mpeg.without_words(self._words):
            return self.decoder.next_block(min(frames, 8 * BLOCK_FRAMES))

    def _resume(self) -> bool:
        """Begin anew, with the frames that can be found and silence between them, and pass over what was given."""
        if self._is_clean:
            return False
        self._is_clean, self._left = True, ENDLESS
        self.decoder.close()
        self.decoder = self._decoder_of_frames()
        given = self._position
        while given > 0:
            try:
                given -= len(self._decoded(given)) or given
            except DECODING_ERRORS:
                return False
        return True


def _open(file: BinaryIO) -> _Part:
    """The first sound of a file."""
    file.seek(0)
    kind = signature(file.read(LOOKED_AT))
    sound, view, is_longer = chunks.find_sound(file), None, False
    if sound and chunks.is_followed(file, sound):
        view = Spliced(b"", file, 0, sound.behind)
    elif sound and (header := chunks.better_header(file, sound)):
        view, is_longer = Spliced(header, file, sound.start), sound.is_known and sound.declared < sound.there
    may_be_mpeg = kind is None or kind.demuxer in ("mp3", "wav", "aac")
    try:
        with mpeg.without_words([]) if may_be_mpeg and sound is None else nullcontext():
            decoder = Decoder(view or file)
    except OPENING_ERRORS:
        if within := ogg.flac_within(file):
            return _Part(file, Decoder(Stream(within)))
        frames = mpeg.Frames(file, 0, last_start=LEADING)
        if frames.first is None or not may_be_mpeg:
            raise
        return _MpegPart(file, None, frames)
    if decoder.subtype.startswith("MPEG_LAYER"):
        place = file.tell()
        frames = mpeg.Frames(file, 0)
        has_length = frames.first is None or mpeg.declares_length(file, frames.first)
        file.seek(place)  # the decoder reads from there
        return _MpegPart(file, decoder if has_length else None, frames)
    return (
        _FlacPart(file, decoder) if decoder.format == "FLAC" else _Part(file, decoder, view, sound, is_longer=is_longer)
    )
