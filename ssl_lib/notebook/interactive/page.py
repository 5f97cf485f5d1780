"""A figure that computes in the reader's page: data, a script of its own, and a stored picture.

`piece(kind, data, ...)` puts arrays (packed), the script `kind.js` and the parts that
all kinds share (`core.js`, `core.css`) into one piece of HTML. It needs no kernel, no network and
no library, and lives alike in JupyterLab and in a report page. Where no script may run (GitHub, a
notebook that is not trusted), the stored picture stays.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from itertools import count
from typing import Any

import numpy as np
from IPython.display import HTML, display
from jaxtyping import Float32, Num, UInt8
from matplotlib.figure import Figure
from PIL import Image

from ssl_lib.figures.style import CLASS_COLOURS, checked_alt, show, to_image
from ssl_lib.notebook.explore import caption_html
from ssl_lib.utils.errors import InputError

MAX_BYTES = 400_000
TYPES = ("uint8", "int8", "uint16", "int16", "float32")
SHARED = re.compile(r'<(?P<tag>style|script) data-shared="(?P<name>\w+)">.*?</(?P=tag)>', re.DOTALL)
_CORE_NAME = re.compile(r"ssl-core-[0-9a-f]{8}")
_numbers = count(1)


@dataclass(frozen=True)
class Quantised:
    """Numbers as they travel: whole steps of `step` above `low`, as bytes."""

    steps: np.ndarray
    low: float
    step: float

    @property
    def values(self) -> Float32[np.ndarray, "..."]:
        """The numbers as the page has them again."""
        return (self.low + self.steps * self.step).astype(np.float32)


@dataclass(frozen=True)
class Lossy:
    """Grey levels as a WebP picture: a third of the bytes, and no more than to look at."""

    grey: UInt8[np.ndarray, "row column"]


def quantised(
    values: Num[np.ndarray, "..."], levels: int = 256, within: tuple[float, float] | None = None
) -> Quantised:
    """The values in at most 256 (65536) equal steps `within` two numbers (default: their own)."""
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise InputError("an array of an interactive figure holds NaN", expected="finite numbers")
    low, high = within or (float(values.min()), float(values.max()))
    step = (high - low) / (levels - 1) or 1.0
    kind = np.uint8 if levels <= 256 else np.uint16
    steps = np.rint((values - low) / step).clip(0, levels - 1)
    return Quantised(steps.astype(kind), low, step)


def packed(value: object) -> Any:
    """Arrays as base 64 of their zlib-compressed bytes, beside type and shape, for JSON."""
    if isinstance(value, Quantised):
        return {**packed(value.steps), "low": value.low, "step": value.step}
    if isinstance(value, Lossy):
        shown = _as_webp(Image.fromarray(value.grey), quality=75, method=6)
        return {"webp": shown, "shape": list(value.grey.shape)}
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} has no place in an interactive figure")
    if value.dtype.name not in TYPES:
        raise InputError(f"an array is {value.dtype}", expected=f"one of {', '.join(TYPES)}")
    little = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"))
    data = b64encode(zlib.compress(little.tobytes(), 9)).decode()
    return {"array": data, "type": value.dtype.name, "shape": list(value.shape)}


@dataclass(frozen=True)
class Piece:
    """An interactive figure as it may be stored: `kind.js` draws `data` (JSON). `alt` describes the
    figure and is its caption, `label` names it for screen readers, `picture` (WebP in base 64) is
    for pages without a script, `needs` are scripts besides `core.js` that `kind.js` uses."""

    kind: str
    data: str
    picture: str
    alt: str
    label: str
    needs: tuple[str, ...] = ()

    def html(self) -> str:
        """The figure as HTML that stands alone, with the scripts of today."""
        content = hashlib.sha256(self.data.encode()).hexdigest()
        identity = f"piece-{content[:10]}-{next(_numbers)}"
        label, alt, core = escape(self.label), escape(self.alt), core_name()
        return (
            f"{shared_parts(self.kind, self.needs)}"
            f'<div id="{identity}" class="ssl-piece" role="group" aria-label="{label}">'
            f'<img class="stored" src="data:image/webp;base64,{self.picture}" alt="{alt}">'
            f'<div class="stage" hidden></div>{caption_html(self.alt)}'
            f'<script type="application/json">{self.data}</script>'
            f'<script>window["{core}"].start("{identity}", "{self.kind}")</script></div>'
        )


class TooLargeError(InputError):
    """A figure that takes more than `MAX_BYTES`."""


def piece(
    kind: str,
    data: Mapping[str, Any],
    *,
    alt: str,
    label: str,
    stored: Figure,
    needs: Sequence[str] = (),
) -> Piece:
    """The figure of that kind. `data` is what `kind.js` is given: numbers, texts, arrays,
    `Quantised`, `Lossy`. Raises `InputError` without a description, and `TooLargeError`."""
    text = json.dumps(data, default=packed, separators=(",", ":")).replace("<", "\\u003c")
    picture = _webp(stored)
    if len(text) + len(picture) > MAX_BYTES:
        raise TooLargeError(
            f"the figure {label!r} takes {(len(text) + len(picture)) // 1000} kB",
            expected=f"at most {MAX_BYTES // 1000} kB",
            fix="show fewer or smaller scans",
        )
    return Piece(kind, text, picture, checked_alt(alt), label, tuple(needs))


def show_interactive(
    kind: str, data: Mapping[str, Any], *, alt: str, stored: Figure, **words: Any
) -> None:
    """Displays a `piece`; where it is too large for a page, its picture, and says so."""
    try:
        display(HTML(piece(kind, data, alt=alt, stored=stored, **words).html()))
    except TooLargeError as error:
        room = f"more than the {MAX_BYTES // 1000} kB that a page holds of one figure"
        print(f"{error.problem}, {room}: here is its picture, without controls.")
        show(stored, alt)


def shared_parts(kind: str, needs: Sequence[str] = ()) -> str:
    """Style and scripts that figures of one kind share; a report page keeps the first of each."""
    return "".join(map(shared_part, ("style", "core", *needs, kind)))


def shared_part(name: str) -> str:
    """The element that holds the style, the core, or the script of that name."""
    if name == "style":
        return f'<style data-shared="style">{_file("core.css")}</style>'
    script = _file(f"{name}.js")
    if name == "core":
        script = script.replace("VERSION", version())
    else:
        script = f'(({{kinds, ui}}) => {{\n{script}}})(window["{core_name()}"]);'
    return f'<script data-shared="{name}">{script}</script>'


def with_shared_parts_of_today(html: str) -> str:
    """A stored page with today's style and scripts of its figures; their data stay."""
    html = SHARED.sub(lambda found: shared_part(found["name"]), html)
    return _CORE_NAME.sub(core_name(), html)


def shared_once(html: str) -> str:
    """The page with each style and script that several figures share only once."""
    seen: set[str] = set()

    def first(found: re.Match[str]) -> str:
        again = found["name"] in seen
        seen.add(found["name"])
        return "" if again else found.group()

    return SHARED.sub(first, html)


def class_colours(n_classes: int) -> list[str]:
    """The colours of the foreground classes, as in every other figure."""
    return [CLASS_COLOURS[k % len(CLASS_COLOURS)] for k in range(max(n_classes - 1, 1))]


def core_name() -> str:
    """What the core is called in a page."""
    return f"ssl-core-{version()}"


@cache
def version() -> str:
    """Changes with the shared script, so that an older one in the same page is not used."""
    return hashlib.sha256(_file("core.js").encode()).hexdigest()[:8]


@cache
def _file(name: str) -> str:
    """A script or style as a page holds it: without indents and lines of comment."""
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return re.sub(r"^[ \t]+|^[ \t]*//.*\n", "", text, flags=re.MULTILINE)


def _webp(figure: Figure) -> str:
    return _as_webp(to_image(figure, 80), quality=50, method=5)


def _as_webp(image: Image.Image, **how: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", **how)
    return b64encode(buffer.getvalue()).decode()
