"""JupyterLab in a real browser: every notebook runs, every slider moves, the console is silent."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from lab import HARMLESS, Lab, opened, run_all
from test_smoke_notebooks import NOTEBOOKS, small_copy

from ssl_lib.notebook.source import NOTEBOOKS_DIR, read_parameters
from ssl_lib.notebook.stored import BUSY, DEAD, STORED

pytestmark = pytest.mark.slow


def dead_sliders(page: object) -> tuple[int, list[str]]:
    """How many sliders there are, and the labels of those that never redraw their picture.

    After a training of four iterations two states may look alike; their descriptions differ.
    """
    dead = []
    handles = page.query_selector_all(".jp-OutputArea .widget-slider .noUi-handle")
    for handle in handles:
        box = handle.evaluate_handle("h => h.closest('.widget-vbox')").as_element()
        slider = handle.evaluate_handle("h => h.closest('.widget-slider')").as_element()
        before = drawn(box)
        handle.focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
            page.keyboard.press(key)
            if changed(page, box, before):
                break
        else:
            dead.append(slider.inner_text())
    return len(handles), dead


def drawn(box: object) -> str:
    """The picture in the box, with its description."""
    return box.query_selector("img").evaluate("image => image.outerHTML")


def changed(page: object, box: object, before: str) -> bool:
    """True once the picture in the box is another one, False after ten seconds."""
    for _ in range(100):
        page.wait_for_timeout(100)
        if drawn(box) != before:
            return True
    return False


SLIDER = """from ssl_lib.figures import new_figure
from ssl_lib.notebook.explore import Slider, explore
import time
def draw(size):
    time.sleep(1)
    figure = new_figure(1.5)
    figure.subplots().barh([0, 1], [size, 1 - size])
    return figure
explore(draw, alt="Two bars.", size=Slider("box size", (0.25, 0.5, 0.75), 0.5))"""
BUSY_CELL = """import threading
explore(draw, alt=lambda size: threading.current_thread().name, size=Slider("n", (0.25, 0.5)))
long = Slider("cohort", ("a", "phantom_folder, 4 labelled"), "phantom_folder, 4 labelled")
explore(lambda size: draw(0.5), alt="Two bars.", size=long)"""
QUIZ = """from ssl_lib.notebook.quiz import ask
ask("Which is the largest?", ["one", "two", "three"], "two", "It just is.")"""
VIEWER = """import numpy as np
from ssl_lib.notebook.viewer import look
noise = np.random.default_rng(0).random((8, 9, 10))
look(noise, (1, 1, 1), class_names=["background", "organ"], alt="Noise.")"""
ALL_IMAGES = """() => [...document.querySelectorAll(".jp-OutputArea-child")]
  .filter(child => child.offsetParent && child.querySelector("img"))
  .map(child => child.querySelector("img").alt)"""


CUT_VALUES = """() => [...document.querySelectorAll(".widget-slider .widget-readout")]
  .filter(value => value.scrollWidth > value.clientWidth).map(value => value.innerText)"""
OUTSIDE = """() => [...document.querySelectorAll(".widget-slider .widget-readout")]
  .filter(value => value.closest(".jp-OutputArea").getBoundingClientRect().right
    < value.getBoundingClientRect().right).map(value => value.innerText)"""


def stored_words(file: Path) -> list[str]:
    """What stands in a notebook's pictures for readers who cannot see them."""
    outputs = [
        output for cell in nbformat.read(file, as_version=4).cells for output in cell.outputs
    ]
    return [o.metadata["image/png"]["alt"] for o in outputs if "image/png" in o.get("data", {})]


def test_a_slider_says_what_it_does_and_its_picture_outlives_the_kernel(lab: Lab, browser) -> None:
    page = opened(lab, browser, "slider", [SLIDER, VIEWER])
    assert run_all(page)["errors"] == []
    page.wait_for_selector(".noUi-handle")
    assert not page.is_visible(f"text={STORED}"), "the stored picture is hidden by the slider"
    assert page.evaluate(ALL_IMAGES)[0] == "Two bars (box size 0.5)."
    page.focus(".noUi-handle")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"text={BUSY}")
    page.wait_for_selector('img[alt="Two bars (box size 0.75)."] >> visible=true')
    page.wait_for_selector(f"text={BUSY}", state="hidden")
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_selector(f"text={DEAD}")
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    run_all(page)
    page.wait_for_selector(f"text={DEAD}", state="hidden")
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    page.wait_for_selector(f"text={DEAD}")
    page.close()
    page = opened(lab, browser, "slider")
    page.wait_for_selector(f"text={STORED}")
    page.wait_for_selector("text=Error displaying widget", state="hidden")
    assert len(page.evaluate(ALL_IMAGES)) == 2, "of the slider and of the viewer"
    words = stored_words(lab.folder / "slider.ipynb")
    assert "Two bars (box size 0.75)." in words and "Noise." in words
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    page.close()


