"""What the first bytes of a file say that it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

LOOKED_AT = 4096  # bytes
PIECE = 1 << 18  # bytes that are read at a time


class Signature(NamedTuple):
    """A kind of file: how to call it, and what ffmpeg calls it if that can hear it."""

    name: str
    demuxer: str = ""  # none: this is no sound


_SIGNATURES = [  # offset, bytes there, kind
    *((0, magic, Signature("a WAV file", "wav")) for magic in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff")),
    (0, b"FORM", Signature("an AIFF file", "aiff")),
    (0, b"caff", Signature("a CAF file", "caf")),
    (0, b"fLaC", Signature("a FLAC file", "flac")),
    (0, b"OggS", Signature("an Ogg file", "ogg")),
    *((0, magic, Signature("an AU file", "au")) for magic in (b".snd", b"dns.")),
    (0, b"ID3", Signature("an MP3 file", "mp3")),
    (4, b"ftyp", Signature("MPEG-4 audio (m4a, mp4)", "mov")),
    (0, b"\x1aE\xdf\xa3", Signature("a WebM or Matroska file", "matroska")),
    (0, b"0&\xb2u\x8ef\xcf\x11", Signature("a WMA file", "asf")),
    (0, b"#!AMR", Signature("an AMR file", "amr")),
    *((0, magic, Signature("AAC audio", "aac")) for magic in (b"\xff\xf1", b"\xff\xf9", b"ADIF")),
    (0, b"\x0bw", Signature("AC-3 audio", "ac3")),
    (0, b"wvpk", Signature("a WavPack file", "wv")),
    (0, b"MAC ", Signature("a Monkey's Audio file", "ape")),
    (0, b"TTA1", Signature("a True Audio file", "tta")),
    (0, b"MPCK", Signature("a Musepack file", "mpc8")),
    (0, b"MP+", Signature("a Musepack file", "mpc")),
    (0, b"DSD ", Signature("a DSF file", "dsf")),
    (0, b".RMF", Signature("a RealAudio file", "rm")),
    (0, b"FLV", Signature("a Flash video", "flv")),
    (0, b"MThd", Signature("a MIDI file: notes, no sound")),
    (0, b"\x89PNG", Signature("a PNG picture")),
    (0, b"\xff\xd8\xff", Signature("a JPEG picture")),
    (0, b"GIF8", Signature("a GIF picture")),
    (0, b"%PDF", Signature("a PDF document")),
    (0, b"PK\3\4", Signature("a zip archive")),
    *((0, magic, Signature("an archive")) for magic in (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")),
    (0, b"\x7fELF", Signature("a program")),
    (0, b"\x89HDF", Signature("an HDF5 file")),
    (0, b"version https://git-lfs", Signature("a Git LFS pointer, `git lfs pull` fetches what it stands for")),
]


def signature(head: bytes) -> Signature | None:
    """What a file is that begins with `head`; None where nothing is known of it."""
    if head[:4] == b"RIFF" and head[8:12] not in (b"WAVE", b""):
        return Signature("an AVI video", "avi") if head[8:12] == b"AVI " else Signature("a RIFF file without sound")
    for offset, magic, kind in _SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return kind
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return Signature("a web page, perhaps one that a download got in place of the sound")
    if head and not any(byte < 9 or 13 < byte < 32 for byte in head):
        try:
            head[:-3].decode("utf-8")  # the last letter may be cut
        except UnicodeDecodeError:
            return None
        return Signature("text")
    return None


def occurrences(file: BinaryIO, mark: bytes, start: int, length: int) -> Iterator[tuple[int, bytes]]:
    """Where `mark` stands in a file, from `start` on, and the `length` bytes from there; not where fewer are left."""
    place = start
    while True:
        file.seek(place)
        piece = file.read(PIECE)
        if len(piece) < length:
            return
        found = piece.find(mark)
        while 0 <= found <= len(piece) - length:
            yield place + found, piece[found : found + length]
            found = piece.find(mark, found + 1)
        place += len(piece) - length + 1
