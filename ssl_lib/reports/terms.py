"""Words of the glossary in a page: the first time a word stands in the text, it is a link to its
line, and its meaning shows when the link is pointed at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import escape

from ssl_lib.notebook.source import GLOSSARY

COMMON = {
    *("excluded", "warning", "note", "draw", "step", "row", "view", "update", "method", "report"),
    *("averaged", "agreement", "better", "worse", "equivalent", "undecided"),
}
"""Words of everyday language: most places where they stand do not mean the glossary's line."""
SILENT = {"a", "button", "code", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "math", "pre",
          "script", "strong", "style", "summary", "th"}  # fmt: skip
"""Elements in whose text nothing is linked."""
_LINE = re.compile(r"^\| (?!word \||-)(.+?) \| (.+?) \|$", re.MULTILINE)
_TAG = re.compile(r"(<[^>]*>)")
_PLAIN_LINK = re.compile(r'<a href="\.\./glossary\.html">([^<]*)</a>')


@cache
def glossary_terms() -> dict[str, tuple[str, str]]:
    """Each word with the anchor and the meaning of its line. "augmentation, strong" stands for
    "strong augmentation"; other words of one line share its meaning."""
    found = {}
    for line, meaning in _LINE.findall(GLOSSARY.read_text(encoding="utf-8")):
        if "(" in line:
            continue
        for word in _words(line):
            if word.lower() not in COMMON:
                found[word] = (anchor(line), re.sub(r"[`*]", "", meaning))
    return found


def _words(line: str) -> list[str]:
    parts = line.replace("`", "").split(", ")
    return [" ".join(reversed(parts))] if parts[0] == "augmentation" else parts


def anchor(line: str) -> str:
    """The anchor of a glossary line by its words."""
    return "word-" + re.sub(r"[^a-z0-9]+", "-", line.lower()).strip("-")


@cache
def _every_word() -> re.Pattern[str]:
    """Every word of the glossary, longer ones first, also in the plural; a single letter stands as
    it is, so that "us" is not the plural of "U"."""
    words = sorted(glossary_terms(), key=len, reverse=True)
    several = "|".join(re.escape(word) for word in words if len(word) > 1)
    single = "|".join(re.escape(word) for word in words if len(word) == 1)
    either = rf"{several}|(?-i:{single})(?!s)"
    return re.compile(rf"(?<![\w-])({either})(s?)(?![\w-])", re.IGNORECASE)


def words_in(text: str) -> Iterator[str]:
    """The words of the glossary in a text, one by one, in lower case and in the singular."""
    return (match.group(1).lower() for match in _every_word().finditer(text))


class TermLinks:
    """Links words in the HTML of one page's text, each word once."""

    def __init__(self) -> None:
        self._left = {word.lower(): found for word, found in glossary_terms().items()}

    def __call__(self, html: str) -> str:
        """The HTML with the words that were not linked before. Of a word that the text itself links
        to the glossary, the link leads to its line."""
        html = _PLAIN_LINK.sub(self._opened, html)
        parts, depth = [], 0
        for part in _TAG.split(html):
            if part.startswith("<"):
                name = part.strip("</> ").split()[0].lower() if part.strip("</> ") else ""
                if name in SILENT and not part.endswith("/>"):
                    depth += -1 if part.startswith("</") else 1
                parts.append(part)
            else:
                parts.append(part if depth else self._linked(part))
        return "".join(parts)

    def _opened(self, link: re.Match[str]) -> str:
        """The word of a link to the glossary without it, if it is to be linked to its line."""
        return link.group(1) if self._left.keys() & set(words_in(link.group(1))) else link.group()

    def _linked(self, text: str) -> str:
        return _every_word().sub(self._link, text) if text.strip() else text

    def _link(self, match: re.Match[str]) -> str:
        found = self._left.pop(match.group(1).lower(), None)
        if found is None:
            return match.group()
        place, meaning = found
        return (
            f'<a class="term" href="../glossary.html#{place}" title="{escape(meaning)}">'
            f"{match.group()}</a>"
        )


def with_anchors(html: str) -> str:
    """The glossary's own HTML with an anchor at each line."""
    return re.sub(
        r"<tr>\s*<td>(.*?)</td>",
        lambda m: f'<tr id="{anchor(re.sub(r"<[^>]*>", "", m.group(1)))}"><td>{m.group(1)}</td>',
        html,
    )
