"""One call, two lives: sliders in a live notebook, a film with sliders in a static page.

`explore(draw, alt=..., box=Knob(...))` calls `draw(box=value)` and shows the figure. With a live
kernel the figure is drawn anew at each move of a slider. When the environment variable `SSL_STATIC`
is set (the report runner sets it), or when there is no kernel, every state is drawn once and the
frames go into one piece of HTML that needs no kernel, no network and no library: the arrow keys
move the slider, a few lines of script show the frame.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count, product

from IPython import get_ipython
from IPython.display import HTML, display
from matplotlib.figure import Figure
from PIL import Image

from ssl_lib.figures.style import checked_alt, house_style, to_image, to_png
from ssl_lib.utils.errors import InputError

Draw = Callable[..., Figure]
WANTED_BYTES, MAX_BYTES = 200_000, 400_000
MAX_FRAMES = 80
QUALITIES: tuple[tuple[int, int], ...] = (
    (100, 80),
    (100, 60),
    (80, 50),
    (70, 35),
    (60, 25),
)
"""(dots per inch, WebP quality), tried in turn until the frames take the wanted bytes."""

_numbers = count(1)


@dataclass(frozen=True)
class Knob:
    """A slider: what the reader calls it, the values it stops at, and where it starts."""

    label: str
    values: Sequence[float | int | str]
    start: float | int | str | None = None

    def __post_init__(self) -> None:
        if not self.label.strip() or len(self.values) < 2:
            raise InputError("a knob needs a label and at least two values")
        if self.start is not None and self.start not in self.values:
            raise InputError(
                f"the knob {self.label!r} starts at {self.start!r}",
                expected=f"one of {', '.join(map(value_text, self.values))}",
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
    **knobs: Knob,
) -> None:
    """Shows `draw(**values)` with one or two sliders, live or static.

    `alt` describes the picture in words, for every state alike or as a function of the knobs'
    values; the state is added to it. A page with many sliders asks for fewer `wanted_bytes` of
    each: static frames then come in a lower quality. Raises `InputError` without a description,
    with no knob or more than two, or when the static frames would exceed `MAX_BYTES`.
    """
    if is_live():
        _show_live(draw, alt, knobs)
    else:
        display(HTML(static_html(draw, alt=alt, wanted_bytes=wanted_bytes, **knobs)))


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
    **knobs: Knob,
) -> str:
    """Every state as a picture, with sliders that choose one: HTML that stands alone."""
    _check_knobs(knobs)
    states = list(product(*(knob.values for knob in knobs.values())))
    if len(states) > MAX_FRAMES:
        raise InputError(
            f"the knobs have {len(states)} states",
            expected=f"at most {MAX_FRAMES}",
            fix="give the knobs fewer values",
        )
    values = [dict(zip(knobs, state, strict=True)) for state in states]
    alts = [state_alt(alt, knobs, state) for state in values]
    with house_style():
        figures = [draw(**state) for state in values]
    for dpi, quality in QUALITIES:
        html = _page(knobs, [_webp(to_image(f, dpi), quality) for f in figures], alts)
        if len(html.encode()) <= wanted_bytes:
            break
    if len(html.encode()) <= MAX_BYTES:
        return html
    raise InputError(
        f"the {len(states)} frames take {len(html.encode()) // 1000} kB",
        expected=f"at most {MAX_BYTES // 1000} kB",
        fix="give the knobs fewer values, or draw a smaller figure",
    )


def state_alt(
    alt: str | Callable[..., str], knobs: Mapping[str, Knob], state: Mapping[str, object]
) -> str:
    """The description of one state: the caller's words, then each knob's label and value."""
    words = checked_alt(alt(**state) if callable(alt) else alt)
    place = ", ".join(f"{knob.label} {value_text(state[name])}" for name, knob in knobs.items())
    return f"{words} ({place})"


def value_text(value: object) -> str:
    """A knob's value as the reader sees it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check_knobs(knobs: Mapping[str, Knob]) -> None:
    if not 1 <= len(knobs) <= 2:
        raise InputError(f"{len(knobs)} knobs were given", expected="one or two")


