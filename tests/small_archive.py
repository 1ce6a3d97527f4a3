"""ESC-50 in small, as files and as the archive that GitHub makes of them. All of it made up, nothing copied."""

from __future__ import annotations

import io
import random
import wave
import zipfile
from pathlib import Path

# A data set in small: two clips a fold.
CLIPS = tuple(f"{fold}-{100 + fold}-{take}-{fold * 9}.wav" for fold in range(1, 6) for take in "AB")
TOP = "ESC-50-0123abc"


def a_wav(seed: int = 0, frames: int = 800) -> bytes:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(random.Random(seed).randbytes(2 * frames))
    return sound.getvalue()


def a_metadata(clips: tuple[str, ...] = CLIPS) -> bytes:
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for clip in clips:
        fold, source, take, target = clip.removesuffix(".wav").split("-")
        lines.append(f"{clip},{fold},{target},class_{target},False,{source},{take}")
    return "\n".join([*lines, ""]).encode()


def members(clips: tuple[str, ...] = CLIPS, metadata: bytes | None = None) -> dict[str, bytes]:
    return {
        f"{TOP}/.gitignore": b"*.tmp",
        f"{TOP}/LICENSE": b"Creative Commons",
        f"{TOP}/README.md": b"# ESC-50",
        **{f"{TOP}/audio/{clip}": a_wav(seed) for seed, clip in enumerate(clips)},
        f"{TOP}/meta/esc50.csv": a_metadata() if metadata is None else metadata,
        f"{TOP}/tests/test_dataset.py": b"import os",
    }


def a_zip(content: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return archive.getvalue()


def assert_whole(folder: Path) -> None:
    """Everything official is there, byte for byte, and nothing besides, in the folder or beside it."""
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    wanted = {name.removeprefix(f"{TOP}/"): data for name, data in members().items()}
    assert there == {name: data for name, data in wanted.items() if name not in (".gitignore", "tests/test_dataset.py")}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def assert_nothing_left(folder: Path) -> None:
    """Neither the folder nor anything beside it."""
    assert not folder.parent.exists() or list(folder.parent.iterdir()) == []
