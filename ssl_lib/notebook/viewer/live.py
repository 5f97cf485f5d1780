"""The viewer with a kernel: sliders of ipywidgets, the three pictures drawn anew at each move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ssl_lib.figures.style import smaller_png
from ssl_lib.notebook.viewer.cuts import VIEWS, Look, Scan, draw_view
from ssl_lib.notebook.viewer.words import (
    AXES,
    FILL,
    FILLS,
    LEVEL,
    PREDICTION,
    TRUTH,
    WINDOW,
    axes_words,
    legend_html,
    level_texts,
    place_text,
    style,
    views_html,
    window_texts,
)

if TYPE_CHECKING:
    import ipywidgets


def live_widget(
    scans: Mapping[str, Scan], *, class_names: Sequence[str], alt: str
) -> ipywidgets.VBox:
    """Pictures and controls. Its children: pictures, place, scan, x, y, z, window, level, ..."""
    import ipywidgets

    wide = {"style": {"description_width": "7.5rem"}, "layout": {"width": "21rem"}}
    first = next(iter(scans.values()))
    pictures, place = ipywidgets.HTML(), ipywidgets.HTML()
    names = ipywidgets.Dropdown(options=list(scans), description="scan", **wide)
    axes = [ipywidgets.IntSlider(description=words, min=0, max=0, **wide) for words in AXES]
    window, level = (
        ipywidgets.SelectionSlider(options=texts(first), description=words, **wide)
        for words, texts in ((WINDOW, _windows), (LEVEL, _levels))
    )
    fill = ipywidgets.SelectionSlider(
        options=[(f"{percent} %", percent) for percent in FILLS], description=FILL, **wide
    )
    truth, prediction = (
        ipywidgets.Checkbox(value=True, description=words, indent=False, layout={"width": "auto"})
        for words in (TRUTH, PREDICTION)
    )
    controls = [*axes, window, level, fill, truth, prediction]
    waiting = [False]

    def redraw(change: object = None) -> None:
        if waiting[0]:
            return
        scan, point = scans[names.value], tuple(slider.value for slider in axes)
        look = Look(window.value, level.value, fill.value, truth.value, prediction.value)
        words = f"{alt} {names.value}".strip()
        cuts = views_html(scan, point, look, words)
        legend = legend_html(class_names, list(scans.values()))
        pictures.value = f'{style()}<div class="ssl-look live">{cuts}{legend}</div>'
        place.value = escape(place_text(scan, point, class_names, (1, 1, 1)))

    def take_up(change: object = None) -> None:
        """Another scan: its sides, its range of grey levels, and a place in its organ."""
        waiting[0] = True
        scan = scans[names.value]
        start, look = scan.start(), scan.first_look()
        words = axes_words(scan)
        for slider, side, index, text in zip(axes, scan.image.shape, start, words, strict=True):
            slider.max, slider.value, slider.disabled = side - 1, index, side == 1
            slider.description, slider.layout.display = text, "none" if side == 1 else None
        window.options, level.options = _windows(scan), _levels(scan)
        window.value, level.value, fill.value = look.window, look.level, look.fill
        truth.disabled, prediction.disabled = scan.truth is None, scan.prediction is None
        waiting[0] = False
        redraw()

    names.observe(take_up, names="value")
    for control in controls:
        control.observe(redraw, names="value")
    take_up()
    choice = [names] if len(scans) > 1 else []
    ticks = ipywidgets.HBox([truth, prediction], layout={"grid_gap": "1.5rem"})
    grid = ipywidgets.GridBox(
        [*axes, window, level, fill],
        layout={
            "grid_template_rows": "repeat(3, auto)",
            "grid_auto_flow": "column",
            "grid_gap": "0 1.5rem",
            "justify_content": "flex-start",
        },
    )
    return ipywidgets.VBox([*choice, pictures, place, grid, ticks])


def first_picture(scan: Scan) -> bytes:
    """The cuts side by side, as they stand before anything is moved: a PNG file."""
    start, look, every = scan.start(), scan.first_look(), scan.sizes()
    sizes = [every[view] for view in scan.shown]
    height = max(high for _, high in sizes)
    row = np.full((height, sum(wide for wide, _ in sizes), 3), 255, np.uint8)
    left = 0
    for view, (wide, high) in zip((VIEWS[view] for view in scan.shown), sizes, strict=True):
        row[:high, left : left + wide] = draw_view(scan, view, (wide, high), start, look)
        left += wide
    return smaller_png(Image.fromarray(row).reduce(2))


def _windows(scan: Scan) -> list[tuple[str, int]]:
    return _distinct(window_texts(scan), first=1)


def _levels(scan: Scan) -> list[tuple[str, int]]:
    return _distinct(level_texts(scan), first=0)


def _distinct(texts: Sequence[str], first: int) -> list[tuple[str, int]]:
    return [(text, step) for step, text in enumerate(texts, start=first)]
