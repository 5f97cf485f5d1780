"""One call, two lives: sliders in a live notebook, pictures with sliders in a static page.

`explore(draw, alt=..., box=Slider(...))` calls `draw(box=value)` and shows the figure. With a live
kernel the figure is drawn anew at each move of a slider, which may stop at more values there. When
the environment variable `SSL_STATIC` is set (the report runner sets it), or when there is no
kernel, every state is drawn once and the frames go into one piece of HTML that needs no kernel, no
network and no library: the arrow keys move the slider, a few lines of script show the frame. All
frames lie in one picture, of which a window shows one: what is alike in many frames (the scan, the
axes) is then stored once, and without loss that is often smaller than every frame with loss.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from itertools import count, product
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from IPython.display import HTML, display
from matplotlib.figure import Figure

from ssl_lib.figures.style import DPI, checked_alt, house_style, is_chart, to_image, to_png
from ssl_lib.notebook.frames import PICTURE_STYLE, Sheet, frames_in_one, webp
from ssl_lib.notebook.stored import DRAWING, OWN_KEYS, READOUTS, show_live
from ssl_lib.utils.errors import InputError

if TYPE_CHECKING:
    import ipywidgets

Draw = Callable[..., Figure]
WANTED_BYTES, MAX_BYTES = 200_000, 400_000
MAX_FRAMES = 80
SENDING = 0.3
"""Seconds that a page takes to send a slider's last move once the kernel is free."""
SETTLING = 0.05
"""Seconds in which moves of a slider count as one."""
AGAIN = "Run all cells up to this one again, then move the slider."
QUALITIES: tuple[tuple[int, int | None], ...] = (
    (220, None),
    (160, None),
    (110, None),
    (160, 60),
    (160, 40),
    (130, 40),
    (100, 60),
    (80, 50),
    (70, 35),
    (60, 25),
)
"""(dots per inch, WebP quality; None: without loss), tried in turn until the frames take the wanted
bytes."""

_numbers = count(1)


@dataclass(frozen=True)
class Slider:
    """A slider: what the reader calls it, the values it stops at, and where it starts.

    With a live kernel nothing is drawn beforehand, so it may stop at more values: `live`.
    """

    label: str
    values: Sequence[float | int | str]
    start: float | int | str | None = None
    live: Sequence[float | int | str] = ()

    def __post_init__(self) -> None:
        if not self.label.strip() or len(self.values) < 2:
            raise InputError("a slider needs a label and at least two values")
        if self.start is not None and self.start not in self.values:
            raise InputError(
                f"the slider {self.label!r} starts at {self.start!r}",
                expected=f"one of {', '.join(map(value_text, self.values))}",
            )
        missing = [value for value in self.values if value not in self.live]
        if len(self.live) and missing:
            raise InputError(
                f"the slider {self.label!r} stops at {value_text(missing[0])} on a page alone",
                expected="the values of a page among the live ones",
            )

    @property
    def start_index(self) -> int:
        """Position of the start among the values; the first one unless stated."""
        return 0 if self.start is None else list(self.values).index(self.start)


def explore(
    draw: Draw,
    *,
    alt: str | Callable[..., str],
    wanted_bytes: int = WANTED_BYTES,
    **sliders: Slider,
) -> None:
    """Shows `draw(**values)` with one or two sliders, live or static.

    `alt` describes the picture in words, for every state alike or as a function of the sliders'
    values; the state is added to it. A page with many sliders asks for fewer `wanted_bytes` of
    each: static frames then come in a lower quality. Raises `InputError` without a description,
    with no slider or more than two, or when the static frames would exceed `MAX_BYTES`.
    """
    if is_live():
        _show_live(draw, alt, sliders)
    else:
        display(HTML(static_html(draw, alt=alt, wanted_bytes=wanted_bytes, **sliders)))


def is_live() -> bool:
    """True in a kernel whose reader can move sliders: unless `SSL_STATIC` is set to 1."""
    if os.environ.get("SSL_STATIC", "") not in ("", "0"):
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def static_html(
    draw: Draw,
    *,
    alt: str | Callable[..., str],
    wanted_bytes: int = WANTED_BYTES,
    **sliders: Slider,
) -> str:
    """Every state as a picture, with sliders that choose one: HTML that stands alone."""
    _check_sliders(sliders)
    states = list(product(*(slider.values for slider in sliders.values())))
    if len(states) > MAX_FRAMES:
        raise InputError(
            f"the sliders have {len(states)} states",
            expected=f"at most {MAX_FRAMES}",
            fix="give the sliders fewer values",
        )
    values = [dict(zip(sliders, state, strict=True)) for state in states]
    alts = [state_alt(alt, sliders, state) for state in values]
    with house_style():
        figures = [draw(**state) for state in values]
    chart = all(is_chart(figure) for figure in figures)
    html = ""
    for dpi, quality in QUALITIES:
        sheet = frames_in_one([to_image(figure, dpi) for figure in figures])
        if sheet is not None:
            html = _page(sliders, webp(sheet.image, quality), sheet, alts, _look(sheet, dpi, chart))
            if len(html.encode()) <= wanted_bytes:
                break
    if html and len(html.encode()) <= MAX_BYTES:
        return html
    raise InputError(
        f"the {len(states)} frames take more than {MAX_BYTES // 1000} kB",
        fix="give the sliders fewer values, or draw a smaller figure",
    )


