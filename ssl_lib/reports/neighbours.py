"""Links at the end of a page: the notebook before and after it, and itself with other scans.

A page is written before the others are known, so its links are written last, with the index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from ssl_lib.notebook.files import write_text
from ssl_lib.reports.render import PageData, read_page_data
from ssl_lib.utils.names import notebook_number, of_a_folder

_LINKS = re.compile(r'(<nav class="neighbours"[^\n]*</nav>\n)?(?=<footer>\n  <p>Written from)')
Page = tuple[Path, PageData]


def link_pages(pages_dir: Path, name_of: Callable[[PageData], str]) -> list[Path]:
    """Write the links of all pages of a folder anew; returns those that changed.

    `name_of(page)` names the scans of a page in words.
    """
    pages = [(path, read_page_data(path)) for path in sorted(pages_dir.glob("*/*.html"))]
    known = [(path, page) for path, page in pages if page is not None]
    changed = []
    for path, page in known:
        old = path.read_text(encoding="utf-8")
        links = _links((path, page), known, name_of)
        new = _LINKS.sub(links.replace("\\", r"\\"), old, count=1)
        if new != old:
            write_text(path, new)
            changed.append(path)
    return changed


def _links(own: Page, pages: Sequence[Page], name_of: Callable[[PageData], str]) -> str:
    """The links of a page. Published ones lead to published ones: not to a folder of one's own, nor
    to a page whose numbers mean nothing."""
    if not _private(own[1]):
        pages = [one for one in pages if one[0] == own[0] or not _private(one[1])]
    notebooks = sorted({page.notebook for _, page in pages})
    place = notebooks.index(own[1].notebook)
    before, after = notebooks[:place][-1:], notebooks[place + 1 :][:1]
    steps = [("Previous", _nearest(own, name, pages)) for name in before]
    steps += [("Next", _nearest(own, name, pages)) for name in after]
    links = [_link(target, f"{words}: {_title(target[1])}") for words, target in steps]
    others = [one for one in pages if one[1].notebook == own[1].notebook and one[0] != own[0]]
    links += [_link(one, f"The same with {name_of(one[1])}") for one in others]
    if not links:
        return ""
    return f'<nav class="neighbours" aria-label="Other pages">{"".join(links)}</nav>\n'


def _nearest(own: Page, notebook: str, pages: Sequence[Page]) -> Page:
    """The page of that notebook that has most in common with this one."""

    def unlike(one: Page) -> tuple[bool, ...]:
        keys = ("dataset", "profile", "n_labelled", "labelled_draw", "folds", "methods")
        return tuple(getattr(one[1], key) != getattr(own[1], key) for key in keys)

    return min((one for one in pages if one[1].notebook == notebook), key=unlike)


def _private(page: PageData) -> bool:
    return page.profile == "smoke" or of_a_folder(page.dataset)


def _title(page: PageData) -> str:
    return f"{notebook_number(page.notebook)} {page.title}".strip()


def _link(target: Page, words: str) -> str:
    path, _ = target
    address = quote(f"../{path.parent.name}/{path.name}")
    return f'<a href="{address}">{escape(words)}</a>'
