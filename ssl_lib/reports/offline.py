"""A page must show everything without a network: find what would be loaded from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

MAX_BYTES = 1_500_000

_LOADING = {"src", "srcset", "poster", "data", "background", "action", "formaction"}
_CSS = re.compile(r"@import\b[^;]*|url\(\s*[\"']?(?!data:|#)[^)]*\)", re.IGNORECASE)


class PageError(ValueError):
    """A page that must not be published as it is."""


def check_page(html: str) -> None:
    """Raises `PageError` for a page that is too large or would load anything from elsewhere."""
    size = len(html.encode())
    if size > MAX_BYTES:
        raise PageError(f"the page has {size:,} bytes, the limit is {MAX_BYTES:,}")
    found = external_references(html)
    if found:
        raise PageError(f"the page would load {', '.join(found[:3])} from elsewhere")


def external_references(html: str) -> list[str]:
    """What a browser would fetch to show the page: pictures, scripts, styles, frames."""
    finder = _Finder()
    finder.feed(html)
    return finder.found


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            loads = name in _LOADING or (tag == "link" and name == "href")
            if loads and value and not value.startswith(("data:", "#")):
                self.found.append(value)
            if name == "style":
                self.found += _CSS.findall(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += _CSS.findall(data)
