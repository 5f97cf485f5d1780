"""The filters of DSAIF in the page: they must be the notebook's, pixel by pixel."""

from __future__ import annotations

import re
from pathlib import Path

import higra
import numpy as np
import pytest
from browser import violations
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.data.cohort import Case
from ssl_lib.methods.dsaif import component_tree, filter_levels, kept_nodes, to_levels
from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.max_tree import MOST_SCANS
from ssl_lib.notebook.interactive.page import version
from ssl_lib.utils.errors import InputError

pytestmark = pytest.mark.slow
STEPS = {
    "A": lambda area: (area, False),
    "B": lambda _: (1, True),
    "A+B": lambda area: (area, True),
}
FILTER = f"""([values, rows, columns, count, options, least, steps]) => {{
    const own = window["ssl-core-{version()}"].kinds.max_tree;
    const {{levels}} = own.toLevels(Uint8Array.from(values), count);
    const grown = own.grow(levels, rows, columns, options);
    const {{fate, left}} = own.prune(grown, least, steps);
    const taken = own.reconstruct(grown, fate);
    const after = [...taken].map((p) => levels[p]);
    return {{levels: [...levels], after, nodes: grown.nodes.length, left}};
}}"""
FLOOD = f"""([values, rows, columns, options, level]) => {{
    const own = window["ssl-core-{version()}"].kinds.max_tree;
    const grown = own.grow(Uint8Array.from(values), rows, columns, options);
    const found = own.flood(grown, level);
    return {{found: [...found], area: [...found].map((node) => node < 0 ? 0 : grown.area[node])}};
}}"""

TAP = """() => {
    const canvas = document.querySelectorAll(".ssl-piece canvas")[3];
    const box = canvas.getBoundingClientRect();
    const at = {pointerType: "touch", clientX: box.left + 9, clientY: box.top + 9};
    for (const name of ["pointerdown", "pointerup", "pointerleave"])
        canvas.dispatchEvent(new PointerEvent(name, at));
}"""


def images() -> dict[str, np.ndarray]:
    """Noise, plateaus of few levels, a smooth scan, two rows of pixels, and one constant."""
    random = np.random.default_rng(0)
    rows, columns = np.indices((37, 29))
    smooth = 120 + 60 * np.sin(rows / 5) + 50 * np.cos(columns / 4) + random.normal(0, 6, (37, 29))
    return {
        "noise": random.integers(0, 256, (24, 31)).astype(np.uint8),
        "plateaus": random.integers(0, 5, (40, 22)).astype(np.uint8),
        "smooth": smooth.clip(0, 255).astype(np.uint8),
        "narrow": random.integers(3, 200, (2, 50)).astype(np.uint8),
        "constant": np.full((9, 12), 7, np.uint8),
    }


def cases() -> list[Case]:
    """Scans of different shapes and spacings: a stack of slices and two volumes' slices."""
    random = np.random.default_rng(1)
    shapes = ((3, 40, 30), (1, 200, 150), (2, 20, 26), (1, 16, 16))
    return [
        Case(f"{n}", f"{n}", random.normal(50, 9, shape).astype(np.float32), (5.0, 1.0, 1.5))
        for n, shape in enumerate(shapes)
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        pieces = shown_by(patch, lambda: interactive.max_tree(cases(), area=6, alt="Scans."))
    return write_piece_page(tmp_path_factory.mktemp("pieces") / "page.html", pieces)


@pytest.fixture
def page(file: Path, open_page) -> object:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    return page


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece canvas")
    for number in range(3):
        opened.page.locator("select").nth(0).select_option(index=number)
        opened.page.locator("select").nth(1).select_option(index=number % 2)
        assert violations(opened.page) == []
        assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])
    assert opened.page.locator("select").nth(0).locator("option").count() == MOST_SCANS


@pytest.mark.parametrize("name", images())
@pytest.mark.parametrize("kind", ["max", "min"])
def test_the_filter_is_the_notebooks(name: str, kind: str, page, request) -> None:
    image, every = images()[name], request.config.getoption("--long")
    for touching in ("sides", "corners"):
        for count in (8, 32, 64, 256) if every else (8, 256):
            for steps, of in STEPS.items():
                for area in (1, 2, 5, 40, 400) if every else (1, 5, 40):
                    options = {"kind": kind, "touching": touching}
                    given = [image.ravel().tolist(), *image.shape, count, options, area, steps]
                    found = page.evaluate(FILTER, given)
                    compare(found, image, kind, touching, count, *of(area))