def state_alt(
    alt: str | Callable[..., str], sliders: Mapping[str, Slider], state: Mapping[str, Any]
) -> str:
    """The description of one state: the caller's words, then the label and value of each slider
    whose value they do not name."""
    words = checked_alt(alt(**state) if callable(alt) else alt)
    place = ", ".join(
        f"{slider.label} {value_text(state[name])}"
        for name, slider in sliders.items()
        if not (callable(alt) and _names(alt, name, slider, state))
    )
    return f"{words.removesuffix('.')} ({place})." if place else words


def _names(alt: Callable[..., str], name: str, slider: Slider, state: Mapping[str, Any]) -> bool:
    """Whether the words depend on a slider and hold its value, in whatever form: 1, 1.0, 100 %."""
    words, value = alt(**state), state[name]
    if all(alt(**{**state, name: other}) == words for other in slider.values):
        return False
    if isinstance(value, str):
        return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", words) is not None
    numbers = [float(text) for text in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", words)]
    return any(math.isclose(value, n) or math.isclose(100 * value, n) for n in numbers)


def value_text(value: object) -> str:
    """A slider's value as the reader sees it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check_sliders(sliders: Mapping[str, Slider]) -> None:
    if not 1 <= len(sliders) <= 2:
        raise InputError(f"{len(sliders)} sliders were given", expected="one or two")


STYLE = (
    "max-width:46rem;margin:1rem auto;padding:.8rem 1rem;border:1px solid #8886;"
    "border-radius:10px;font-family:system-ui,sans-serif;color:inherit"
)

SCRIPT = """
(() => {
  const root = document.getElementById("ID");
  const sliders = [...root.querySelectorAll("input")];
  const frames = root.querySelector("img"), {columns, rows} = frames.dataset;
  const alts = JSON.parse(root.dataset.alts);
  const caption = root.querySelector(".ssl-caption");
  const show = () => {
    let place = 0;
    for (const slider of sliders) {
      const text = JSON.parse(slider.dataset.texts)[slider.value];
      place = place * (Number(slider.max) + 1) + Number(slider.value);
      slider.setAttribute("aria-valuetext", text);
      root.querySelector(`output[for="${slider.id}"]`).textContent = text;
    }
    const right = place % columns, down = Math.floor(place / columns);
    frames.style.transform = `translate(${-100 * right / columns}%, ${-100 * down / rows}%)`;
    [frames.dataset.place, frames.alt, caption.textContent] = [place, alts[place], alts[place]];
  };
  sliders.forEach(slider => slider.addEventListener("input", show));
  show();
})();
"""


def _page(
    sliders: Mapping[str, Slider], uri: str, sheet: Sheet, alts: Sequence[str], look: str
) -> str:
    """The HTML of one figure: its frames (the last slider counts fastest), sliders and script."""
    identity = f"explore-{hashlib.sha256(uri.encode()).hexdigest()[:10]}-{next(_numbers)}"
    start = 0
    for slider in sliders.values():
        start = start * len(slider.values) + slider.start_index
    columns, rows = sheet.columns, sheet.rows
    width, height = sheet.image.width // columns, sheet.image.height // rows
    row, column = divmod(start, columns)
    moved = f"translate({-100 * column / columns}%, {-100 * row / rows}%)"
    picture = (
        f'<div {look};overflow:hidden;aspect-ratio:{width}/{height}">'
        f'<img src="{uri}" alt="{escape(alts[start])}" data-columns="{columns}" '
        f'data-rows="{rows}" data-place="{start}" style="display:block;width:{100 * columns}%;'
        f'max-width:none;height:auto;margin:0;transform:{moved}"></div>'
    )
    inputs = "".join(
        _slider(f"{identity}-{number}", slider) for number, slider in enumerate(sliders.values())
    )
    return (
        f'<div id="{identity}" role="group" aria-label="Picture with sliders" style="{STYLE}" '
        f'data-alts="{escape(json.dumps(alts))}">{picture}{inputs}{caption_html(alts[start])}'
        f"<script>{SCRIPT.replace('ID', identity)}</script></div>"
    )


def _look(sheet: Sheet, dpi: int, chart: bool) -> str:
    """Class and width of the window: as wide as the same figure without sliders, so that its words
    are as large; frames of few pixels, that the page had to be small with, are not blown up."""
    pixels = sheet.image.width / sheet.columns
    most = round(pixels * min(DPI / dpi, 1.6))
    style = f"{PICTURE_STYLE};margin-inline:auto;max-width:min(100%,{most}px)"
    return f'class="ssl-window{" chart" * chart}" style="{style}'


def caption_html(words: str) -> str:
    """The line below a picture with sliders; a page numbers it. It is the picture's description, so
    readers who hear that do not hear it twice."""
    return f'<p class="ssl-caption" aria-hidden="true" style="margin:.4rem 0">{escape(words)}</p>'


def _slider(identity: str, slider: Slider) -> str:
    """Label, slider and value; the slider is as wide at every value, whatever the longest one is,
    and stands on a line of its own where there is no room beside it."""
    texts = [value_text(value) for value in slider.values]
    now, longest = escape(texts[slider.start_index]), max(map(len, texts))
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:center;'
        'margin-top:.6rem">'
        f'<label for="{identity}" style="min-width:9rem">{escape(slider.label)}</label>'
        f'<input type="range" id="{identity}" min="0" max="{len(texts) - 1}" step="1" '
        f'value="{slider.start_index}" aria-valuetext="{now}" '
        f'data-texts="{escape(json.dumps(texts))}" {OWN_KEYS} '
        'style="flex:1 1 8rem;min-width:8rem;accent-color:var(--accent,#0072B2)">'
        f'<output for="{identity}" style="flex:0 1 {max(longest, 6)}ch;min-width:4rem;'
        f'font-weight:600">{now}</output></div>'
    )


def _show_live(draw: Draw, alt: str | Callable[..., str], sliders: Mapping[str, Slider]) -> None:
    """Sliders of ipywidgets, and the figure drawn anew at each change."""
    import ipywidgets

    _check_sliders(sliders)
    picture = ipywidgets.HTML()
    live = {name: _live_slider(slider) for name, slider in sliders.items()}

    def redraw() -> tuple[bytes, str]:
        state = {name: one.value for name, one in live.items()}
        words = state_alt(alt, sliders, state)
        with house_style():
            png = to_png(draw(**state))
        uri = f"data:image/png;base64,{b64encode(png).decode()}"
        picture.value = f'<img src="{uri}" alt="{escape(words)}" style="max-width:100%">'
        return png, words

    def start() -> None:
        for name, one in live.items():
            one.value = sliders[name].values[sliders[name].start_index]

    def reset(_: object) -> None:
        """At once, and again after a move that the page has not sent yet: it would undo it."""
        start()
        with suppress(RuntimeError):  # no event loop: nothing can come later
            asyncio.get_running_loop().call_later(SENDING, start)

    back = ipywidgets.Button(description="Reset")
    back.on_click(reset)
    box = ipywidgets.VBox([*live.values(), back, picture])
    keep = show_live(box, *redraw())

    def draw_anew() -> None:
        box.add_class(DRAWING)
        try:
            keep(*redraw())
        except Exception as error:
            picture.value = _not_drawn(error)  # nobody sees what is raised between two cells
            raise
        finally:
            box.remove_class(DRAWING)

    draw_soon = once_settled(draw_anew)
    for one in live.values():
        one.observe(lambda change: draw_soon(), names="value")


def _not_drawn(error: Exception) -> str:
    """What stands in the place of a picture that could not be drawn: no other state's picture."""
    text = escape(f"{type(error).__name__}: {error}")
    return f'<p role="alert"><strong>Not drawn.</strong> {text}<br>{AGAIN}</p>'


def once_settled(act: Callable[[], None]) -> Callable[[], None]:
    """Calls of the answer lead to one `act` a moment later, however many they are: who drags a
    slider quickly waits for one picture, not for all on the way. At once without an event loop.

    `act` runs where this function was called, in the thread that runs the cells, between two of
    them. JupyterLab sends moves of a slider to another thread; there, a drawing would share the
    style of figures and the random numbers with a cell that runs.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return act
    waiting = False

    def settled() -> None:
        nonlocal waiting
        waiting = False
        act()

    def call() -> None:
        nonlocal waiting
        if not waiting:
            waiting = True
            loop.call_soon_threadsafe(loop.call_later, SETTLING, settled)

    return call


def _live_slider(slider: Slider) -> ipywidgets.SelectionSlider:
    import ipywidgets

    options = [(value_text(value), value) for value in slider.live or slider.values]
    longest = max(len(text) for text, _ in options)
    one = ipywidgets.SelectionSlider(
        options=options,
        value=slider.values[slider.start_index],
        description=slider.label,
        style={"description_width": "initial"},
        layout={"width": "32rem"},
    )
    room = next((most for most in READOUTS if longest <= most), READOUTS[-1])
    one.add_class(f"ssl-readout-{room}")
    return one
