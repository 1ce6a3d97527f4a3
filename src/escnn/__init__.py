"""Train a convolutional network to name environmental sounds, and see what it hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Classifier", "__version__", "load_audio"]

if TYPE_CHECKING:
    from escnn.audio import load_audio
    from escnn.prediction import Classifier


def __getattr__(name: str) -> Any:
    """Public names, imported when they are first used: `import escnn` itself costs nothing."""
    if name == "Classifier":
        from escnn.prediction import Classifier

        return Classifier
    if name == "load_audio":
        from escnn.audio import load_audio

        return load_audio
    raise AttributeError(f"module 'escnn' has no attribute {name!r}")
