"""Every published page in a real browser, without a network: it is readable, quiet and operable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import violations

REPORTS = Path(__file__).resolve().parents[2] / "reports"
PAGES = [REPORTS / "index.html", *sorted(REPORTS.glob("*/*-quick-*.html"))]
SHORT = {PAGES[0], *({file.parent: file for file in PAGES[1:]}.values())}  # a page of each notebook
LOOKS = {"light and wide": ("light", 1200), "dark and narrow": ("dark", 390)}
MOST_BYTES = 1_500_000
VISIBLE = """figure => {
  const [picture, ...more] = figure.querySelectorAll("img");
  const inside = picture.parentElement.getBoundingClientRect();
  const whole = picture.getBoundingClientRect(), scale = picture.naturalWidth / whole.width;
  const pixels = (length) => Math.round(scale * length), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [pixels(inside.width), pixels(inside.height)];
  canvas.getContext("2d")
    .drawImage(picture, pixels(whole.left - inside.left), pixels(whole.top - inside.top));
  return more.length ? null : {src: canvas.toDataURL(), alt: picture.alt};
}"""
pytestmark = pytest.mark.slow


def waiting(files: list[Path]) -> list[object]:
    """The files as parameters; further pages of a notebook wait for --long."""
    return [
        pytest.param(
            file,
            id=f"{file.parent.name}-{file.stem}",
            marks=() if file in SHORT else pytest.mark.long,
        )
        for file in files
    ]


EVERY_KIND = ("index", "00_", "05_", "06_")
"""Beginnings of pages that have every kind of part: the others are dark by the same style."""


def in_both_looks() -> list[object]:
    """Every page that does not wait is looked at in light, those of every kind in dark too."""
    return [
        pytest.param(
            *page.values,
            look,
            id=f"{page.id}-{look}",
            marks=page.marks
            or ([pytest.mark.long] if "dark" in look and not name.startswith(EVERY_KIND) else ()),
        )
        for page in waiting(PAGES)
        for look in LOOKS
        if (name := page.id.removeprefix("reports-"))
    ]


@pytest.mark.parametrize(("file", "look"), in_both_looks())
def test_a_page_is_readable_alone(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    wide = opened.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= LOOKS[look][1], "the page scrolls sideways"
    assert violations(opened.page) == []
    assert (opened.requests, opened.errors) == ([], [])
    assert file.stat().st_size <= MOST_BYTES


def walk(page: object, figure: object, sliders: list[object]) -> Iterator[tuple[tuple, dict]]:
    """Every state of a figure's sliders, reached by the keyboard, and the picture shown there."""
    if not sliders:
        yield (), figure.evaluate(VISIBLE)
        return
    first, *others = sliders
    for place in range(int(first.get_attribute("max")) + 1):
        first.focus()
        page.keyboard.press("ArrowRight" if place else "Home")
        identity, text = first.get_attribute("id"), first.get_attribute("aria-valuetext")
        assert figure.query_selector(f'output[for="{identity}"]').inner_text() == text
        for rest, shown in walk(page, figure, others):
            yield (place, *rest), shown


@pytest.mark.parametrize("file", waiting(PAGES[1:]))
def test_sliders_move_by_keyboard_and_change_the_picture(file: Path, open_page) -> None:
    page = open_page(file).page
    for figure in page.query_selector_all('[aria-label="Picture with sliders"]'):
        sliders = figure.query_selector_all("input[type=range]")
        shown = dict(walk(page, figure, sliders))
        assert len({picture["alt"] for picture in shown.values()}) == len(shown)
        for axis in range(len(sliders)):
            lines = defaultdict(set)
            for state, picture in shown.items():
                lines[state[:axis] + state[axis + 1 :]].add(picture["src"])
            assert max(map(len, lines.values())) > 1, f"slider {axis + 1} changes nothing"


def test_a_page_with_a_fault_is_noticed(tmp_path: Path, open_page) -> None:
    file = tmp_path / "bad.html"
    file.write_text(
        '<html><body style="width:3000px"><p style="color:#ccc;background:#fff">pale</p>'
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><script>nothing()</script>'
        '<img src="https://example.org/x.png" alt="far"></body></html>'
    )
    opened = open_page(file)
    rules = {line.split(":")[0] for line in violations(opened.page)}
    assert {"color-contrast", "image-alt", "html-has-lang"} <= rules
    assert opened.requests == ["https://example.org/x.png"]
    assert any("nothing" in error for error in opened.errors)
    assert opened.page.evaluate("document.documentElement.scrollWidth") > 1200
