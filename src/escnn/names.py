"""Names of files and folders: as people give them, as every disk takes them, as a shell takes them back."""

from __future__ import annotations

import errno
import itertools
import os
import shlex
import unicodedata
from collections.abc import Container
from pathlib import Path

from escnn.errors import UsageError, reason


def expanded(text: str) -> Path:
    """A path as people name it: ``~`` is their home, which no shell replaces in ``--out=~/x``.

    Raises:
        UsageError: it is empty or no name that this system can have, or there is no such home.
    """
    if not text:
        raise UsageError("an empty name stands for no file and no folder", hint="is a variable in it not set?")
    try:
        path = Path(text).expanduser()
        path.lstat()
    except RuntimeError as error:
        raise UsageError(f"{text}: there is no such home folder", hint="give a path without ~") from error
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            raise UsageError(f"{text}: no name for a file or folder ({reason(error)})") from error
    return path  # whatever is there, and whether it may be read, is for others to say


def quoted(path: str | os.PathLike[str]) -> str:
    """A path as it is typed into a shell: whatever is printed to be copied stands in quotes where it needs them."""
    name = os.fspath(path)
    if name.isprintable():
        return shlex.quote(name)
    odd = (f"\\{byte:03o}" if byte < 0x20 or byte > 0x7E or byte in b"\\'" else chr(byte) for byte in os.fsencode(name))
    return f"$'{''.join(odd)}'"  # as bash, zsh and ksh have it


def folder_name(wanted: str, taken: Container[str] = ()) -> str:
    """A name for a folder, as like `wanted` as a name can be that every disk takes and that leads nowhere else.

    Args:
        wanted: any text, such as the name of a sound.
        taken: names that are in use, casefolded and in Unicode's composed form (`same_name`): some disks see no
            difference in case or composition. A number is added to a name that is taken.
    """
    clean = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in wanted)
    clean = clean.encode("utf-8", "replace").decode("utf-8")[:60].strip(" .") or "sound"
    if clean.split(".")[0].upper() in _RESERVED:
        clean = f"_{clean}"
    numbered = (clean if number == 1 else f"{clean}-{number}" for number in itertools.count(1))
    return next(name for name in numbered if same_name(name) not in taken)


def same_name(name: str) -> str:
    """What two names have in common that a disk may take for one."""
    return unicodedata.normalize("NFC", name.casefold())


# Names of devices on Windows, whatever their extension.
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
