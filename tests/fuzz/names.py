"""Names that a disk takes and that people, shells, terminals and other systems do not expect; trees of them."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

LONGEST = 255  # bytes of a name
ODD_NAMES = (
    *(
        b"...",
        b"..a",
        b". ",
        b" ",
        b"~",
        b"~root",
        b"-",
        b"--",
        b"-o",
        b"--out=x",
        b"--help",
        b"-rf",
        b"*",
        b"?",
        b"\\",
    ),
    *(b"a\nb", b"\n", b"a\rb", b"a\tb", b"\x1b[2J\x1b[31m", b"\xc2\x9b2J", b"\xc2\x85", b"\x7f", b"\x01", b"\x08\x08"),
    *(
        b"\xe2\x80\xae3pm.exe",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbfa",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc3",
        b"\xf0\x9f\x90\x95",
    ),
    *(b"CON", b"nul.txt", b"COM1", b"a:b", b"a.", b"a ", b"a\\b", b"..\\..\\a", b"C:\\a", b"%s%n", b"{}", b"[red]a"),
    *(b"$(touch x)", b"`touch x`", b"a;b", b"a|b", b"a&b", b"'", b'"', b"<b>&amp;", b"<script>", b"=1+1"),
    *(b"http:", b"index.html", b"report.html", b"prediction.json", b"stdin", b"low", b"a,b", b"#a", b"a#b?c=d", b"."),
)
TWINS = ((b"caf\xc3\xa9", b"cafe\xcc\x81"), (b"Clip", b"clip"), (b"STRASSE", b"stra\xc3\x9fe"), (b"a", b"A"))
SOUND_SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".m4a"}
EXTENSIONS = (b".wav", b".wav", b".WAV", b".flac", b".mp3", b".ogg", b".m4a", b"", b".txt")


def odd_name(rng: Random, extensions: tuple[bytes, ...] = EXTENSIONS) -> bytes:
    """A name for one file: any bytes but NUL and the slash, and nothing that leads elsewhere (``.`` and ``..``)."""
    kind, extension = rng.randrange(8), rng.choice(extensions)
    if kind == 0:
        stem = bytes(rng.choice([*range(1, 47), *range(48, 256)]) for _ in range(rng.randint(1, 40)))
    elif kind == 1:
        stem = rng.choice((b"x", b"\xc3\xa9", b"\n", b".", b"\xff")) * LONGEST
    elif kind == 2:
        stem = rng.choice(rng.choice(TWINS))
    elif kind < 6:
        stem = rng.choice(ODD_NAMES)
    else:
        stem = b"%d" % rng.randrange(20)
    name = stem[: LONGEST - len(extension)] + extension
    return name if name not in (b".", b"..") else b"..."


def odd_names(rng: Random, count: int, extensions: tuple[bytes, ...] = EXTENSIONS) -> list[str]:
    """Names that differ, as Python has them; a name's twin in case or composition often comes with it."""
    names: list[bytes] = []
    while len(names) < count:
        pair = rng.choice(TWINS)
        extension = rng.choice(extensions)
        names += [half + extension for half in pair] if rng.random() < 0.15 else [odd_name(rng, extensions)]
        names = list(dict.fromkeys(names))
    return [os.fsdecode(name) for name in names[:count]]


def make_tree(root: Path, rng: Random, contents: list[bytes], outside: Path, depth: int = 2) -> None:
    """A random tree below `root`: files of `contents`, folders, empty ones among them, hidden ones, and links to what
    is within and to `outside`.
    """
    root.mkdir(exist_ok=True)
    for name in odd_names(rng, rng.randint(0 if depth < 2 else 1, 4)):
        path = root / name
        kind = rng.random()
        if kind < 0.1:
            leads = (outside, root, Path("gone"), path, outside / "mine.wav")
            path.symlink_to(rng.choice(leads if path.suffix.lower() in SOUND_SUFFIXES else leads[:-1]))
        elif kind < 0.3 and depth:
            make_tree(path, rng, contents, outside, depth - 1)
        elif kind < 0.35 and depth:
            make_tree(path.with_name(f".{path.name[:60]}"), rng, contents, outside, depth - 1)
        else:
            path.write_bytes(rng.choice(contents) if path.suffix.lower() in SOUND_SUFFIXES else b"notes\n")


def sounds_below(folder: Path) -> list[str]:
    """The sounds that a folder stands for, by their names alone, told anew: neither hidden ones nor linked folders."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".") and not Path(place, name).is_dir()]
    return [str(path) for path in sorted(found) if path.suffix.lower() in SOUND_SUFFIXES]
