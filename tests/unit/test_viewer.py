"""The slice viewer: the pixel under the lines is the right voxel, in a kernel and in a page alike.

Pages are driven in a real browser, under the template's own rules of what a page may load.
"""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from browser import violations
from hypothesis import given, settings
from hypothesis import strategies as st
from organ_scans import SPACING, organ
from PIL import Image

from ssl_lib.notebook import viewer
from ssl_lib.notebook.viewer import MAX_BYTES, Scan, live_widget, look, look_through, static_html
from ssl_lib.notebook.viewer.cuts import (
    COLOURS,
    CROSS,
    GAP,
    STEPS,
    VIEWS,
    Look,
    draw_view,
    grey_table,
    outline,
)
from ssl_lib.notebook.viewer.page import pack
from ssl_lib.notebook.viewer.words import level_texts, window_texts
from ssl_lib.reports.offline import external_references
from ssl_lib.reports.render import TEMPLATES
from ssl_lib.utils.errors import InputError

NAMES = ("background", "front", "back")
WORDS = {"class_names": NAMES, "alt": "A cut through an organ."}
SHOWN = Look(window=STEPS, level=STEPS // 2, fill=0)
CSP = re.search(r"<meta http-equiv.*>", (TEMPLATES / "page.html.j2").read_text()).group(0)


def organ_scan(seed: int = 0, shape: tuple[int, int, int] = (24, 22, 20)) -> Scan:
    """An organ in two parts, and a prediction that lies two voxels beside it."""
    image, label = organ(seed, shape)
    return Scan(image, SPACING, label, np.roll(label, 2, axis=1))


# --- voxels and pixels


def middle_of(scan: Scan, view, size, point) -> tuple[int, int]:
    """Row and column where the lines cross, computed here from millimetres."""
    parts = [(point[axis] + 0.5) / scan.image.shape[axis] for axis in (view.across, view.up)]
    return int((1 - parts[1]) * size[1]), int(parts[0] * size[0])


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(*[st.integers(1, 12)] * 3),
    st.tuples(*[st.floats(0.3, 4)] * 3),
    st.integers(0, 2**31),
)
def test_the_voxel_under_the_lines_is_shown_there(shape, spacing, seed):
    random = np.random.default_rng(seed)
    point = tuple(int(random.integers(side)) for side in shape)
    image = random.uniform(0, 0.4, shape)
    image[point] = 1
    scan = Scan(image, spacing)
    for view, size in zip(VIEWS, scan.sizes(), strict=True):
        picture = draw_view(scan, view, size, point, SHOWN)
        row, column = middle_of(scan, view, size, point)
        if picture[row, column].tolist() == list(CROSS):  # pixels fewer than voxels: a line's own
            continue
        expected = 255 if image.max() > image.min() else 0
        assert picture[row, column].tolist() == [expected] * 3


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.625, 0.625, 2.5), (1.0, 1.5, 2.0)])
@pytest.mark.parametrize("shape", [(35, 51, 35), (112, 88, 20), (5, 90, 6)])
def test_pictures_have_true_proportions_and_one_scale(shape, spacing):
    scan = Scan(np.zeros(shape), spacing)
    mm = np.array(shape) * spacing
    scales = [
        pixels / mm[axis]
        for view, size in zip(VIEWS, scan.sizes(), strict=True)
        for pixels, axis in zip(size, (view.across, view.up), strict=True)
    ]
    assert max(scales) / min(scales) < 1.05
    assert sum(width for width, _ in scan.sizes()) <= 1445


@pytest.mark.parametrize("axis", range(3))
def test_right_front_and_top_are_where_they_should_be(axis):
    image = np.zeros((8, 8, 8))
    np.moveaxis(image, axis, 0)[6:] = 1
    scan = Scan(image, (1, 1, 1))
    for view, size in zip(VIEWS, scan.sizes(), strict=True):
        white = draw_view(scan, view, size, (3, 3, 3), SHOWN)[..., 0] == 255
        rows, columns = np.nonzero(white) if view.axis != axis else ([], [])
        if view.across == axis:
            assert columns.min() >= 0.74 * size[0], "the axis runs to the right"
        if view.up == axis:
            assert rows.max() <= 0.26 * size[1], "the axis runs upwards"


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_lines_cross_at_the_point_and_leave_it_free(view):
    scan = organ_scan()
    size = scan.sizes()[VIEWS.index(view)]
    for point in ((0, 0, 0), (7, 9, 11), (23, 21, 19)):
        row, column = middle_of(scan, view, size, point)
        empty = Scan(np.zeros((24, 22, 20)), SPACING)
        yellow = draw_view(empty, view, size, point, SHOWN).any(axis=2)
        rows, columns = np.nonzero(yellow)
        assert set(np.unique(columns[np.abs(rows - row) > GAP])) <= {column - 1, column, column + 1}
        assert set(np.unique(rows[np.abs(columns - column) > GAP])) <= {row - 1, row, row + 1}
        assert not yellow[row, column]


