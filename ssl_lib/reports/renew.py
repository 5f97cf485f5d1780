"""Stored pages in today's dress: styles and scripts of templates and figures, the rest as it was.

python -m ssl_lib.reports.renew

Numbers of a page, and the data of its figures, come from a run; styles and scripts do not. So when
these change, no notebook has to run again.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ssl_lib.notebook.files import write_text
from ssl_lib.notebook.interactive.page import with_shared_parts_of_today
from ssl_lib.reports.index import write_index
from ssl_lib.reports.render import page_script, read_page_data, template_text, unbroken

_STYLE = re.compile(r"(?<=<style>\n).*?(?=\n</style>\n</head>)", re.DOTALL)
_SCRIPT = re.compile(
    r'(?<=</script>\n<script>\n)"use strict";(?:(?!</script>).)*(?=\n</script>\n</body>)', re.DOTALL
)


def renewed(html: str) -> str:
    """The page with the present styles and scripts."""
    html = unbroken(html)
    html = with_shared_parts_of_today(html)
    html = _STYLE.sub(lambda _: template_text("style.css"), html, count=1)
    return _SCRIPT.sub(lambda _: page_script(), html, count=1)


def renew_pages(pages_dir: Path) -> list[Path]:
    """Renew all pages of that folder; returns those that changed."""
    changed = []
    for page in sorted(pages_dir.glob("*/*.html")):
        old = page.read_text(encoding="utf-8")
        new = renewed(old)
        if new != old and read_page_data(page):
            write_text(page, new)
            changed.append(page)
    return changed


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "reports")
    for page in renew_pages(folder):
        print(f"renewed: {page.relative_to(folder)}")
    print(write_index(folder, folder / "results"))
