"""How bright colours are to the eye, and how well text stands out from its ground (WCAG 2.2)."""

from __future__ import annotations

from PIL import ImageColor


def luminance(color: str) -> float:
    """Relative luminance, 0 to 1, of a colour as CSS writes it."""
    channels = [channel / 255 for channel in ImageColor.getrgb(color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
