"""matplotlib, loaded and used without what is the user's: no backend of a notebook, no folder, no words on stderr."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING

from escnn.cache import HELPS, cache_folder
from escnn.errors import OutputError, UsageError, reason


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what matplotlib logs from stderr, where Python writes it if nobody has asked for it."""
    logger, nowhere = logging.getLogger("matplotlib"), logging.NullHandler()
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(nowhere)


def _give_it_a_folder() -> None:
    """It wants one for its list of fonts, and takes a temporary one if its own cannot be written."""
    try:
        tempfile.gettempdir()
    except OSError:
        os.environ["MPLCONFIGDIR"] = str(cache_folder() / "matplotlib")


def _load() -> ModuleType:
    """Import matplotlib. A notebook's backend, which may not be installed, is not ours, but stays the notebook's."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        with quietly():
            _give_it_a_folder()
            import matplotlib
    except OSError as error:
        raise OutputError(f"matplotlib finds no folder to write ({reason(error)})", hint=HELPS) from error
    except ValueError as error:
        hint = "mend or remove the file matplotlibrc"
        raise UsageError(f"matplotlib cannot read its settings ({reason(error)})", hint=hint) from error
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
    return matplotlib


if TYPE_CHECKING:
    import matplotlib as matplotlib
else:
    matplotlib = _load()
