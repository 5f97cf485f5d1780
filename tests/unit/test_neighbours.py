"""Links between pages: before, next, and the same notebook with other scans."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from ssl_lib.reports.neighbours import link_pages
from ssl_lib.reports.render import PageData, as_json

NAMES = ("00_first", "00b_second", "02_third")


def page(folder: Path, notebook: str, dataset: str = "phantom", name: str = "page.html") -> Path:
    data = PageData(f"About <{notebook}>", notebook, dataset, "quick", 4, "ok", (), 1.0, "", "")
    path = folder / notebook / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"<html><main><pre>&lt;footer&gt;</pre></main>\n<footer>\n  <p>Written from a notebook.</p>"
        f'\n</footer>\n<script type="application/json" id="page-data">{as_json(asdict(data))}'
        "</script></html>"
    )
    return path


def links(path: Path) -> list[tuple[str, str]]:
    return re.findall(r'<a href="([^"]*)">([^<]*)</a>', path.read_text())


def test_a_page_leads_to_its_neighbours_and_to_itself_with_other_scans(tmp_path: Path) -> None:
    first, second, third = (page(tmp_path, name) for name in NAMES)
    other = page(tmp_path, NAMES[1], "hippocampus", "a b#.html")
    assert set(link_pages(tmp_path, lambda data: data.dataset)) == {first, second, third, other}
    assert links(first) == [("../00b_second/page.html", "Next: 00b About &lt;00b_second&gt;")]
    assert links(second) == [
        ("../00_first/page.html", "Previous: 00 About &lt;00_first&gt;"),
        ("../02_third/page.html", "Next: 02 About &lt;02_third&gt;"),
        ("../00b_second/a%20b%23.html", "The same with hippocampus"),
    ]
    for path in (first, second, third, other):
        assert all((path.parent / to.replace("%20", " ").replace("%23", "#")).exists()
                   for to, _ in links(path))  # fmt: skip


def test_links_are_written_anew_and_never_twice(tmp_path: Path) -> None:
    first, second, third = (page(tmp_path, name) for name in NAMES)
    link_pages(tmp_path, str)
    assert link_pages(tmp_path, str) == []
    second.unlink()
    assert set(link_pages(tmp_path, str)) == {first, third}
    assert [to for to, _ in links(first)] == ["../02_third/page.html"]
    third.unlink()
    link_pages(tmp_path, str)
    assert links(first) == [] and "<nav" not in first.read_text()


def test_a_page_that_is_not_ours_stays_as_it_is(tmp_path: Path) -> None:
    page(tmp_path, NAMES[0])
    foreign = tmp_path / NAMES[0] / "foreign.html"
    foreign.write_text("<footer>\n  <p>Written from elsewhere")
    link_pages(tmp_path, str)
    assert foreign.read_text() == "<footer>\n  <p>Written from elsewhere"
