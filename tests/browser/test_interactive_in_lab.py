"""Interactive figures outside of a report page: in JupyterLab, on GitHub, in other notebooks.

JupyterLab is a real one. GitHub takes scripts and styles away; others show an output alone in a
page of their own, whose colours nobody told it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import WCAG
from lab import HARMLESS, Lab, opened, run_all
from pieces import shown_by

pytestmark = pytest.mark.slow
SETUP = f"""import sys
sys.path.append({str(Path(__file__).parents[1])!r})
import numpy as np
from organ_scans import SPACING, organ
from ssl_lib.config import Schedule
from ssl_lib.data.cohort import Case
from ssl_lib.notebook import interactive
image, truth = organ(0)
case = Case("a", "a", image, SPACING)
random = np.random.default_rng(0)
def snapshots_of(n):
    return [{{"iteration": i, "label": np.where(random.random(truth.shape) < 1 / (i + 2), 0, truth),
        "confidence": random.integers(0, 256, truth.shape)}} for i in range(n)]
trend = np.linspace(0, 1, 101)
noisy = trend + random.normal(0, 0.2, 101)
names = ("background", "one", "two")"""
SNAPSHOTS = "interactive.snapshots(case, truth, {'bcp': snapshots_of(9)}, names, alt='Snapshots.')"
PIECES = {
    "snapshots": SNAPSHOTS,
    "same snapshots": SNAPSHOTS,
    "tree": "interactive.max_tree([case], area=4, alt='A tree.')",
    "average": "interactive.moving_average(noisy, trend, Schedule(100, 0.1), alt='A weight.')",
}
WORDS = ["Snapshots.", "Snapshots.", "A tree.", "A weight."]
ALIVE = f"""() => !document.querySelector(".ssl-piece .stored")
  && document.querySelectorAll(".ssl-piece .stage:not([hidden])").length === {len(PIECES)}"""
STATE = """() => ({
    cell: jupyterapp.shell.currentWidget.content.activeCellIndex,
    mode: jupyterapp.shell.currentWidget.content.mode,
    cells: jupyterapp.shell.currentWidget.content.widgets.length,
})"""
DRAWN = """piece => [...piece.querySelectorAll("canvas, .stage > svg")]
  .map(part => part.toDataURL?.() ?? part.outerHTML).join()"""
CUT_OFF = """() => [...document.querySelectorAll(".ssl-piece")].flatMap(piece => {
  const edge = piece.getBoundingClientRect(), area = piece.closest(".jp-OutputArea-output");
  const wide = [...piece.querySelectorAll(".stage *")].filter(part => {
    const box = part.getBoundingClientRect();
    return box.width && (box.right > edge.right + 1 || box.left < edge.left - 1);
  });
  const scrolled = area.scrollWidth > area.clientWidth || area.scrollHeight > area.clientHeight;
  return [...wide.map(part => part.outerHTML.slice(0, 80)), ...(scrolled ? ["scrolled"] : [])];
})"""
FAINT = """() => {
  const sheet = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const bright = (...colours) => {
    sheet.clearRect(0, 0, 1, 1);
    for (const colour of colours) { sheet.fillStyle = colour; sheet.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...sheet.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const below = part => {
    for (let at = part; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "#fff";
  };
  const inks = [...document.querySelectorAll(".ssl-piece .curve:not([stroke-opacity])")]
    .map(part => [part, getComputedStyle(part).stroke])
    .concat([...document.querySelectorAll(".ssl-piece :is(svg text, label, p, small, li, button)")]
      .map(part => [part, getComputedStyle(part)[part.tagName === "text" ? "fill" : "color"]]));
  return inks.filter(([part, ink]) => {
    const ground = below(part), both = [bright(ground), bright(ground, ink)].sort((a, b) => a - b);
    return (both[1] + 0.05) / (both[0] + 0.05) < (part.matches(".curve") ? 1.7 : 4.5);
  }).map(([part, ink]) => `${ink} on ${below(part)}: ${part.outerHTML.slice(0, 60)}`);
}"""


# --- JupyterLab


@pytest.fixture
def notebook(lab: Lab, browser) -> Iterator[object]:
    """A notebook in which every figure has just come to life, and what its console complains of."""
    page = opened(
        lab,
        browser,
        "pieces",
        [SETUP, *PIECES.values()],
        viewport={"width": 1400, "height": 900},
        color_scheme="dark",  # of the operating system: JupyterLab has a theme of its own
    )
    page.complaints = []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    assert run_all(page)["errors"] == []
    page.wait_for_function(ALIVE)
    yield page
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    page.close()
    assert [text for text in page.complaints if not HARMLESS.search(text)] == []


def piece_of(page: object, name: str) -> object:
    return page.locator(".ssl-piece").nth(list(PIECES).index(name))


def moves(page: object, piece: object) -> bool:
    """Whether the first slider changes the picture, by the keyboard."""
    before, slider = piece.evaluate(DRAWN), piece.locator("input[type=range]").first
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    return piece.evaluate(DRAWN) != before


def use_theme(page: object, name: str) -> None:
    page.evaluate(f"jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}})")
    page.wait_for_function(f"document.body.dataset.jpThemeName === '{name}'")


def test_every_slider_moves_its_own_picture_and_keeps_the_keys(notebook) -> None:
    for name in PIECES:
        piece = piece_of(notebook, name)
        others = [piece_of(notebook, other) for other in PIECES if other != name]
        piece.locator("input[type=range]").first.click()
        before = notebook.evaluate(STATE), [other.evaluate(DRAWN) for other in others]
        assert before[0]["cell"] == 1 + list(PIECES).index(name), "a click selects the cell"
        assert moves(notebook, piece)
        for control in piece.locator(".stage :is(input, select, button)").all():
            for key in ("ArrowDown", "ArrowUp", "a", "x", "Enter", "Enter"):  # play, pause
                control.press(key)
                notebook.keyboard.press("Escape")
        assert (notebook.evaluate(STATE), [other.evaluate(DRAWN) for other in others]) == before


def test_play_runs_by_keyboard_and_stops_when_the_cell_runs_again(notebook) -> None:
    piece = piece_of(notebook, "snapshots")
    button = piece.locator("button", has_text="Play").element_handle()
    slider = piece.locator("input[type=range]").first.element_handle()
    button.focus()
    notebook.keyboard.press("Enter")
    assert button.inner_text() == "Pause"
    start = slider.input_value()
    notebook.wait_for_function("([slider, start]) => slider.value !== start", arg=[slider, start])
    notebook.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    notebook.evaluate("void jupyterapp.commands.execute('notebook:run-cell')")
    notebook.wait_for_function("button => !button.isConnected", arg=button)
    notebook.wait_for_function(ALIVE)
    value = slider.input_value()
    notebook.wait_for_timeout(1600)
    assert (button.text_content(), slider.input_value()) == ("Play", value), "no ghost plays on"
    assert moves(notebook, piece_of(notebook, "snapshots"))


def test_a_second_view_of_an_output_lives_as_well(notebook) -> None:
    notebook.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    notebook.evaluate("void jupyterapp.commands.execute('notebook:create-output-view')")
    view = notebook.locator(".jp-LinkedOutputView .ssl-piece")
    view.locator("canvas").first.wait_for()
    assert moves(notebook, view)
    assert (
        piece_of(notebook, "snapshots").locator("canvas").count() == view.locator("canvas").count()
    )
    assert notebook.locator(".jp-Notebook .ssl-piece").count() == len(PIECES)


def test_the_theme_decides_the_colours(notebook) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        use_theme(notebook, theme)
        notebook.wait_for_timeout(1000)
        assert notebook.evaluate(FAINT) == []
        assert notebook.evaluate(CUT_OFF) == []
        found = axe.run(notebook, context=".ssl-piece", options={"runOnly": WCAG}).response
        wrong = [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found["violations"]]
        assert wrong == []
        scheme = piece_of(notebook, "snapshots").evaluate(
            "piece => getComputedStyle(piece).colorScheme"
        )
        assert ("dark" in scheme) == ("Dark" in theme)
    legend = notebook.locator(".ssl-piece .legend").first
    assert legend.evaluate("legend => getComputedStyle(legend).paddingLeft") == "0px"


def test_a_stored_notebook_lives_or_shows_pictures(lab: Lab, browser, notebook) -> None:
    file = lab.folder / "pieces.ipynb"
    before = file.stat().st_mtime_ns
    notebook.evaluate("jupyterapp.commands.execute('docmanager:save')")
    while file.stat().st_mtime_ns == before:
        notebook.wait_for_timeout(100)
    notebook.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    trusted = opened(lab, browser, "pieces")
    trusted.wait_for_function(ALIVE)
    assert all(moves(trusted, piece_of(trusted, name)) for name in PIECES)
    trusted.close()
    other = lab.folder / "foreign.ipynb"  # outputs that nobody here has made
    other.write_text(file.read_text().replace("organ(0)", "organ( 0)"))
    foreign = opened(lab, browser, "foreign")
    foreign.locator(".ssl-piece .stored").first.wait_for()
    try:
        assert only_stored(foreign, ".jp-OutputArea-output") == WORDS
    finally:
        foreign.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
        foreign.close()


# --- elsewhere


def only_stored(page: object, outputs: str) -> list[str]:
    """All text of each output with a figure: the description of its one picture."""
    found = []
    for output in page.locator(f"{outputs}:has(img)").all():
        (picture,) = output.locator("img, canvas, svg").all()
        assert picture.evaluate("image => image.naturalWidth") > 100
        assert picture.is_visible()
        assert picture.get_attribute("alt") == output.inner_text().strip()
        found.append(output.inner_text().strip())
    return found


@pytest.fixture(scope="module")
def pieces() -> list[str]:
    """The HTML of each figure, as a notebook stores it."""
    names: dict[str, object] = {}
    exec(SETUP, names)
    with pytest.MonkeyPatch.context() as patch:
        return shown_by(patch, lambda: [exec(cell, names) for cell in PIECES.values()])


def test_github_shows_picture_and_caption_and_nothing_else(
    pieces: list[str], tmp_path: Path, open_page
) -> None:
    left = [
        re.sub(r"<(style|script)\b.*?</\1>|\s(style|on\w+)=\"[^\"]*\"", "", piece, flags=re.DOTALL)
        for piece in pieces
    ]
    assert not any("style" in piece or "script" in piece for piece in left)
    file = tmp_path / "github.html"
    file.write_text("".join(f"<div class='output'>{piece}</div>" for piece in left))
    page = open_page(file).page
    page.wait_for_load_state()
    assert only_stored(page, ".output") == WORDS


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("body", ["background:#fff;color:#222", "background:#1e1e1e;color:#ddd"])
def test_an_output_lives_alone_in_a_page_without_a_style(
    pieces: list[str], body: str, system: str, tmp_path: Path, open_page
) -> None:
    for number, piece in enumerate(pieces):
        file = tmp_path / f"{number}.html"
        file.write_text(f'<meta charset="utf-8"><body style="{body}">{piece}')
        opened = open_page(file, system, 800)
        opened.page.wait_for_selector(".ssl-piece .stage:not([hidden])")
        assert moves(opened.page, opened.page.locator(".ssl-piece"))
        assert opened.page.evaluate(FAINT) == []
        assert (opened.requests, opened.errors) == ([], [])
        opened.page.context.close()


def test_scripts_that_run_again_or_out_of_order_change_nothing(
    pieces: list[str], tmp_path: Path, open_page
) -> None:
    file = tmp_path / "again.html"
    file.write_text(f'<meta charset="utf-8">{"".join(pieces)}')
    opened = open_page(file)
    page = opened.page
    page.wait_for_function("() => !document.querySelector('.ssl-piece .stored')")
    before = page.locator(".ssl-piece .stage *").count()
    page.evaluate("""() => [...document.querySelectorAll("script:not([type])")].reverse()
      .forEach((script) => {
        const again = document.createElement("script");
        again.textContent = script.textContent;
        document.body.append(again);
      })""")
    page.wait_for_timeout(500)
    assert page.locator(".ssl-piece .stage *").count() == before
    assert all(moves(page, piece) for piece in page.locator(".ssl-piece").all())
    assert opened.errors == []


def test_a_figure_that_starts_out_of_sight_is_drawn_when_it_comes_into_sight(
    pieces: list[str], tmp_path: Path, open_page
) -> None:
    file = tmp_path / "hidden.html"
    file.write_text(f'<meta charset="utf-8"><div>{pieces[-1]}</div>')
    seen = open_page(file).page
    seen.wait_for_function("() => !document.querySelector('.ssl-piece .stored')")
    file.write_text(file.read_text().replace("<div>", "<div hidden>", 1))
    page = open_page(file).page
    page.wait_for_function("() => !document.querySelector('.ssl-piece .stored')")
    page.evaluate("document.querySelector('div').hidden = false")
    page.wait_for_timeout(300)
    assert page.locator(".ssl-piece").evaluate(DRAWN) == seen.locator(".ssl-piece").evaluate(DRAWN)