# --- window, level, grey levels


@settings(max_examples=30, deadline=None)
@given(st.integers(1, STEPS), st.integers(0, STEPS))
def test_window_and_level_are_those_of_a_scanner(window, level):
    table = grey_table(Look(window, level))
    share = (np.arange(256) / 255 - (level - window / 2) / STEPS) / (window / STEPS)
    assert np.abs(table - np.clip(share, 0, 1) * 255).max() <= 0.5 + 1e-9
    assert (np.diff(table.astype(int)) >= 0).all()


def test_one_bright_voxel_does_not_darken_the_scan():
    image = np.random.default_rng(0).normal(100, 10, (30, 30, 30))
    image[3, 3, 3] = 1e6
    _, low, high = Scan(image, (1, 1, 1)).greys
    assert low == pytest.approx(image.min()) and high < 250


def ct_scan(bright: float, padding: float = -1000) -> Scan:
    """A body with an organ between air and bone, in Hounsfield units."""
    image = np.full((24, 22, 20), padding, np.float32)
    image[:, 2:] = -1000
    image[4:20, 4:18] = 30
    image[8:14, 8:14] = 90
    image[15:18, 8:14] = bright
    return Scan(image, SPACING)


@pytest.mark.parametrize("padding", [-1000, -3024])
@pytest.mark.parametrize("bright", [90, 700, 1500, 2900, 30000])
def test_a_ct_scan_opens_in_the_window_of_soft_tissue(bright, padding):
    scan = ct_scan(bright, padding)
    first = scan.first_look()
    assert window_texts(scan)[first.window - 1] == "400"
    assert level_texts(scan)[first.level] == "40"
    steps, low, high = scan.greys
    assert low <= -1000 and high >= min(bright, 2900), "air and bone have levels of their own"
    greys = grey_table(first)[steps]
    assert greys[9, 9, 9] - greys[5, 5, 5] > 25, "organs differ"
    assert greys[0, 10, 0] == 0 and greys[16, 9, 9] >= greys[9, 9, 9]
    widget = live_widget({"": scan}, **WORDS)
    values = [one.value for one in widget.children[-2].children]
    assert values[3:5] == [first.window, first.level]


def test_other_scans_open_in_their_own_range():
    image = ct_scan(700).image + 520  # air, and yet no Hounsfield units
    scan = Scan(image, SPACING)
    _, low, high = scan.greys
    first = scan.first_look()
    assert not scan.is_ct and (low, high) == (image.min(), image.max())
    assert first.window > 90, "nearly all of it"


def test_grey_levels_are_said_as_they_are():
    scan = organ_scan()
    steps, low, high = scan.greys
    inside = (scan.image > low) & (scan.image < high)
    said = low + steps / 255 * (high - low)
    assert np.abs(said - scan.image)[inside].max() <= (high - low) / 255
    assert inside.mean() > 0.99


# --- labels


@pytest.mark.parametrize("kind", ["truth", "prediction"])
def test_colours_lie_on_the_voxels_of_their_class(kind):
    label = np.zeros((6, 5, 4), np.uint8)
    label[4, 1, 2] = 2
    scan = Scan(np.zeros(label.shape), (1, 1, 1), **{kind: label})
    for view, size in zip(VIEWS, scan.sizes(), strict=True):
        picture = draw_view(scan, view, size, (4, 1, 2), Look(STEPS, 50, fill=100))
        rows, columns = np.nonzero((picture == COLOURS[1]).all(axis=2))
        across, up = (4, 1, 2)[view.across], (4, 1, 2)[view.up]
        nx, ny = label.shape[view.across], label.shape[view.up]
        found = [side / size[0] * nx for side in (columns.min(), columns.max() + 1)]
        assert found == pytest.approx([across, across + 1], abs=0.02)
        found = [ny - side / size[1] * ny for side in (rows.max() + 1, rows.min())]
        assert found == pytest.approx([up, up + 1], abs=0.02)


