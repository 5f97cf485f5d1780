"""Words of the glossary are linked once, in running text alone, to a line that is there."""

from __future__ import annotations

import re

import pytest

from ssl_lib.notebook.source import GLOSSARY
from ssl_lib.reports.index import write_texts
from ssl_lib.reports.terms import TermLinks, glossary_terms


def test_a_word_is_linked_the_first_time_it_stands_in_the_text() -> None:
    links = TermLinks()
    first = links("<p>The Mean Teacher sees scans.</p>")
    assert re.findall(r'<a class="term" href="[^"]*"[^>]*>([^<]*)</a>', first) == [
        "Mean Teacher", "scans",
    ]  # fmt: skip
    assert "term" not in links("<p>The mean teacher sees a scan.</p>")


@pytest.mark.parametrize(
    "html",
    [
        "<h2>The scan</h2>",
        "<p><code>scan</code></p>",
        '<p><a href="#x">a scan</a></p>',
        "<p>scanner, rescan, scan-line</p>",
        '<p title="a scan">nothing</p>',
        "<pre>scan <b>scan</b> scan</pre>",
    ],
)
def test_elsewhere_nothing_is_changed(html: str) -> None:
    assert TermLinks()(html) == html


def test_the_longest_word_wins_and_turned_words_are_found() -> None:
    html = TermLinks()("<p>hard pseudo-labels by strong augmentation</p>")
    assert re.findall(r">([^<]+)</a>", html) == ["hard pseudo-labels", "strong augmentation"]


def test_meanings_are_those_of_the_glossary_and_every_link_has_a_line(tmp_path) -> None:
    write_texts(tmp_path)
    page, text = (tmp_path / "glossary.html").read_text(), GLOSSARY.read_text().replace("`", "")
    assert len(glossary_terms()) > 40
    for anchor, meaning in glossary_terms().values():
        assert f'id="{anchor}"' in page
        assert f"| {meaning} |" in text


def test_us_is_not_the_plural_of_u() -> None:
    assert TermLinks()("<p>It happened to us.</p>") == "<p>It happened to us.</p>"
    assert ">U</a>" in TermLinks()("<p>Where U is large.</p>")


def test_a_word_that_a_notebook_links_to_the_glossary_leads_to_its_line() -> None:
    links = TermLinks()
    plain = '<p>Two <a href="../glossary.html">{}</a>.</p>'
    assert 'href="../glossary.html#word-seed"' in links(plain.format("seeds"))
    assert links(plain.format("seeds")) == plain.format("seeds"), "once in a page"
    assert links(plain.format("glossary")) == plain.format("glossary")
