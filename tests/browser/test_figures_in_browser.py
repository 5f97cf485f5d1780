"""Figures of a page, part by part: captioned, whole, large at a tap, with sliders that can be held.

The page is made from outputs as a notebook stores them, by the functions that make every page.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from browser import violations
from nbformat.v4 import new_output
from organ_scans import SPACING, organ
from pieces import write_piece_page
from test_pages_in_browser import LOOKS, PAGES, waiting

from ssl_lib.figures import new_figure, to_png
from ssl_lib.notebook.explore import Slider, static_html
from ssl_lib.notebook.quiz import ask
from ssl_lib.notebook.viewer import Scan
from ssl_lib.notebook.viewer import static_html as viewer_html

LONG = (
    "hippocampus, 8 labelled (settings of an earlier version of it)",
    "a",
    "phantom, 4 labelled",
)
LEAST = 128  # pixels: 8 rem
NARROW_SLIDERS = f"""() => [...document.querySelectorAll("input[type=range]")]
  .filter(slider => slider.offsetParent && slider.getBoundingClientRect().width < {LEAST})
  .map(slider => `${{slider.id}}: ${{slider.getBoundingClientRect().width}}`)"""
CUT_OFF = """() => [...document.querySelectorAll(
    ".ssl-caption, legend, label, .legend, caption, figure.output img, output")]
  .filter(part => part.offsetParent)
  .filter(part => {
    const box = part.getBoundingClientRect(), scrolled = part.closest("table");
    return box.left < 0 || (!scrolled && box.right > innerWidth + 1)
      || (part.tagName === "CAPTION" && box.width > innerWidth);
  }).map(part => part.outerHTML.slice(0, 80))"""
UNCAPTIONED = """() => [...document.querySelectorAll(
    'figure.output, [aria-label="Picture with sliders"], .ssl-look, .ssl-piece')]
  .filter(figure => {
    const caption = figure.querySelector(".ssl-caption");
    const number = caption && getComputedStyle(caption, "::before").content;
    return !caption || !caption.innerText.trim() || !number.includes("Figure");
  }).map(figure => figure.outerHTML.slice(0, 80))"""
pytestmark = pytest.mark.slow


def bars(size: object = 0.5):
    figure = new_figure(1.5)
    figure.subplots().barh([0, 1], [1, len(str(size))])
    return figure


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A page with one of each: figure, sliders with words of any length, viewer, quiz."""
    image, truth = organ(0)[:2]
    picture = new_output(
        "display_data",
        {"image/png": b64encode(to_png(bars())).decode()},
        metadata={"image/png": {"alt": "Two bars, the second one is shorter."}},
    )
    parts = [
        static_html(bars, alt="Bars by cohort.", size=Slider("cohort of this choice", LONG)),
        static_html(bars, alt="Bars.", size=Slider("n", (1, 2))),
        viewer_html({"": Scan(image, SPACING, truth)}, class_names=("b", "a", "c"), alt="A scan."),
        ask(
            "Which of the two is longer than the line it stands on? " * 3, "ab", "a", ""
        )._repr_html_(),
    ]
    return write_piece_page(tmp_path_factory.mktemp("figures") / "page.html", parts, picture)


def faults(page: object) -> dict[str, list[str]]:
    """Sliders that cannot be held, parts that are cut off, figures without a caption."""
    scripts = {"narrow": NARROW_SLIDERS, "cut off": CUT_OFF, "no caption": UNCAPTIONED}
    return {name: found for name, script in scripts.items() if (found := page.evaluate(script))}


@pytest.mark.parametrize("look", LOOKS)
def test_every_state_of_every_slider_is_whole(file: Path, look: str, open_page) -> None:
    page = open_page(file, *LOOKS[look]).page
    page.wait_for_selector(".ssl-look input")
    assert violations(page) == []
    assert faults(page) == {}
    for slider in page.query_selector_all('[aria-label="Picture with sliders"] input'):
        widths = set()
        for place in range(int(slider.get_attribute("max")) + 1):
            slider.focus()
            page.keyboard.press("ArrowRight" if place else "Home")
            widths.add(round(slider.bounding_box()["width"]))
            assert faults(page) == {}
        assert len(widths) == 1, "it keeps its width at every value"


def test_the_caption_follows_the_slider(file: Path, open_page) -> None:
    page = open_page(file).page
    page.focus("input[type=range] >> nth=1")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".ssl-caption >> nth=2") == "Bars (n 2)."


@pytest.mark.parametrize("part", ["figure.output img", '[aria-label="Picture with sliders"] img'])
def test_a_tap_enlarges_a_figure(file: Path, part: str, open_page) -> None:
    page = open_page(file, *LOOKS["dark and narrow"]).page
    before = page.locator(part).first.bounding_box()["width"]
    page.locator(part).first.click()
    assert page.locator("dialog[open] img").bounding_box()["width"] > 2 * before
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_the_keyboard_enlarges_a_figure(file: Path, open_page) -> None:
    page = open_page(file).page
    page.focus("button.enlarge")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] img")
    page.keyboard.press("Enter")  # its button has the focus
    assert page.locator("dialog[open]").count() == 0


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("stored", waiting(PAGES[1:]))
def test_a_stored_page_is_whole(stored: Path, look: str, open_page) -> None:
    if "ssl-caption" not in stored.read_text():
        pytest.skip("made before figures had captions: make it anew")
    assert faults(open_page(stored, *LOOKS[look]).page) == {}


def test_a_fault_is_noticed(tmp_path: Path, open_page) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<figure class="output"><img alt="x"></figure><input type="range" style="width:3rem">'
        '<legend style="position:absolute;left:1100px;width:300px">long</legend>'
    )
    assert set(faults(open_page(bad).page)) == {"narrow", "cut off", "no caption"}
