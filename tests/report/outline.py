"""A page as a browser's parser sees it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br"}
SVG_EMPTY = {"rect", "path", "line", "image", "use", "circle", "polyline"}


class Outline(HTMLParser):
    """Elements with their attributes, text outside of style and script, and a check that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(html)
        self.close()
        assert self.open == [], "everything is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"<{tag}> names an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_EMPTY, f"<{tag}/> closes itself only inside of SVG"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag
        if tag in {"p", "dt", "dd", "th", "td"}:
            self.text += " "

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] in {"style", "script"}:
            self.raw.append((*self.open[-1], data))
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def contents(self, tag: str) -> list[str]:
        """What stands in each ``style`` or ``script``."""
        return [text for name, _, text in self.raw if name == tag]

    @property
    def words(self) -> str:
        """The text with every run of spaces, hard ones too, as one."""
        return " ".join(self.text.split())


# Names of files and classes as somebody might choose them to harm a page.
HOSTILE = [
    "<script>alert(1)</script>.wav",
    '"><img src=x onerror=alert(1)>.wav',
    "' onmouseover='alert(1)",
    "</title></style></script><h1>{{ 7 * 7 }}{% raw %}",
    "emoji 🐓 and \u202eright to left\u202c אבג",
    "&lt;b&gt; &amp;",
]
# One that would be a formula in a table, markup and script in a page.
HOSTILE_NAME = "=1+1<img src=x onerror=window.run=1>\"'&amp;?#% \u202e\U0001f415 <script>window.run=1<!--"
