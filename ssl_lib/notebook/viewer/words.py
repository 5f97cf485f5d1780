"""What stands beside the pictures in both lives: labels of the controls, values, legend, place."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np
from PIL import Image

from ssl_lib.figures.style import class_colour
from ssl_lib.notebook.viewer.cuts import STEPS, VIEWS, Look, Picture, Point, Scan, draw_view

AXES = ("x, to the right", "y, to the front", "z, to the top")
PICTURE_AXES = ("x, to the right", "y, upwards", "z")
WINDOW, LEVEL, FILL, TRUTH, PREDICTION = "window", "level", "fill", "truth", "prediction"
FILLS = range(0, 101, 5)


def style() -> str:
    """The style of the viewer, as an element."""
    return f"<style>{files(__package__).joinpath('viewer.css').read_text(encoding='utf-8')}</style>"


def grey_text(grey: float) -> str:
    """A grey level with three digits: 1230, 0.0456."""
    return f"{float(f'{grey:.3g}'):.10g}"


def window_texts(scan: Scan) -> list[str]:
    """The window at each position 1, 2, ... of its slider, in grey levels."""
    _, low, high = scan.greys
    return [grey_text((high - low) * step / STEPS) for step in range(1, STEPS + 1)]


def level_texts(scan: Scan) -> list[str]:
    """The level at each position 0, 1, ... of its slider, in grey levels."""
    _, low, high = scan.greys
    return [grey_text(low + (high - low) * step / STEPS) for step in range(STEPS + 1)]


def place_text(scan: Scan, point: Point, class_names: Sequence[str], factors: Sequence[int]) -> str:
    """The voxel under the lines in words: where it is, its grey level, its classes."""
    steps, low, high = scan.greys
    where = ", ".join(
        f"{axis} {index * factor + factor // 2}"
        for axis, index, factor, side in zip("xyz", point, factors, steps.shape, strict=True)
        if side > 1
    )
    words = [where, f"grey level {grey_text(low + steps[point] / 255 * (high - low))}"]
    for name, label in ((TRUTH, scan.truth), (PREDICTION, scan.prediction)):
        words += [] if label is None else [f"{name}: {class_names[label[point]]}"]
    return " · ".join(words)


def axes_words(scan: Scan) -> tuple[str, ...]:
    """The labels of the three sliders that move the cuts."""
    return PICTURE_AXES if scan.unit == "pixel" else AXES


def cut_text(scan: Scan, view: int, index: int, factor: int = 1) -> str:
    """The name of a cut: "axial, z = 12"; of a picture nothing more than that it is one."""
    if scan.unit == "pixel":
        return "picture"
    axis = VIEWS[view].axis
    return f"{VIEWS[view].name}, {'xyz'[axis]} = {index * factor + factor // 2}"


def legend_html(class_names: Sequence[str], scans: Sequence[Scan]) -> str:
    """The colours of the classes and how truth and prediction are told apart."""
    marks = [
        f'<li><span class="swatch" style="background:{class_colour(index)}"></span>{escape(name)}'
        for index, name in enumerate(class_names)
        if index
    ]
    if any(scan.truth is not None and scan.prediction is not None for scan in scans):
        marks.append('<li><span class="swatch dashed"></span>prediction: filled, dashed line')
        marks.append('<li><span class="swatch white"></span>truth: white line')
    return f'<ul class="legend">{"".join(f"{mark}</li>" for mark in marks)}</ul>'


def views_html(
    scan: Scan,
    point: Point,
    look: Look,
    alt: str,
    *,
    kind: str = "PNG",
    factors: Sequence[int] = (1, 1, 1),
) -> str:
    """The three cuts as pictures with their captions; those that show nothing are hidden."""
    sizes = scan.sizes()
    parts = [f'<div class="views" style="{layout(scan)}">']
    for number, (view, size) in enumerate(zip(VIEWS, sizes, strict=True)):
        picture = draw_view(scan, view, size, point, look)
        title = cut_text(scan, number, point[view.axis], factors[view.axis])
        hidden = "" if number in scan.shown else " hidden"
        words = "" if scan.unit == "pixel" else view.words
        described = escape(f"{alt} ({title})")
        parts.append(
            f'<figure{hidden}><img src="{picture_uri(picture, kind)}" alt="{described}"'
            f' width="{size[0]}" height="{size[1]}"><figcaption><b>{title}</b>'
            f" <span>{words}</span></figcaption></figure>"
        )
    return "".join([*parts, "</div>"])


def layout(scan: Scan) -> str:
    """Columns in proportion to the pictures, three on wide pages and two on narrow ones."""
    sizes = scan.sizes()
    widths = [sizes[view][0] for view in scan.shown]
    wide, narrow = (
        " ".join(f"minmax(0,{width}fr)" for width in some) for some in (widths, widths[:2])
    )
    share = min(100.0, 100 * widths[-1] / sum(widths[:2]))
    return (
        f"--wide:{wide};--narrow:{narrow};--third:{share:.1f}%;"
        f"max-width:calc({sum(widths) / 2:.0f}px + 1.2rem)"
    )


def picture_uri(picture: Picture, kind: str) -> str:
    """A picture as a data URI: PNG, packed lightly, is fast; WebP, at half the size, is small."""
    buffer, image = io.BytesIO(), Image.fromarray(np.ascontiguousarray(picture))
    if kind == "PNG":
        image.save(buffer, format=kind, compress_level=1)
    else:
        image.reduce(2).save(buffer, format=kind, quality=55, method=4)
    return f"data:image/{kind.lower()};base64,{b64encode(buffer.getvalue()).decode()}"