def test_truth_is_a_white_line_on_its_border_only_beside_a_prediction():
    truth = np.zeros((9, 9, 3), np.uint8)
    truth[2:6, 3:7] = 1
    scan = Scan(np.zeros(truth.shape), (1, 1, 1), truth, np.zeros_like(truth))
    size = scan.sizes()[0]
    picture = draw_view(scan, VIEWS[0], size, (8, 8, 1), Look(STEPS, 50))
    columns = np.nonzero((picture == 255).all(axis=2))[1]
    box = [columns.min() / size[0] * 9, (columns.max() + 1) / size[0] * 9]
    assert box == pytest.approx([2, 6], abs=0.02)
    middle = picture[int(size[1] * (1 - 5 / 9)), int(size[0] * 4 / 9)]
    assert not middle.any(), "the inside is free"
    for hidden in (Look(STEPS, 50, truth=False), Look(STEPS, 50, prediction=False)):
        assert not (draw_view(scan, VIEWS[0], size, (8, 8, 1), hidden) == 255).all(axis=2).any()


def test_outlines_close_at_the_edge_and_between_classes():
    label = np.array([[1] * 6 + [2] * 6] * 12)
    edge = outline(label, 2)
    assert edge[:2].all() and edge[:, :2].all() and edge[:, 4:8].all() and not edge[5, 2:4].any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.5, 1))
def test_it_opens_in_the_organ(seed, share):
    label = (np.random.default_rng(seed).random((5, 6, 7)) > share).astype(np.uint8)
    scan = Scan(np.zeros(label.shape), (1, 1, 1), prediction=label)
    assert label[scan.start()] or not label.any()
    assert all(0 <= n < side for n, side in zip(scan.start(), label.shape, strict=True))


def test_of_a_single_slice_only_that_cut_is_shown_and_a_picture_has_no_patient():
    """Cuts along the other axes would be lines one pixel high; and a picture has no front."""
    image, label = np.random.default_rng(0).random((20, 30, 1)), np.zeros((20, 30, 1), np.uint8)
    label[5:9, 4:8] = 1
    for unit, title, words in (
        ("mm", "axial, z = 0", "y, to the front"), ("pixel", "picture", "y, upwards"),
    ):  # fmt: skip
        scan = Scan(image, (1, 1, 1), label, unit=unit)
        assert [VIEWS[view].name for view in scan.shown] == ["axial"]
        html = static_html({"": scan, "volume": organ_scan()}, **WORDS).split("<script")[0]
        figures = re.findall(r"<figure( hidden)?>.*?<b>(.*?)</b>", html)
        assert [hidden for hidden, _ in figures] == ["", " hidden", " hidden"]
        assert figures[0][1] == title and words in html
        assert ("front ↑" in html.split("</figure>")[0]) == (unit == "mm")
        live = live_widget({"": scan}, **WORDS)
        sliders = live.children[2].children[:3]
        assert [slider.layout.display for slider in sliders] == [None, None, "none"]
        assert sliders[1].description == words
    assert organ_scan().shown == [0, 1, 2]


# --- what cannot be shown


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"image": np.zeros((4, 4))}, r"shape \(4, 4\)"),
        ({"image": np.zeros((0, 4, 4))}, "three axes"),
        ({"image": np.full((4, 4, 4), np.nan)}, "no numbers"),
        ({"spacing": (1, 1)}, "voxel size"),
        ({"spacing": (1, 1, 0)}, "voxel size"),
        ({"truth": np.zeros((4, 4, 5), int)}, "the truth has the shape"),
        ({"prediction": np.full((4, 4, 4), 3)}, "the prediction holds the value 3"),
        ({"truth": np.full((4, 4, 4), 0.5)}, "holds the value 0.5"),
        ({"alt": "  "}, "alternative text"),
    ],
)
def test_what_cannot_be_shown_is_refused(changed, word):
    good = {"image": np.zeros((4, 4, 4)), "spacing": (1, 1, 1), "truth": None, "prediction": None}
    with pytest.raises(InputError, match=word):
        look(**{**good, **WORDS, **changed})


def test_a_faulty_scan_among_several_is_named():
    scans = {"a": organ_scan(), "b": Scan(np.zeros((4, 4)), (1, 1, 1))}
    with pytest.raises(InputError, match=r"^b: "):
        look_through(scans, **WORDS)
    with pytest.raises(InputError, match="no scan"):
        look_through({}, **WORDS)


# --- sizes


def noise(side: int) -> Scan:
    """The worst that can be asked to be packed."""
    random = np.random.default_rng(0)
    label = random.integers(0, 3, (side, side, side), np.uint8)
    return Scan(random.random((side, side, side), np.float32), (1, 1, 1), label, label)


