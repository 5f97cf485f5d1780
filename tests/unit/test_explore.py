"""Sliders: complete, described, small and self-contained in static pages; alive in a kernel."""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
from base64 import b64decode
from html import unescape
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from matplotlib import rcParams
from PIL import Image

from ssl_lib.figures import new_figure
from ssl_lib.figures.style import house_style, to_image
from ssl_lib.notebook import explore as module
from ssl_lib.notebook import stored
from ssl_lib.notebook.explore import (
    QUALITIES,
    SETTLING,
    Slider,
    explore,
    once_settled,
    state_alt,
    static_html,
    value_text,
)
from ssl_lib.notebook.frames import MAX_SIDE, frames_in_one
from ssl_lib.notebook.interactive import page
from ssl_lib.notebook.viewer import Scan
from ssl_lib.notebook.viewer import static_html as viewer_html
from ssl_lib.utils.errors import InputError

SIZES = Slider("box size", (0.25, 0.5, 0.75), start=0.5)
MODES = Slider("mode", ("inside", "outside"))


def draw(size=0.5, mode="inside"):
    """A small figure that differs from state to state."""
    figure = new_figure(height=1.2, width=2.0)
    ax = figure.subplots()
    ax.barh([0, 1], [size, 1 - size], color="C1" if mode == "inside" else "C2")
    return figure


def pictures(html):
    """The frames of a figure as (pixels, description), and the place of the one that is shown."""
    found = re.search(r'<img src="data:image/webp;base64,([^"]+)" alt="([^"]*)" ([^>]*)>', html)
    columns, rows, place = map(int, re.findall(r'data-(?:columns|rows|place)="(\d+)"', found[3]))
    sheet = np.asarray(Image.open(io.BytesIO(b64decode(found[1]))).convert("RGB"))
    frames = [one for row in np.split(sheet, rows) for one in np.split(row, columns, axis=1)]
    alts = json.loads(unescape(re.search(r'data-alts="([^"]*)"', html)[1]))
    assert unescape(found[2]) == alts[place]
    move = f"translate({-100 * (place % columns) / columns}%, {-100 * (place // columns) / rows}%)"
    assert f"transform:{move}" in found[3]
    return list(zip(frames, alts, strict=False)), place


def test_one_frame_for_each_state_and_the_start_is_shown():
    found, place = pictures(static_html(draw, alt="Two bars.", size=SIZES, mode=MODES))
    assert len(found) == 6 and place == 2
    assert found[2][1] == "Two bars (box size 0.5, mode inside)."
    assert len({alt for _, alt in found}) == 6
    assert len({frame.tobytes() for frame, _ in found}) == 6


@pytest.mark.parametrize(("wanted", "widest"), [(200_000, 220), (3_000, 192)])
def test_its_words_are_as_large_as_without_sliders(wanted, widest):
    html = static_html(draw, alt="Two bars.", wanted_bytes=wanted, size=SIZES)
    assert f"max-width:min(100%,{widest}px)" in html, "2 inches, or 1.6 times few pixels"


def test_frames_are_what_was_drawn_to_the_pixel():
    found, _ = pictures(static_html(draw, alt="Two bars.", size=SIZES, mode=MODES))
    with house_style():
        drawn = np.asarray(to_image(draw(SIZES.values[0], MODES.values[1]), QUALITIES[0][0]))
    np.testing.assert_array_equal(found[1][0], drawn)


@pytest.mark.parametrize(("count", "height"), [(1, 50), (5, 9000), (7, 5000), (80, 100)])
def test_frames_come_out_as_they_went_in(count, height):
    """Also where one column is more than the format allows, and where frames differ in size."""
    sizes = [(20 + k % 2, height) for k in range(count)]
    given = [Image.new("RGB", size, (k, 2 * k, 7)) for k, size in enumerate(sizes)]
    sheet = frames_in_one(given)
    assert max(sheet.image.size) <= MAX_SIDE
    width = sheet.image.width // sheet.columns
    for k, one in enumerate(given):
        row, column = divmod(k, sheet.columns)
        corners = [(column * width, row * height), (column * width + 19, (row + 1) * height - 1)]
        assert {sheet.image.getpixel(corner) for corner in corners} == {one.getpixel((0, 0))}


def test_a_picture_that_no_browser_shows_is_not_made():
    assert frames_in_one([Image.new("RGB", (2000, 1000))] * 9) is None


def test_sliders_are_labelled_and_say_their_value():
    html = static_html(draw, alt="Two bars.", size=SIZES, mode=MODES)
    inputs = re.findall(
        r'<input type="range" id="([^"]+)" min="0" max="(\d)" step="1" value="(\d)"', html
    )
    assert [(top, value) for _, top, value in inputs] == [("2", "1"), ("1", "0")]
    for identity, _, _ in inputs:
        assert f'<label for="{identity}"' in html and f'<output for="{identity}"' in html
    assert ">box size</label>" in html and ">0.5</output>" in html


