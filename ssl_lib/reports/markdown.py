"""Markdown cells as HTML: headings with anchors, formulas as MathML, pictures embedded."""

from __future__ import annotations

import base64
import mimetypes
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

import mistune

from ssl_lib.reports.mathml import formula_html

_CODE = r"(?P<code>```.*?```|~~~.*?~~~|(?P<ticks>`+)[^`].*?(?P=ticks))"
_BLOCK = r"\$\$(?P<block>.+?)\$\$"
_INLINE = r"(?<![\\$\w])\$(?!\s)(?P<inline>(?:[^$\n]|\n(?!\s*\n))+?)(?<![\s\\])\$(?![\w$])"
_FORMULA = re.compile(f"{_CODE}|{_BLOCK}|{_INLINE}", re.DOTALL)
_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL | re.IGNORECASE)
_PLACEHOLDER = "formula{}placeholder"
_PUNCTUATED = re.compile(r"\(?" + _PLACEHOLDER.format(r"\d+") + r"[,.;:!?)]+")
"""A formula and what no line break may part from it."""
_ANY_PLACEHOLDER = re.compile(_PLACEHOLDER.format(r"\d+"))


@dataclass(frozen=True)
class Heading:
    """A heading of the page: level 1 to 6, its plain text, and the anchor that leads to it."""

    level: int
    text: str
    anchor: str


class Markdown:
    """Turns the markdown cells of one notebook into HTML and collects their headings in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.headings: list[Heading] = []
        self._renderer = _Renderer(self._add_heading)
        self._convert = mistune.create_markdown(
            escape=False, renderer=self._renderer, plugins=["table", "strikethrough", "footnotes"]
        )

    def __call__(self, source: str) -> str:
        """The HTML of one cell; formulas are out of the way while the markdown is converted."""
        formulas: list[str] = []
        first_heading = len(self.headings)
        html = str(self._convert(_FORMULA.sub(lambda match: _take_out(match, formulas), source)))
        html = _PUNCTUATED.sub(r'<span class="together">\g<0></span>', html)
        for number, formula in enumerate(formulas):
            html = html.replace(_PLACEHOLDER.format(number), formula)
        self.headings[first_heading:] = [
            _without_placeholders(heading, formulas) for heading in self.headings[first_heading:]
        ]
        return scrollable_tables(embed_images(html, self.folder))

    def _add_heading(self, level: int, html: str) -> str:
        text = " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())
        taken = {heading.anchor for heading in self.headings}
        base = anchor = _slug(_ANY_PLACEHOLDER.sub("", text))
        number = 1
        while anchor in taken:
            number += 1
            anchor = f"{base}-{number}"
        self.headings.append(Heading(level, text, anchor))
        return anchor


class _Renderer(mistune.HTMLRenderer):
    def __init__(self, add_heading: Callable[[int, str], str]) -> None:
        super().__init__(escape=False)
        self._add_heading = add_heading

    def heading(self, text: str, level: int, **_: object) -> str:
        anchor = self._add_heading(level, text)
        return f'<h{level} id="{escape(anchor)}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """A link to a text of `docs/` leads to its page beside the reports' folders, and one to
        `reports/` to that folder: pages lie in it, notebooks beside it."""
        url = re.sub(r"^\.\./docs/(\w+)\.md", r"../\1.html", url)
        return super().link(text, re.sub(r"^\.\./reports/", "../", url), title)

    def block_code(self, code: str, info: str | None = None) -> str:
        return f'<pre tabindex="0"><code>{escape(code)}</code></pre>\n'


def embed_images(html: str, folder: Path) -> str:
    """The HTML with local pictures embedded; a picture on the network becomes its alt text."""

    def embedded(match: re.Match[str]) -> str:
        tag = match.group(0)
        source, alt = _attribute(tag, "src"), _attribute(tag, "alt")
        if source.startswith("data:"):
            return tag
        file = folder / source
        if "://" in source or source.startswith("//") or not file.is_file():
            return f'<span class="image-text">{escape(alt or source)}</span>'
        kind = mimetypes.guess_type(file.name)[0] or "image/png"
        content = base64.b64encode(file.read_bytes()).decode()
        return f'<img src="data:{kind};base64,{content}" alt="{escape(alt)}">'

    return _IMAGE.sub(embedded, html)


def scrollable_tables(html: str) -> str:
    """The HTML with each table in a box that scrolls sideways, by touch or keyboard."""
    box = '<div class="table-box" role="region" aria-label="Table" tabindex="0">{}</div>'
    return _TABLE.sub(lambda match: box.format(match.group(0)), html)


def _take_out(match: re.Match[str], formulas: list[str]) -> str:
    if match["code"]:
        return match["code"]
    latex = match["block"] or match["inline"]
    formulas.append(formula_html(latex, block=match["block"] is not None))
    return _PLACEHOLDER.format(len(formulas) - 1)


def _without_placeholders(heading: Heading, formulas: list[str]) -> Heading:
    text = heading.text
    for number, formula in enumerate(formulas):
        plain = unescape(re.sub(r"<[^>]+>", "", formula))
        text = text.replace(_PLACEHOLDER.format(number), plain)
    return Heading(heading.level, text, heading.anchor)


def _attribute(tag: str, name: str) -> str:
    match = re.search(rf"""\b{name}\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", tag, re.IGNORECASE)
    return unescape(match.group(1).strip("\"'")) if match else ""


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "section"
