"""What an earlier page left in a folder: it is removed before a new one is written, and nothing else is."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

FILES = ("waveform.png", "spectrogram.png", "evidence.png", "prediction.json", "report.html")
MAPS, SUREST = Path("feature-maps"), "surest-event"
RECORDING = b'<meta name="generator" content="escnn recording">'
RECORDINGS = b'<meta name="generator" content="escnn recordings">'


def remove_pages(out: Path, *, of_recordings_only: bool = False) -> None:
    """Remove the page in `out` and those in the folders in it, as far as they are ours and whole."""
    remove_page(out)
    for folder in [entry for entry in out.iterdir() if entry.is_dir() and not entry.is_symlink()]:
        if not of_recordings_only or _is_recording(folder):
            remove_page(folder)
            _remove_if_empty(folder)


def remove_recordings(out: Path) -> None:
    """Remove the page in `out`, that of many recordings, and those of single recordings in the folders in it; other
    files stay, and so do the pages of short sounds in those folders.
    """
    remove_pages(out, of_recordings_only=True)
    if _says(out / "index.html", RECORDINGS):
        with suppress(OSError):
            (out / "index.html").unlink()


def remove_page(folder: Path) -> None:
    """Remove the page in `folder` with its pictures if `escnn visualize` has written it; other files stay."""
    if _is_recording(folder):
        surest = folder / SUREST
        if surest.is_dir() and not surest.is_symlink():
            remove_page(surest)
            _remove_if_empty(surest)
        with suppress(OSError):
            (folder / "report.html").unlink()
        return
    if not _is_page(folder):
        return
    native = folder / MAPS / "native"
    for path in (
        *(folder / MAPS).glob("*.png"),
        *native.glob("*/mean-over-channels.png"),
        *native.glob("*/channel-*.png"),
        *(folder / name for name in FILES),
    ):
        with suppress(OSError):
            path.unlink()
    for made in (*native.glob("*"), native, folder / MAPS):
        _remove_if_empty(made)


def _is_recording(folder: Path) -> bool:
    """Whether the page of a recording is there, which says so itself."""
    return _says(folder / "report.html", RECORDING)


def _says(page: Path, kind: bytes) -> bool:
    with suppress(OSError), page.open("rb") as file:
        return kind in file.read(4096)
    return False


def _is_page(folder: Path) -> bool:
    """Whether a page of ours is there, known by the prediction beside it."""
    with suppress(OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        schema = json.loads((folder / "prediction.json").read_bytes())["schema"]
        return bool(schema.startswith("escnn.prediction/")) and (folder / "report.html").is_file()
    return False


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