def test_nothing_is_loaded_from_elsewhere():
    html = static_html(draw, alt="Two bars.", size=SIZES)
    markup = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]+", "data:", html)
    assert "//" not in markup
    assert "src=" not in markup.replace('src="data:"', "")


def test_ids_are_unique_on_a_page():
    page = "".join(static_html(draw, alt="Two bars.", size=SIZES) for _ in range(2))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 4


def test_text_of_the_caller_cannot_break_the_page():
    slider = Slider('<b>"size"</b>', ("<i>", '"'))
    html = static_html(lambda size: draw(), alt='A "quoted" <bar>.', size=slider)
    assert "<b>" not in html and "<i>" not in html and "<bar>" not in html
    assert len(pictures(html)[0]) == 2


def test_description_may_depend_on_the_state():
    html = static_html(draw, alt=lambda size: f"{size:.0%} of the patch.", size=SIZES)
    assert pictures(html)[0][2][1].startswith("75% of the patch.")


@pytest.mark.long
@pytest.mark.parametrize("number", [1, 2])
def test_a_value_is_named_once_in_whatever_form(number):
    """1.0 names the share of 1 and no draw, whichever number the draw has."""
    sliders = {"share": Slider("share", (0.5, 1.0)), "number": Slider("draw", (1, 2))}
    state = {"share": 1.0, "number": number}
    words = state_alt(lambda share, number: f"A threshold of {share:.1f}.", sliders, state)
    assert words == f"A threshold of 1.0 (draw {number})."


def test_frames_that_are_too_large_are_refused(monkeypatch):
    small = len(static_html(draw, alt="Two bars.", wanted_bytes=0, size=SIZES))
    monkeypatch.setattr(module, "MAX_BYTES", small - 1)
    with pytest.raises(InputError, match="3 frames take more than"):
        static_html(draw, alt="Two bars.", wanted_bytes=0, size=SIZES)
    monkeypatch.setattr(module, "MAX_BYTES", small)
    assert static_html(draw, alt="Two bars.", wanted_bytes=0, size=SIZES)


def test_quality_gives_way_to_size():
    full = len(static_html(draw, alt="Two bars.", size=SIZES))
    assert len(static_html(draw, alt="Two bars.", wanted_bytes=full - 100, size=SIZES)) < full


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: static_html(draw, alt="Bars."), "0 sliders"),
        (lambda: static_html(draw, alt="Bars.", a=SIZES, b=SIZES, c=SIZES), "3 sliders"),
        (lambda: static_html(draw, alt="  ", size=SIZES), "alternative text"),
        (lambda: static_html(draw, alt="B.", size=Slider("n", range(99))), "99 states"),
        (lambda: Slider("size", (1, 2), start=3), "starts at 3"),
        (lambda: Slider("size", (1,)), "two values"),
        (lambda: Slider("size", (1, 4), live=range(4)), "stops at 4 on a page alone"),
    ],
)
def test_what_cannot_be_shown_is_refused(call, word):
    with pytest.raises(InputError, match=word):
        call()


