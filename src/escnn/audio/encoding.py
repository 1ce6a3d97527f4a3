"""A sound as a file for a page to play."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr

from escnn.audio.decoding import Samples

MP3_RATES = (44_100, 48_000)  # Hz; below these it has a delay, above there is none


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


def envelope(samples: Samples, columns: int) -> tuple[Samples, Samples]:
    """Lowest and highest in each of `columns` equal stretches of `samples`, shape (time,): two arrays (columns,)."""
    starts = np.arange(columns) * samples.size // columns
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