@pytest.mark.parametrize("side", [80, pytest.param(300, marks=pytest.mark.long)])
def test_large_volumes_lose_resolution_and_say_so(side):
    html = static_html({"": noise(side)}, **WORDS)
    assert len(html.encode()) <= MAX_BYTES
    assert "Shown at a lower resolution: " in html


def test_small_volumes_keep_every_grey_step():
    packed = pack(organ_scan(), 300_000)
    assert packed.factors == (1, 1, 1)
    html = static_html({"": organ_scan()}, **WORDS)
    assert "lower resolution" not in html.split("<script")[0]


def test_places_stay_when_resolution_is_lost():
    label = np.zeros((120, 120, 120), np.uint8)
    label[100:, :20, 60:80] = 1
    image = np.random.default_rng(0).random(label.shape) + label
    small = pack(Scan(image, (1, 1, 1), label), 60_000)
    assert max(small.factors) > 1
    assert np.multiply(small.scan.spacing, small.scan.image.shape) == pytest.approx(120, abs=8)
    places = np.argwhere(small.scan.truth) * small.factors
    assert places.min(axis=0) == pytest.approx([100, 0, 60], abs=8)
    assert small.scan.image[small.scan.truth > 0].min() > small.scan.image[-1, -1, -1]


def test_more_scans_share_the_bytes():
    scans = {name: noise(40) for name in "abcde"}
    assert len(static_html(scans, **WORDS).encode()) <= MAX_BYTES


# --- with a kernel


@pytest.fixture
def live():
    """Two scans, the second without any truth, and the parts of their widget."""
    second = organ_scan(1, (20, 22, 24))
    scans = {"first": organ_scan(), "<b>": Scan(second.image, SPACING, None, second.prediction)}
    names, pictures, place, grid, ticks = live_widget(scans, **WORDS).children
    return scans, names, pictures, place, grid.children, ticks.children


def test_each_control_changes_the_pictures(live):
    _, names, pictures, _, sliders, ticks = live
    for control in (*sliders, *ticks):
        before = pictures.value
        value = control.value
        options = [v for _, v in control.options] if hasattr(control, "options") else None
        control.value = (
            not value
            if isinstance(value, bool)
            else options[options.index(value) - 1]
            if options
            else value - 1
        )
        assert pictures.value != before, control.description
    before = pictures.value
    names.value = "<b>"
    assert pictures.value != before


def test_another_scan_brings_its_own_sides_and_has_no_truth(live):
    scans, names, pictures, place, sliders, ticks = live
    sliders[0].value = 23
    names.value = "<b>"
    assert [slider.max for slider in sliders[:3]] == [19, 21, 23]
    assert tuple(slider.value for slider in sliders[:3]) == scans["<b>"].start()
    assert ticks[0].disabled and not ticks[1].disabled and "truth" not in place.value
    assert "&lt;b&gt;" in pictures.value and "<b>)" not in pictures.value


def test_the_place_says_voxel_grey_level_and_classes(live):
    scans, _, _, place, sliders, _ = live
    for slider, value in zip(sliders, (16, 12, 10), strict=False):
        slider.value = value
    scan = scans["first"]
    classes = [NAMES[label[16, 12, 10]] for label in (scan.truth, scan.prediction)]
    assert place.value.startswith("x 16, y 12, z 10 · grey level ")
    assert place.value.endswith(f" · truth: {classes[0]} · prediction: {classes[1]}")
    grey = float(re.search(r"grey level ([\d.]+)", place.value).group(1))
    assert grey == pytest.approx(scan.image[16, 12, 10], rel=0.02)


def test_a_kernel_gets_the_widget_and_a_page_gets_html(monkeypatch):
    shown = []
    monkeypatch.setattr(viewer, "display", shown.append)
    monkeypatch.setattr(viewer, "show_live", lambda *what: shown.append(what))
    for alive in (True, False):
        monkeypatch.setattr(viewer, "is_live", lambda alive=alive: alive)
        scan = organ_scan()
        look(scan.image, SPACING, truth=scan.truth, **WORDS)
    widget, png, _ = shown[0]
    assert len(widget.children) == 4, "no choice for one scan"
    picture = Image.open(BytesIO(png))
    assert picture.width == pytest.approx(
        sum(width for width, _ in organ_scan().sizes()) / 2, abs=1
    )
    assert shown[1].data.startswith("<style>")