def test_a_slider_waits_for_a_cell_that_runs(lab: Lab, browser) -> None:
    """JupyterLab sends moves of sliders to a thread of their own, which must not draw."""
    cells = [SLIDER, BUSY_CELL, "time.sleep(3 * get_ipython().user_ns.get('again', 0)); again = 1"]
    page = opened(lab, browser, "waiting", cells)
    assert run_all(page)["errors"] == []
    page.wait_for_selector(".noUi-handle >> nth=2")
    assert page.evaluate(CUT_VALUES) == []
    page.set_viewport_size({"width": 800, "height": 1000})
    page.wait_for_timeout(1000)
    assert page.evaluate(CUT_VALUES) == page.evaluate(OUTSIDE) == []
    page.set_viewport_size({"width": 1200, "height": 1000})
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
    page.evaluate("void jupyterapp.commands.execute('notebook:run-cell')")
    page.wait_for_selector(f"text={BUSY} >> nth=1")
    page.focus(".noUi-handle >> nth=1")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1000)
    assert page.locator('img[alt="MainThread (n 0.5)."] >> visible=true').count() == 0
    page.wait_for_selector('img[alt="MainThread (n 0.5)."] >> visible=true')
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    page.close()


def test_a_quiz_answers_at_once_and_keeps_the_arrow_keys(lab: Lab, browser) -> None:
    page = opened(lab, browser, "quiz", [QUIZ, "1 + 1"])
    assert run_all(page)["errors"] == []
    page.click(".ssl-predict input >> nth=0")
    assert page.inner_text(".ssl-predict [role=status]") == "✗ Not so."
    assert page.is_visible("text=It just is.")
    page.keyboard.press("ArrowDown")
    assert page.inner_text(".ssl-predict [role=status]") == "✓ Right."
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.labels[0].innerText") == "three"
    frame = page.query_selector(".ssl-predict").bounding_box()
    legend = page.query_selector(".ssl-predict legend").bounding_box()
    assert legend["y"] > frame["y"] + 4, "the question stands within its frame"
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    page.close()


def test_opening_and_saving_changes_nothing_in_the_script(lab: Lab, browser) -> None:
    for name in ("jupytext.toml", "05_comparison.py", "05_comparison.ipynb"):
        shutil.copy(NOTEBOOKS_DIR / name, lab.folder)
    stored, page = lab.folder / "05_comparison.ipynb", opened(lab, browser, "05_comparison")
    before = stored.stat().st_mtime_ns
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
    )
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    while stored.stat().st_mtime_ns == before:
        page.wait_for_timeout(200)
    page.wait_for_timeout(1000)
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    page.close()
    script = (lab.folder / "05_comparison.py").read_text()
    assert script == (NOTEBOOKS_DIR / "05_comparison.py").read_text()
    for name in ("jupytext.toml", "05_comparison.py", "05_comparison.ipynb"):
        (lab.folder / name).unlink()


SHORT = ("00_few_labels_many_scans",)  # the others open with --long


@pytest.mark.parametrize(
    "notebook",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem in SHORT else pytest.mark.long)
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs_and_its_sliders_move(
    notebook: Path,
    lab: Lab,
    browser,
    small_runs: Path,
) -> None:
    if "SEED" in read_parameters(notebook.with_suffix(".py")):
        small_copy(notebook, lab.folder, small_runs)
    else:  # it trains nothing and shows what is stored
        shutil.copy(notebook, lab.folder)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    errors = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    # a workspace of its own: otherwise the tabs of the test before are opened again
    page.goto(f"{lab.address}/workspaces/{notebook.stem}/tree/{notebook.name}")
    try:
        came = run_all(page)
        assert came["errors"] == []
        sliders, dead = dead_sliders(page)
        page.wait_for_function("() => !document.querySelector('.ssl-piece .stored')")
        alive = page.locator(".ssl-piece .stage:not([hidden])").count()
    finally:
        page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
        page.close()
    assert dead == []
    code = "\n".join(cell.source for cell in nbformat.read(notebook, as_version=4).cells)
    assert sliders or "explore(" not in code
    assert alive or "interactive." not in code
    assert sliders or alive or "widget" not in notebook.with_suffix(".py").read_text()
    assert [text for text in errors if not HARMLESS.search(text)] == []
