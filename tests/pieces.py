"""Interactive figures on a page of their own, as a report shows them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from IPython.display import HTML
from nbformat import NotebookNode
from nbformat.v4 import new_output

from ssl_lib.notebook.interactive.page import shared_once
from ssl_lib.reports.outputs import outputs_html
from ssl_lib.reports.render import TEMPLATES, page_script, template_text

CSP = re.search(r"<meta http-equiv.*>", (TEMPLATES / "page.html.j2").read_text()).group(0)


def shown_by(patch: pytest.MonkeyPatch, draw: Callable[[], object]) -> list[str]:
    """The HTML that a call displays."""
    found: list[HTML] = []
    patch.setattr("ssl_lib.notebook.interactive.page.display", found.append)
    draw()
    return [html.data for html in found]


def write_piece_page(file: Path, pieces: list[str], *others: NotebookNode) -> Path:
    """A page with these outputs and figures, and the style, script and restrictions of a report."""
    outputs = [*others, *(new_output("display_data", {"text/html": html}) for html in pieces)]
    file.write_text(
        shared_once(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">{CSP}<title>Page</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>\n{template_text('style.css')}\n</style></head><body><main><h1>Page</h1>"
            f"{outputs_html(outputs, file.parent)}</main>"
            f"<script>\n{page_script()}\n</script></body></html>"
        ),
        encoding="utf-8",
    )
    return file
