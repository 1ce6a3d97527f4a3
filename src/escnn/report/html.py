"""What all pages share: one HTML file each, style and script inside, nothing fetched, nothing foreign run.

Style and script are inlined, and a Content-Security-Policy holding their hashes forbids everything else: a page about a
file from anywhere can be opened, and passed on, without a second thought.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from escnn.errors import CONTROL_CHARACTERS

FRAME_HEIGHT = 720  # pixels, in a notebook


def render_page(template: str, *, styles: Sequence[str], scripts: Sequence[str], **values: Any) -> str:
    """A page as HTML that can be encoded as UTF-8.

    Args:
        template: path of a file below this package, such as ``sound/page.html.j2``. So are `styles` and `scripts`,
            which are joined in their order. A page with a script can be shown `in_frame`.
        values: what the template calls by name; all of it is escaped.
    """
    style, script = _joined(styles, scripts)
    policy = (
        "default-src 'none'; img-src data:; media-src data:; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    html = _environment().get_template(template).render(style=style, script=script, policy=policy, **values)
    # A file name that is not UTF-8 arrives with lone surrogates in it: show them as escapes, as Python does.
    return html.encode("utf-8", "backslashreplace").decode("utf-8")


def hashes(styles: Sequence[str], scripts: Sequence[str]) -> tuple[str, str]:
    """Of the style and the script of a page of `render_page`, for the policy of a page that frames it."""
    style, script = _joined(styles, scripts)
    return _hash(style), _hash(script)


def _joined(styles: Sequence[str], scripts: Sequence[str]) -> tuple[str, str]:
    return "".join(map(asset, styles)), "".join(map(asset, [*scripts, "frame.js"])) if scripts else ""


def in_frame(html: str) -> str:
    """A page within a page, as notebooks show it: its script runs, and reaches nothing outside of the frame."""
    return (
        f'<iframe srcdoc="{escape(html)}" sandbox="allow-scripts" width="100%" height="{FRAME_HEIGHT}" '
        'style="border: 0"></iframe>'
    )


def display_label(label: str) -> str:
    """A label as people read it: ``vacuum_cleaner`` is "vacuum cleaner"."""
    return label.replace("_", " ")


def percent(score: float) -> str:
    """A score as a percentage that never rounds doubt away: 0.9996 is "> 99.9 %", never "100.0 %"."""
    score = float(score)  # numpy's float32 would be multiplied as such
    if 0.999 < score < 1:
        return ">\u00a099.9\u00a0%"
    if 0 < score < 0.001:
        return "<\u00a00.1\u00a0%"
    return f"{100 * score:.1f}\u00a0%"


def moment(seconds: float, decimals: int = 1) -> str:
    """A time in a sound, or its length: "5.0 s", from a minute on "1:05.0"."""
    minutes, rest = divmod(round(seconds, decimals), 60)
    return f"{minutes:.0f}:{rest:0{decimals + 3}.{decimals}f}" if minutes else f"{rest:.{decimals}f} s"


def value_text(value: float) -> str:
    """Three significant digits with a true minus sign."""
    return f"{value:.3g}".replace("-", "\u2212")


def data_uri(content: bytes, media_type: str) -> str:
    """`content` as a ``data:`` address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def asset(name: str) -> str:
    """A file below this package as text."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


@functools.cache  # templates are compiled once, which takes longer than to fill them
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(asset),
    )
    environment.filters |= {
        "data_uri": data_uri,
        "label": display_label,
        "percent": percent,
        "value": value_text,
        "moment": moment,
        "whole": lambda value: f"{round(value)}".replace("-", "\u2212"),
        "grouped": lambda number: f"{number:,}".replace(",", "\u202f"),
        "share": lambda fraction: f"{100 * float(fraction):.2f}%",
    }
    return environment


def _shown(value: Any) -> Any:
    """What a template is given, with control characters as escapes: a name or a command may hold them, no page may."""
    return value.translate(CONTROL_CHARACTERS) if type(value) is str else value


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