# --- without a kernel, in a browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    """Two scans on a page as the template makes it; the second one has no truth."""
    scans = {"first": organ_scan(), "second": Scan(organ(1)[0], SPACING, None, organ(1)[1])}
    file = tmp_path_factory.mktemp("viewer") / "page.html"
    file.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{CSP}<title>Page</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        'content="light dark"></head><body><main><h1>Page</h1>'
        f"{static_html(scans, **WORDS)}</main></body></html>"
    )
    return file


def ready(opened) -> object:
    """The page, once its pictures are alive."""
    opened.page.wait_for_selector("canvas")
    return opened.page


def drawn(page) -> list[np.ndarray]:
    """The three pictures that the page shows."""
    files = page.eval_on_selector_all("canvas", "all => all.map(c => c.toDataURL())")
    pictures = [Image.open(BytesIO(b64decode(file.split(",")[1]))) for file in files]
    return [np.asarray(picture.convert("RGB")) for picture in pictures]


def press(page, name: str, *keys: str) -> None:
    page.focus(f"[name={name}]")
    for key in keys:
        page.keyboard.press(key)


def test_a_page_draws_what_a_kernel_draws_to_the_pixel(page_file, open_page):
    page, scan = ready(open_page(page_file)), organ_scan()
    first = scan.first_look()
    press(page, "x", "ArrowRight", "ArrowRight")
    press(page, "z", "Home")
    press(page, "z", *["ArrowRight"] * 8)
    press(page, "window", "ArrowLeft")
    press(page, "fill", "ArrowLeft")
    x, y, _ = scan.start()
    for truth, prediction in ((True, True), (False, True), (True, False)):
        page.set_checked("[name=truth]", truth)
        page.set_checked("[name=prediction]", prediction)
        state = Look(first.window - 1, first.level, first.fill - 5, truth, prediction)
        expected = [
            draw_view(scan, view, size, (x + 2, y, 8), state)
            for view, size in zip(VIEWS, scan.sizes(), strict=True)
        ]
        for ours, theirs in zip(expected, drawn(page), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_an_arrow_key_moves_a_cut_and_its_lines_in_the_other_views(page_file, open_page):
    page = ready(open_page(page_file))
    labels = "all => all.map(c => c.getAttribute('aria-label'))"
    before, words = drawn(page), page.eval_on_selector_all("canvas", labels)
    for axis, name in enumerate("xyz"):
        press(page, name, "ArrowRight")
        now = page.get_attribute(f"[name={name}]", "aria-valuetext")
        assert now == str(organ_scan().start()[axis] + 1)
        assert f"{name} {now}" in page.inner_text(".place")
        pictures, texts = drawn(page), page.eval_on_selector_all("canvas", labels)
        for number, view in enumerate(VIEWS):
            assert (before[number] != pictures[number]).any(), f"{name}: the {view.name} view"
            assert (words[number] != texts[number]) == (view.axis == axis)
            assert (f"{name} = {now}" in texts[number]) == (view.axis == axis)
        before, words = pictures, texts


def test_a_click_moves_the_other_two_cuts(page_file, open_page):
    page = ready(open_page(page_file))
    z = page.input_value("[name=z]")
    box = page.query_selector("canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 5.5 / 24, box["y"] + box["height"] * (1 - 4.5 / 22))
    assert [page.input_value(f"[name={name}]") for name in "xyz"] == ["5", "4", z]


def test_another_scan_can_be_chosen_by_keyboard(page_file, open_page):
    page = ready(open_page(page_file))
    before = drawn(page)
    press(page, "scan", "ArrowDown")
    page.wait_for_selector('canvas[aria-label*="second"]')
    assert (drawn(page)[0] != before[0]).any()
    assert page.is_disabled("[name=truth]") and "truth" not in page.inner_text(".place")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_it_is_readable_alone(page_file, open_page, scheme, width):
    opened = open_page(page_file, scheme, width)
    page = ready(opened)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
    assert (opened.requests, opened.errors) == ([], [])
    assert external_references(page_file.read_text()) == []


def test_without_a_script_three_described_pictures_remain(page_file, open_page):
    page = open_page(page_file, java_script_enabled=False).page
    pictures = page.query_selector_all("img")
    assert len(pictures) == 3 and all(picture.is_visible() for picture in pictures)
    titles = [picture.get_attribute("alt") for picture in pictures]
    assert [view.name in title for view, title in zip(VIEWS, titles, strict=True)] == [True] * 3
    assert page.locator("input:visible, select:visible").count() == 0