def _webp(image: Image.Image, quality: int) -> tuple[str, tuple[int, int]]:
    """A picture as a data URI, with its width and height."""
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=quality, method=5)
    return f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}", image.size


STYLE = (
    "max-width:46rem;margin:1rem auto;padding:.8rem 1rem;border:1px solid #8886;"
    "border-radius:10px;font-family:system-ui,sans-serif;color:inherit"
)
PICTURE_STYLE = "width:100%;height:auto;margin:0;border-radius:6px;background:white"

SCRIPT = """
(() => {
  const root = document.getElementById("ID");
  const knobs = [...root.querySelectorAll("input")];
  const frames = [...root.querySelectorAll("img")];
  const show = () => {
    let place = 0;
    for (const knob of knobs) {
      const text = JSON.parse(knob.dataset.texts)[knob.value];
      place = place * (Number(knob.max) + 1) + Number(knob.value);
      knob.setAttribute("aria-valuetext", text);
      root.querySelector(`output[for="${knob.id}"]`).textContent = text;
    }
    frames.forEach((frame, i) => { frame.style.display = i === place ? "block" : "none"; });
  };
  knobs.forEach(knob => knob.addEventListener("input", show));
  show();
})();
"""


def _page(
    knobs: Mapping[str, Knob],
    frames: Sequence[tuple[str, tuple[int, int]]],
    alts: Sequence[str],
) -> str:
    """The HTML of one figure: its frames (the last knob counts fastest), sliders and script."""
    content = hashlib.sha256("".join(uri for uri, _ in frames).encode()).hexdigest()
    identity = f"explore-{content[:10]}-{next(_numbers)}"
    start = 0
    for knob in knobs.values():
        start = start * len(knob.values) + knob.start_index
    pictures = "".join(
        f'<img src="{uri}" alt="{escape(alt)}" width="{width}" height="{height}" '
        f'style="{PICTURE_STYLE};display:{"block" if number == start else "none"}">'
        for number, ((uri, (width, height)), alt) in enumerate(zip(frames, alts, strict=True))
    )
    sliders = "".join(
        _slider(f"{identity}-{number}", knob) for number, knob in enumerate(knobs.values())
    )
    script = SCRIPT.replace("ID", identity)
    return (
        f'<div id="{identity}" role="group" aria-label="Picture with sliders" style="{STYLE}">'
        f"{pictures}{sliders}<script>{script}</script></div>"
    )


def _slider(identity: str, knob: Knob) -> str:
    texts = [value_text(value) for value in knob.values]
    now = escape(texts[knob.start_index])
    return (
        '<div style="display:flex;gap:.8rem;align-items:center;margin-top:.6rem">'
        f'<label for="{identity}" style="min-width:9rem">{escape(knob.label)}</label>'
        f'<input type="range" id="{identity}" min="0" max="{len(texts) - 1}" step="1" '
        f'value="{knob.start_index}" aria-valuetext="{now}" '
        f'data-texts="{escape(json.dumps(texts))}" style="flex:1;accent-color:#0072B2">'
        f'<output for="{identity}" style="min-width:4rem;font-weight:600">{now}</output></div>'
    )


def _show_live(draw: Draw, alt: str | Callable[..., str], knobs: Mapping[str, Knob]) -> None:
    """Sliders of ipywidgets, and the figure drawn anew at each change."""
    import ipywidgets

    _check_knobs(knobs)
    picture = ipywidgets.HTML()
    sliders = {
        name: ipywidgets.SelectionSlider(
            options=[(value_text(value), value) for value in knob.values],
            value=knob.values[knob.start_index],
            description=knob.label,
            style={"description_width": "initial"},
            layout={"width": "32rem"},
        )
        for name, knob in knobs.items()
    }

    def redraw(change: object = None) -> None:
        state = {name: slider.value for name, slider in sliders.items()}
        words = escape(state_alt(alt, knobs, state))
        with house_style():
            figure = draw(**state)
        uri = f"data:image/png;base64,{b64encode(to_png(figure)).decode()}"
        picture.value = f'<img src="{uri}" alt="{words}" style="max-width:100%">'

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    redraw()
    display(ipywidgets.VBox([*sliders.values(), picture]))