def test_static_unless_a_kernel_listens(monkeypatch):
    monkeypatch.delenv("SSL_STATIC", raising=False)
    monkeypatch.setattr(module, "get_ipython", lambda: None)
    assert not module.is_live()
    monkeypatch.setattr(module, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    assert module.is_live()
    monkeypatch.setenv("SSL_STATIC", "1")
    assert not module.is_live()


def test_live_sliders_redraw_at_once(monkeypatch):
    shown, kept, drawn = [], [], []

    def show(*what):
        shown.append(what)
        return lambda *later: kept.append(later)

    monkeypatch.setattr(module, "is_live", lambda: True)
    monkeypatch.setattr(module, "show_live", show)

    def spy(**values):
        drawn.append(values)
        return draw(**values)

    explore(spy, alt="Two bars.", size=SIZES, mode=MODES)
    widget, png, alt = shown[0]
    slider, _, _, picture = widget.children
    before = picture.value
    slider.value = 0.75
    assert drawn == [{"size": 0.5, "mode": "inside"}, {"size": 0.75, "mode": "inside"}]
    assert picture.value != before
    assert "box size 0.75, mode inside" in picture.value
    assert png.startswith(b"\x89PNG") and "box size 0.5" in alt
    assert len(kept) == 1 and kept[0][0] != png and "box size 0.75" in kept[0][1]


def test_a_picture_that_cannot_be_drawn_says_so(monkeypatch):
    """It does not leave the picture of another state beside the slider, without a word."""
    shown = []
    monkeypatch.setattr(module, "is_live", lambda: True)
    monkeypatch.setattr(module, "show_live", lambda *what: shown.append(what) or (lambda *_: None))
    explore(lambda size: draw([0.5, 0.25][size]), alt="Two bars.", size=Slider("<n>", (0, 1, 2)))
    slider, _, picture = shown[0][0].children
    with pytest.raises(IndexError):
        slider.value = 2
    assert "<img" not in picture.value and "IndexError: list index out of range" in picture.value
    assert module.AGAIN in picture.value
    slider.value = 1
    assert "<img" in picture.value and module.DRAWING not in shown[0][0]._dom_classes


def test_a_live_slider_may_stop_at_more_values_and_goes_back_to_its_start(monkeypatch):
    shown = []
    monkeypatch.setattr(module, "is_live", lambda: True)
    monkeypatch.setattr(module, "show_live", lambda *what: shown.append(what) or (lambda *_: None))
    size = Slider("box size", (0.25, 0.5, 0.75), 0.5, live=[k / 20 for k in range(21)])
    explore(draw, alt="Two bars.", size=size)
    slider, back, picture = shown[0][0].children
    assert (len(slider.options), slider.value, back.description) == (21, 0.5, "Reset")
    slider.value = 0.05
    assert "box size 0.05" in picture.value
    back.click()
    assert slider.value == 0.5 and "box size 0.5" in picture.value
    assert len(pictures(static_html(draw, alt="Two bars.", size=size))[0]) == 3, "on a page"


def test_a_live_slider_stores_a_picture_a_line_and_the_widget(monkeypatch):
    shown, updated = [], []

    def display(data, **rest):
        shown.append((data, rest))
        return SimpleNamespace(update=lambda data, **rest: updated.append(data))

    monkeypatch.setattr(stored, "display", display)
    keep = stored.show_live(ipywidgets.HTML("live"), b"first", "A picture.")
    (picture, rest), (line, _), (widget, _) = shown
    assert b64decode(picture["image/png"]) == b"first"
    assert rest["metadata"]["image/png"]["alt"] == picture["text/plain"] == "A picture."
    assert stored.STORED in line["text/html"] and line["text/plain"] == stored.STORED
    assert stored.WIDGET in widget and "image/png" not in widget
    keep(b"second", "Another.")
    assert b64decode(updated[0]["image/png"]) == b"second"


def test_quick_moves_of_a_live_slider_are_drawn_once():
    drawn = []

    async def drag():
        draw_soon = once_settled(lambda: drawn.append(len(drawn)))
        for _ in range(5):
            draw_soon()
        assert drawn == []
        await asyncio.sleep(3 * SETTLING)
        assert drawn == [0]
        draw_soon()
        await asyncio.sleep(3 * SETTLING)

    asyncio.run(drag())
    assert drawn == [0, 1]
    once_settled(lambda: drawn.append("at once"))()
    assert drawn[-1] == "at once"


def test_moves_that_come_in_by_another_thread_are_drawn_in_that_of_the_cells():
    threads = []

    async def cells():
        draw_soon = once_settled(lambda: threads.append(threading.current_thread()))
        await asyncio.to_thread(draw_soon)
        await asyncio.sleep(3 * SETTLING)

    asyncio.run(cells())
    assert threads == [threading.current_thread()]


def test_static_is_displayed_as_html(monkeypatch):
    shown = []
    monkeypatch.setenv("SSL_STATIC", "1")
    monkeypatch.setattr(module, "display", shown.append)
    explore(draw, alt="Two bars.", size=SIZES)
    assert len(pictures(shown[0].data)[0]) == 3


def test_values_read_well():
    assert [value_text(v) for v in (0.1 + 0.2, 4, "both", 1e-5)] == ["0.3", "4", "both", "1e-05"]


def test_figures_are_drawn_in_house_style():
    seen = []

    def spy(size):
        seen.append(rcParams["axes.spines.top"])
        return draw(size)

    static_html(spy, alt="Two bars.", size=SIZES)
    assert seen == [False, False, False] and rcParams["axes.spines.top"]


def test_a_notebook_in_git_holds_pictures_alone() -> None:
    """Of every kind of moving figure: picture and caption, no script and no other frame."""
    sliders = static_html(draw, alt="Bars.", size=SIZES)
    figure = page.piece("wipe", {"a": 1}, alt="A figure.", label="It", stored=draw()).html()
    scan = Scan(np.zeros((6, 7, 8), np.float32), (1, 1, 1))
    viewer = viewer_html({"": scan}, class_names=("b", "a"), alt="A scan.")
    for html, words in (
        (sliders, "Bars (box size 0.5)."),
        (figure, "A figure."),
        (viewer, "A scan."),
    ):
        alone = stored.picture_alone(html)
        assert "<script" not in alone and "run all cells up to this one" in alone
        assert words in alone and "data:image/webp" in alone
        assert len(alone) < len(html)
    alone = stored.picture_alone(sliders)
    assert alone.count("<img") == 1 and "data-alts" not in alone
    frames, place = pictures(sliders)
    uri = re.search(r"base64,([^\"]+)", alone)[1]
    kept = np.asarray(Image.open(io.BytesIO(b64decode(uri))).convert("RGB"))
    np.testing.assert_array_equal(kept, frames[place][0])
    assert stored.picture_alone("<table><tr><td>1</td></tr></table>").endswith("</table>")