def compare(found, image, kind, touching, count, area, simplify) -> None:
    """Levels, filtered levels, nodes of the tree and nodes left, against higra's."""
    levels, _ = to_levels(image, count)
    np.testing.assert_array_equal(np.reshape(found["levels"], image.shape), levels)
    after = filter_levels(levels, kind, area=area, simplify=simplify, touching=touching)
    np.testing.assert_array_equal(np.reshape(found["after"], image.shape), after)
    tree, _ = component_tree(levels, kind, touching)
    assert found["nodes"] == tree.num_vertices() - tree.num_leaves()
    assert found["left"] == kept_nodes(tree, area, simplify).sum()


@pytest.mark.parametrize("kind", ["max", "min"])
def test_flooding_shows_the_nodes_of_the_tree(kind: str, page) -> None:
    for image in images().values():
        levels, _ = to_levels(image, 256)
        tree, level = component_tree(levels, kind, "sides")
        parents, area = tree.parents(), higra.attribute_area(tree)
        for water in (0, 90, 128, 255):
            inside = (level >= water) if kind == "max" else (level <= water)
            node = np.arange(levels.size)
            while (up := inside[node] & inside[parents[node]] & (parents[node] != node)).any():
                node = np.where(up, parents[node], node)
            wanted = np.where(inside[: levels.size], area[node], 0)
            options = {"kind": kind, "touching": "sides"}
            given = [levels.ravel().tolist(), *levels.shape, options, water]
            found = page.evaluate(FLOOD, given)
            assert found["area"] == wanted.tolist()
            pairs = set(zip(found["found"], np.where(wanted, node, -1).tolist(), strict=True))
            assert len(pairs) == len({one for one, _ in pairs}) == len({two for _, two in pairs})


def test_what_is_read_off_is_what_the_library_finds(page) -> None:
    image = cases()[2].image
    grey, _ = to_levels(image[len(image) // 2])
    selects, sliders = page.locator("select"), page.locator("input[type=range]")
    selects.nth(0).select_option(index=2)
    selects.nth(1).select_option(index=1)
    sliders.nth(0).focus()
    page.keyboard.press("ArrowRight")
    area = int(page.locator("output").nth(0).inner_text())
    assert area == 7
    levels, _ = to_levels(grey)
    tree, _ = component_tree(levels, "min")
    after = filter_levels(levels, "min", area=area)
    nodes = [int(n) for n in re.findall(r"\d+", page.locator(".readout").nth(0).inner_text())]
    steps = [kept_nodes(tree, area, simplify).sum() for simplify in (False, True)]
    assert nodes == [tree.num_vertices() - tree.num_leaves(), *steps]
    changed = page.locator(".picture small").nth(1).inner_text()
    assert changed.startswith(f"{100 * (after != levels).mean():.1f}\u00a0%")


def test_pointing_at_a_pixel_tells_its_node(page) -> None:
    image = cases()[0].image
    levels, _ = to_levels(image[len(image) // 2])
    tree, _ = component_tree(levels, "max")
    pixel = (11, 17)
    leaf = np.ravel_multi_index(pixel, levels.shape)
    box = page.locator(".ssl-piece canvas").first.bounding_box()
    x, y = ((at + 0.5) / n for at, n in zip(pixel[::-1], levels.shape[::-1], strict=True))
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    told = [int(n) for n in re.findall(r"\d+", page.locator(".readout").nth(1).inner_text())]
    after = filter_levels(levels, "max", area=6)
    node = tree.parents()[leaf]
    assert told[:3] == [levels[pixel], after[pixel], higra.attribute_area(tree)[node]]


def test_a_tap_in_the_flooding_view_tells_the_component_and_stays(page) -> None:
    page.locator("input[type=range]").nth(2).focus()
    page.keyboard.press("Home")  # all pixels are at or above level 0: the root
    page.evaluate(TAP)
    told = page.locator(".readout").nth(1).inner_text()
    assert told == "A node of level 0: 1200 pixels, kept."


def test_play_walks_through_the_levels_and_step_b_needs_no_threshold(page) -> None:
    sliders = page.locator("input[type=range]")
    sliders.nth(1).focus()
    page.keyboard.press("Home")  # eight levels
    assert sliders.nth(2).get_attribute("max") == "7"
    sliders.nth(2).focus()
    page.keyboard.press("Home")
    page.locator("button", has_text="Play").click()
    page.locator(".picture b", has_text="≥ 7").wait_for()
    page.locator("button", has_text="Play").wait_for()
    assert sliders.nth(2).input_value() == "7"
    page.locator("select").nth(2).select_option(index=1)
    assert sliders.nth(0).is_disabled()


def test_what_cannot_be_filtered_is_refused() -> None:
    with pytest.raises(InputError, match="no scan"):
        interactive.max_tree([], area=4, alt="Scans.")
    with pytest.raises(InputError, match="threshold of 0"):
        interactive.max_tree(cases(), area=0, alt="Scans.")
