"""How pages from disk are opened and judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


@dataclass
class Opened:
    """A page from disk and what it did that it should not have done."""

    page: object
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def open_file(
    browser: object, file: Path, scheme: str = "light", width: int = 1200, **options: object
) -> Opened:
    """A file in a context of its own, with the network off."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        offline=True,
        reduced_motion="reduce",
        **options,
    )
    found = Opened(context.new_page())
    inside = ("file:", "data:", "blob:")
    found.page.on(
        "request", lambda r: None if r.url.startswith(inside) else found.requests.append(r.url)
    )
    found.page.on("console", lambda m: found.errors.append(m.text) if m.type == "error" else 0)
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    found.page.goto(file.as_uri())
    return found


def violations(page: object) -> list[str]:
    """What axe-core finds against WCAG 2.1 AA: rule, number of places, the first of them."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    asked = {"runOnly": WCAG, "resultTypes": ["violations"]}  # other results are not described
    found = axe.Axe().run(page, options=asked).response["violations"]
    return [f"{v['id']}: {len(v['nodes'])} x {v['nodes'][0]['html'][:160]}" for v in found]
