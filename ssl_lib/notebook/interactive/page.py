"""A figure that computes in the reader's page: data, a script of its own, and a stored picture.

`interactive_html(kind, data, ...)` puts arrays (packed), the script `kind.js` and the parts that
all kinds share (`core.js`, `core.css`) into one piece of HTML. It needs no kernel, no network and
no library, and lives alike in JupyterLab and in a report page. Where no script may run (GitHub, a
notebook that is not trusted), the stored picture stays.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from itertools import count

import numpy as np
from IPython.display import HTML, display
from jaxtyping import Float32, Num, UInt8
from matplotlib.figure import Figure
from PIL import Image

from ssl_lib.figures.style import CLASS_COLOURS, checked_alt, to_image
from ssl_lib.notebook.explore import caption_html
from ssl_lib.utils.errors import InputError

MAX_BYTES = 400_000
TYPES = ("uint8", "int8", "uint16", "int16", "float32")
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


def packed(value: object) -> object:
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


def interactive_html(
    kind: str,
    data: Mapping[str, object],
    *,
    alt: str,
    label: str,
    stored: Figure,
    needs: Sequence[str] = (),
) -> str:
    """The figure as HTML that stands alone.

    `data` is what `kind.js` is given: numbers, texts, arrays, `Quantised`, `Lossy`. `alt` describes
    the figure and is its caption, `label` names it for screen readers, `stored` is the picture for
    pages without a script, `needs` are scripts besides `core.js` that `kind.js` uses. Raises
    `InputError` without a description, or above `MAX_BYTES`.
    """
    alt = checked_alt(alt)
    text = json.dumps(data, default=packed, separators=(",", ":")).replace("<", "\\u003c")
    picture = _webp(stored)
    if len(text) + len(picture) > MAX_BYTES:
        raise InputError(
            f"the figure {label!r} takes {(len(text) + len(picture)) // 1000} kB",
            expected=f"at most {MAX_BYTES // 1000} kB",
            fix="show fewer or smaller scans",
        )
    content = hashlib.sha256(text.encode()).hexdigest()
    identity = f"piece-{content[:10]}-{next(_numbers)}"
    return (
        f"{shared_parts(kind, needs)}"
        f'<div id="{identity}" class="ssl-piece" role="group" aria-label="{escape(label)}">'
        f'<img class="stored" src="data:image/webp;base64,{picture}" alt="{escape(alt)}">'
        f'<div class="stage" hidden></div>{caption_html(alt)}'
        f'<script type="application/json">{text}</script>'
        f'<script>window["ssl-core-{version()}"].start("{identity}", "{kind}")</script></div>'
    )


def show_interactive(kind: str, data: Mapping[str, object], **words: object) -> None:
    """Displays `interactive_html`."""
    display(HTML(interactive_html(kind, data, **words)))


def shared_parts(kind: str, needs: Sequence[str] = ()) -> str:
    """Style and scripts that figures of one kind share; a report page keeps the first of each."""
    scripts = [_file("core.js").replace("VERSION", version())]
    for name in (*needs, kind):
        script = f"(({{kinds, ui}}) => {{\n{_file(f'{name}.js')}}})"
        scripts.append(f'{script}(window["ssl-core-{version()}"]);')
    parts = "".join(f"<script data-shared>{script}</script>" for script in scripts)
    return f"<style data-shared>{_file('core.css')}</style>{parts}"


def class_colours(n_classes: int) -> list[str]:
    """The colours of the foreground classes, as in every other figure."""
    return [CLASS_COLOURS[k % len(CLASS_COLOURS)] for k in range(max(n_classes - 1, 1))]


@cache
def version() -> str:
    """Changes with the shared script, so that an older one in the same page is not used."""
    return hashlib.sha256(_file("core.js").encode()).hexdigest()[:8]


@cache
def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _webp(figure: Figure) -> str:
    return _as_webp(to_image(figure, 80), quality=50, method=5)


def _as_webp(image: Image.Image, **how: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", **how)
    return b64encode(buffer.getvalue()).decode()
