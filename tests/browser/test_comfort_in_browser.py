"""What the script of a page adds: tables that sort, code that copies, and nothing where it is off.

The page is put together from the template's own style, script and policy.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser import violations

from ssl_lib.notebook.interactive.page import core_name
from ssl_lib.reports.markdown import scrollable_tables
from ssl_lib.reports.render import TEMPLATES, page_script, template_text
from ssl_lib.reports.renew import renew_pages, renewed

REPORTS = Path(__file__).resolve().parents[2] / "reports"
PAGES = sorted(REPORTS.glob("*/*-quick-*.html"))
CSP = re.search(r"<meta http-equiv.*>", (TEMPLATES / "page.html.j2").read_text()).group(0)
ROWS = (
    ("Bidirectional", "0.812 [0.790, 0.834]", "−0.084", "1,200", "2"),
    ("Mean teacher", "0.9", "+0.029 [0.018, 0.042]", "47", "10"),
    ("All labels", "—", "–", "< 9", "—"),
    ("Few labels", "0.0812", "0", "1e3", "9"),
)
HEADINGS = ("Row", "Dice", "difference", "seconds", "seeds")
ASCENDING = {
    "Row": "ABFM",
    "Dice": "FBMA",
    "difference": "BFMA",
    "seconds": "AMFB",
    "seeds": "BFMA",
}
DESCENDING = {
    "Row": "MFBA",
    "Dice": "MBFA",
    "difference": "MFBA",
    "seconds": "BFMA",
    "seeds": "MFBA",
}
CODE = "def f(x):\n    return x < 1"


def table(headings, rows) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    cells = ("".join(f"<td>{value}</td>" for value in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@pytest.fixture
def page(tmp_path, open_page):
    """A page with a table of numbers, two that cannot be sorted, and a piece of code."""
    words = table(("symbol", "meaning"), [("a", "one"), ("c", "two"), ("b", "three")])
    spanned = table(("n", "m"), [("1", "2")] * 3).replace("<td>", '<td colspan="1" rowspan="2">', 1)
    file = tmp_path / "page.html"
    file.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{CSP}<title>Page</title>'
        f"<style>\n{template_text('style.css')}\n</style></head><body><main><h1>Page</h1>"
        f"{scrollable_tables(table(HEADINGS, ROWS) + words + spanned)}"
        f'<div class="source"><pre tabindex="0"><code>{CODE.replace("<", "&lt;")}</code></pre>'
        f"</div></main><script>\n{page_script()}\n</script></body></html>"
    )
    return open_page(file).page


def order(page) -> str:
    """The first letters of the rows as they stand."""
    cells = page.query_selector_all("table >> nth=0 >> tbody tr td:first-child")
    return "".join(cell.inner_text()[0] for cell in cells)


def test_numbers_sort_as_numbers_and_missing_ones_come_last(page):
    for number, heading in enumerate(HEADINGS):
        button, cell = page.locator("th .sort").nth(number), page.locator("thead th").nth(number)
        for state, expected in (
            ("ascending", ASCENDING[heading]),
            ("descending", DESCENDING[heading]),
            (None, "BMAF"),
        ):
            button.click()
            assert (heading, order(page)) == (heading, expected)
            assert cell.get_attribute("aria-sort") == state
    assert page.locator("[aria-sort]").count() == 0


def test_a_heading_sorts_by_keyboard_and_one_column_at_a_time(page):
    page.focus("th .sort >> nth=1")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert order(page) == ASCENDING["difference"]
    assert page.locator("[aria-sort]").all_inner_texts() == ["difference"]
    assert violations(page) == []


def test_only_regular_tables_with_numbers_are_sorted(page):
    assert page.locator("th .sort").count() == len(HEADINGS)


def test_code_is_copied_by_keyboard(page):
    page.focus("pre")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("button.copy >> text=Copied")
    page.evaluate("document.body.prepend(document.createElement('textarea'))")
    page.focus("textarea")
    page.keyboard.press("Control+V")
    assert page.input_value("textarea") == CODE


def test_code_is_copied_where_pages_have_no_clipboard(page):
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    page.evaluate(
        "document.addEventListener('copy', () => { window.heard = String(getSelection()); })"
    )
    page.focus("button.copy")
    page.keyboard.press("Enter")
    page.wait_for_selector("button.copy >> text=Copied")
    assert page.evaluate("window.heard") == CODE


def test_paper_shows_no_buttons_and_dark_ink(page):
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.is_visible("button.copy")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_the_contents_mark_the_section_that_is_read(open_page):
    page = open_page(PAGES[0]).page
    headings = page.query_selector_all("main h2[id]")
    for heading in (headings[2], headings[5]):
        heading.evaluate("heading => heading.scrollIntoView({ behavior: 'instant' })")
        marked = f'.contents a[aria-current="location"][href="#{heading.get_attribute("id")}"]'
        page.wait_for_selector(marked)
    assert page.locator(".contents a[aria-current]").count() == 1


# --- stored pages wear the present dress


@pytest.mark.parametrize("file", PAGES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_stored_page_has_the_present_style_and_script(file):
    text = file.read_text()
    assert renewed(text) == text, "run `python -m ssl_lib.reports.renew`"
    assert template_text("tables.js") in text


def test_renewing_changes_style_and_script_alone(tmp_path):
    text = PAGES[-1].read_text()
    old = text.replace("color-scheme: light dark;", "color: red;", 1).replace(
        page_script(), '"use strict";'
    )
    old = old.replace("const unpack =", "const unwrap =").replace(core_name(), "ssl-core-00000000")
    assert old.count(template_text("tables.js")) == old.count("const unpack =") == 0
    for name, content in (("old.html", old), ("other.html", "<html>")):
        (tmp_path / "a" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_text(content)
    assert renew_pages(tmp_path) == [tmp_path / "a" / "old.html"]
    assert (tmp_path / "a" / "old.html").read_text() == text
    assert renew_pages(tmp_path) == []
