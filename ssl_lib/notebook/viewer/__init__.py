"""Look into volumes: three linked cuts with outlines over the scan, in a kernel or without one.

`look(image, spacing, truth=..., prediction=..., class_names=..., alt=...)` shows one scan,
`look_through({name: Scan(...)}, ...)` several with a choice between them. In a live notebook
ipywidgets move the cuts; in a static page (see `explore`) the volume itself stands in the
page, and a short script draws the same pictures, to the same pixel, with the same controls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import HTML, display
from jaxtyping import Float, UInt8

from ssl_lib.figures.style import checked_alt
from ssl_lib.notebook.explore import is_live
from ssl_lib.notebook.stored import show_live
from ssl_lib.notebook.viewer.cuts import Scan
from ssl_lib.notebook.viewer.live import first_picture, live_widget
from ssl_lib.notebook.viewer.page import MAX_BYTES, static_html
from ssl_lib.utils.errors import InputError

__all__ = ["MAX_BYTES", "Scan", "live_widget", "look", "look_through", "static_html"]


def look(
    image: Float[np.ndarray, "x y z"],
    spacing: Sequence[float],
    *,
    truth: UInt8[np.ndarray, "x y z"] | None = None,
    prediction: UInt8[np.ndarray, "x y z"] | None = None,
    class_names: Sequence[str],
    alt: str,
) -> None:
    """Shows one volume; its axes run to the right, front and top, `spacing` is in mm along them.

    Raises `InputError` where shapes, grey levels or classes do not fit, or without a description.
    """
    look_through({"": Scan(image, spacing, truth, prediction)}, class_names=class_names, alt=alt)


def look_through(scans: Mapping[str, Scan], *, class_names: Sequence[str], alt: str) -> None:
    """Shows several volumes under their names, one at a time; `alt` describes them all."""
    if not scans:
        raise InputError("there is no scan to look at", expected="one or more")
    for name, scan in scans.items():
        scan.check(class_names, where=name or None)
    words = checked_alt(alt)
    if is_live():
        widget = live_widget(scans, class_names=class_names, alt=words)
        show_live(widget, first_picture(next(iter(scans.values()))), words)
    else:
        display(HTML(static_html(scans, class_names=class_names, alt=words)))
