"""A live slider that leaves its picture in the file.

A widget lives as long as its kernel: a saved notebook, opened again, has none. So three outputs
stand in the cell: the picture as PNG, one line, and the widget. While the widget lives, its style
hides the first two; when it is gone, the style of the line hides the widget's error message, and
picture and line stay, in JupyterLab as on GitHub.

Notebooks in git hold pictures alone (`picture_alone`): their scripts would run nowhere before the
cell is run, and would be most of the file.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from IPython.display import display

from ssl_lib.notebook.frames import start_frame

if TYPE_CHECKING:
    import ipywidgets

Keep = Callable[[bytes, str], None]
OWN_KEYS = 'data-lm-suppress-shortcuts="true"'
"""An element with this attribute keeps the arrow keys to itself in JupyterLab."""
WIDGET = "application/vnd.jupyter.widget-view+json"
STORED = "A stored picture: the sliders need a kernel. To move them, run all cells up to this one."
DEAD = (
    "The kernel was restarted or shut down, so these sliders move nothing. "
    "To move them, run all cells up to this one."
)
BUSY = "Drawing: the kernel is busy."

CHILD = ".jp-OutputArea-child"
HIDE_PICTURE = (
    f"{CHILD}:has(+ {CHILD} .ssl-stored-ID), {CHILD}:has(.ssl-stored-ID) {{ display: none; }}"
)
"""Style of a living widget: the outputs before it are not shown."""
HIDE_ERROR = f"{CHILD}:has(.ssl-stored-ID) + {CHILD}:not(:has(.ssl-live-ID)) {{ display: none; }}"
"""Style of the line: a widget that does not live is not shown."""
_STORED = re.compile(r'<img class="stored"[^>]*>')
_CAPTION = re.compile(r'<p class="ssl-caption".*?</p>', re.DOTALL)
_SCRIPT = re.compile(r"<script.*?</script>", re.DOTALL)
RUN = (
    "<p><em>A stored picture. To move it, run all cells up to this one, or open the page in "
    "reports/.</em></p>"
)
DRAWING = "ssl-drawing"
"""Class of a widget while it draws: it does so between messages, when the kernel is not busy."""
READOUTS = (8, 16, 24, 32, 40)
"""Letters for which a slider of the class `ssl-readout-N` has room; others have it for ten."""
_ROOM = "".join(
    f".ssl-readout-{n} .widget-readout {{ flex: 0 1 {n}ch; max-width: none; }}\n" for n in READOUTS
)
_NARROW = """[class*="ssl-readout-"] { flex-wrap: wrap; height: auto; max-width: 100%; }
[class*="ssl-readout-"] .slider-container { flex: 1 1 6rem; margin-right: 12px; }
"""
"""Where a value has no room beside its slider, it stands below."""
_GONE = (
    ":is(.jupyter-widgets-disconnected, .jp-NotebookPanel:has(.jp-Notebook-ExecutionIndicator"
    '[data-status="unknown"]))'
)
"""A restarted kernel, and one that was shut down."""
STATES = f"""
{_ROOM}{_NARROW}.ssl-state {{ visibility: hidden; min-height: 1.5em; line-height: 1.5; }}
.ssl-state .dead, {_GONE} .ssl-state .busy {{ display: none; }}
{_GONE} .ssl-state {{ visibility: visible; transition: visibility 0s .3s; }}
{_GONE} .ssl-state .dead {{ display: inline; font-weight: bold; }}
.jp-NotebookPanel:has(.jp-Notebook-ExecutionIndicator[data-status="busy"]) .ssl-state,
.{DRAWING} + * .ssl-state {{
  visibility: visible; transition: visibility 0s .3s; }}
"""
"""Says that the kernel is gone, or busy for more than a moment."""


def show_live(widget: ipywidgets.Widget, png: bytes, alt: str) -> Keep:
    """Shows a widget and stores its picture; returns the function that stores a later one."""
    import ipywidgets

    identity = uuid4().hex[:8]
    handle = display(_data(png, alt), display_id=f"stored-{identity}", **_alt(alt))
    line = f'<p class="ssl-stored-{identity}"><em>{STORED}</em></p>'
    html = f"<style>{HIDE_ERROR.replace('ID', identity)}</style>{line}"
    display({"text/html": html, "text/plain": STORED}, raw=True)
    state = ipywidgets.HTML(
        f"<style>{HIDE_PICTURE.replace('ID', identity)}{STATES}</style>"
        f'<div class="ssl-state ssl-live-{identity}" role="status">'
        f'<span class="busy">{BUSY}</span><span class="dead">{DEAD}</span></div>'
    )
    box = ipywidgets.VBox([widget, state])
    data = {WIDGET: {"version_major": 2, "version_minor": 0, "model_id": box.model_id}}
    display({**data, "text/plain": ""}, raw=True)
    return lambda png, alt: handle.update(_data(png, alt), **_alt(alt))


def picture_alone(html: str) -> str:
    """An interactive figure, a picture with sliders or a slice viewer as a picture with its caption
    and a line that says how to move it; other HTML stays as it is."""
    if 'class="ssl-look"' in html:
        return _SCRIPT.sub("", html) + RUN
    caption = "".join(_CAPTION.findall(html))
    if 'class="ssl-piece"' in html:
        return "".join(_STORED.findall(html)) + caption + RUN
    return start_frame(html) + caption + RUN if "Picture with sliders" in html else html


def _data(png: bytes, alt: str) -> dict[str, str]:
    return {"image/png": b64encode(png).decode(), "text/plain": alt}


def _alt(alt: str) -> dict[str, Any]:
    return {"raw": True, "metadata": {"image/png": {"alt": alt}}}
