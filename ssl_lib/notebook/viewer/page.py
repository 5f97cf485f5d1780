"""The viewer without a kernel: the volumes stand in the page, a short script draws the cuts.

Grey levels travel as one WebP picture with all axial slices side by side, classes as packed bytes.
Whoever reads the page without a script sees the first three cuts as plain pictures.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from itertools import count
from math import ceil, isqrt, prod
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ssl_lib.data.downsampling import block_means, majority
from ssl_lib.notebook.explore import caption_html
from ssl_lib.notebook.stored import OWN_KEYS
from ssl_lib.notebook.viewer.cuts import (
    COLOURS,
    CROSS,
    DASH,
    GAP,
    HALO,
    LINE,
    STEPS,
    THIN,
    VIEWS,
    Scan,
)
from ssl_lib.notebook.viewer.words import (
    FILL,
    FILLS,
    LEVEL,
    PREDICTION,
    TRUTH,
    WINDOW,
    axes_words,
    layout,
    legend_html,
    level_texts,
    place_text,
    style,
    views_html,
    window_texts,
)
from ssl_lib.utils.errors import InputError

MAX_BYTES, WANTED_BYTES = 400_000, 360_000
MOST_VOXELS = 2_200_000
QUALITIES = (40, 60, 75, 88, 100)  # of WebP; 100 stands for without loss
_numbers = count(1)


@dataclass(frozen=True)
class Packed:
    """A scan as it travels: perhaps at a lower resolution, its grey levels as a WebP picture."""

    scan: Scan
    factors: tuple[int, ...]
    webp: bytes

    @cached_property
    def labels(self) -> dict[str, str | None]:
        """Truth and prediction, x running fastest, packed by zlib, in base 64."""
        return {name: _zipped(getattr(self.scan, name)) for name in (TRUTH, PREDICTION)}


def static_html(
    scans: Mapping[str, Scan],
    *,
    class_names: Sequence[str],
    alt: str,
    wanted_bytes: int = WANTED_BYTES,
) -> str:
    """HTML that stands alone: pictures, controls, volumes and script.

    Volumes that would take more than the wanted bytes lose resolution, and the page says so. Raises
    `InputError` if there are so many that not even that helps.
    """
    for part in (1.0, 0.8, 0.6):
        share = round(wanted_bytes * part / len(scans))
        packed = {name: pack(scan, share) for name, scan in scans.items()}
        html = _html(packed, class_names, alt)
        if len(html.encode()) <= MAX_BYTES:
            return html
    raise InputError(
        f"{len(scans)} scans take {len(html.encode()) // 1000} kB",
        expected=f"at most {MAX_BYTES // 1000} kB",
        fix="show fewer scans at once",
    )


def pack(scan: Scan, share: int) -> Packed:
    """The scan in at most `share` bytes of HTML: first resolution, then quality gives way."""
    shape, factors = scan.image.shape, [1, 1, 1]
    most = MOST_VOXELS
    overhead = 50_000 if share > 150_000 else share // 3  # pictures, texts, style and script
    while True:
        while prod(ceil(n / f) for n, f in zip(shape, factors, strict=True)) > most:
            _coarser(factors, scan.spacing, shape)
        small = reduced(scan, factors)
        packed = Packed(small, tuple(factors), b"")
        room = (share - overhead - sum(len(text or "") for text in packed.labels.values())) * 3 // 4
        best = b""
        for quality in QUALITIES:
            webp = _webp(mosaic(small.greys[0]), quality)
            if len(webp) > room:
                break
            best = webp
        if best or max(small.image.shape) <= 8:
            return Packed(small, tuple(factors), best or webp)
        most = int(small.image.size * min(max(room / len(webp), 0.1), 0.9))


def reduced(scan: Scan, factors: Sequence[int]) -> Scan:
    """The scan with blocks of voxels as one: mean grey level, most frequent class."""
    if max(factors) == 1:
        return scan
    truth, prediction = (
        None if label is None else majority(np.asarray(label, np.uint8), factors)
        for label in (scan.truth, scan.prediction)
    )
    image = block_means(np.asarray(scan.image, np.float32), factors)
    spacing = [size * factor for size, factor in zip(scan.spacing, factors, strict=True)]
    return Scan(image, spacing, truth, prediction, scan.unit)


def mosaic(volume: UInt8[np.ndarray, "x y z"]) -> UInt8[np.ndarray, "row column"]:
    """All axial slices side by side: slice z at row z // n, column z % n of `mosaic_columns`."""
    nx, ny, nz = volume.shape
    columns = mosaic_columns(volume.shape)
    rows = ceil(nz / columns)
    full = np.zeros((rows * columns, ny, nx), np.uint8)
    full[:nz] = volume.transpose(2, 1, 0)
    tiles = full.reshape(rows, columns, ny, nx).transpose(0, 2, 1, 3)
    return tiles.reshape(rows * ny, columns * nx)


def mosaic_columns(shape: Sequence[int]) -> int:
    """How many slices stand side by side, so that the picture is about as wide as high."""
    nx, ny, nz = shape
    return min(max(isqrt(nz * ny // nx), 1), nz)


def _coarser(factors: list[int], spacing: Sequence[float], shape: Sequence[int]) -> None:
    """One step less resolution along the axis whose voxels are smallest now."""
    mm = [
        size * factor if side > factor else np.inf
        for size, factor, side in zip(spacing, factors, shape, strict=True)
    ]
    factors[int(np.argmin(mm))] += 1


def _webp(picture: UInt8[np.ndarray, "row column"], quality: int) -> bytes:
    buffer = io.BytesIO()
    options = {"lossless": True} if quality == 100 else {"quality": quality}
    Image.fromarray(picture).convert("RGB").save(buffer, format="WEBP", method=3, **options)
    return buffer.getvalue()


def _zipped(label: np.ndarray | None) -> str | None:
    if label is None:
        return None
    return b64encode(zlib.compress(np.asarray(label, np.uint8).tobytes(order="F"), 7)).decode()


def _data(name: str, packed: Packed) -> dict[str, Any]:
    """What the script knows of a scan."""
    scan = packed.scan
    _, low, high = scan.greys
    look = scan.first_look()
    factors = " x ".join(map(str, packed.factors))
    return {
        "name": name,
        "shape": scan.image.shape,
        "factors": packed.factors,
        "sizes": scan.sizes(),
        "shown": scan.shown,
        "picture": scan.unit == "pixel",
        "axes": axes_words(scan),
        "layout": layout(scan),
        "range": (low, high),
        "image": f"data:image/webp;base64,{b64encode(packed.webp).decode()}",
        "columns": mosaic_columns(scan.image.shape),
        **packed.labels,
        "start": scan.start(),
        "look": asdict(look),
        "windows": window_texts(scan),
        "levels": level_texts(scan),
        "note": f"Shown at a lower resolution: {factors} voxels of the scan as one."
        if max(packed.factors) > 1
        else "",
    }


def _html(packed: Mapping[str, Packed], class_names: Sequence[str], alt: str) -> str:
    scans = [_data(name, one) for name, one in packed.items()]
    content = hashlib.sha256(json.dumps(scans).encode()).hexdigest()
    identity = f"look-{content[:10]}-{next(_numbers)}"
    rules = {
        "colours": COLOURS, "cross": CROSS, "line": LINE, "halo": HALO, "dash": DASH,
        "thin": THIN, "gap": GAP, "steps": STEPS, "alt": alt, "names": list(class_names),
        "views": VIEWS, "scans": scans,
    }  # fmt: skip
    data = json.dumps(rules, separators=(",", ":")).replace("<", "\\u003c")
    name, first = next(iter(packed.items()))
    start = first.scan.start()
    words = f"{alt} {name}".strip()
    cuts = views_html(
        first.scan, start, first.scan.first_look(), words, kind="WEBP", factors=first.factors
    )
    place = place_text(first.scan, start, class_names, first.factors)
    script = files(__package__).joinpath("viewer.js").read_text(encoding="utf-8")
    return (
        f'{style()}<div id="{identity}" class="ssl-look" role="group" aria-label="Slice viewer">'
        f"{_choice(identity, list(packed))}{cuts}"
        f"{legend_html(class_names, [one.scan for one in packed.values()])}"
        f'<output class="place" aria-live="polite">{escape(place)}</output>'
        f'<p class="note"{"" if scans[0]["note"] else " hidden"}>{scans[0]["note"]}</p>'
        f"{_controls(identity, scans[0])}{caption_html(alt)}"
        f'<script type="application/json">{data}</script>'
        f"<script>{script.replace('IDENTITY', identity)}</script></div>"
    )


def _choice(identity: str, names: Sequence[str]) -> str:
    """The choice between several scans; nothing for one."""
    if len(names) < 2:
        return ""
    options = "".join(f'<option value="{i}">{escape(name)}' for i, name in enumerate(names))
    return (
        f'<div class="slider" data-live hidden><label for="{identity}-scan">scan</label>'
        f'<select id="{identity}-scan" name="scan">{options}</select></div>'
    )


def _controls(identity: str, first: Mapping[str, Any]) -> str:
    """Sliders and ticks in the order of both lives; the script shows them."""
    look = first["look"]
    tops = [side - 1 for side in first["shape"]]
    sliders = [
        *(
            (axis, words, 0, top, 1)
            for axis, words, top in zip("xyz", first["axes"], tops, strict=True)
        ),
        (WINDOW, WINDOW, 1, STEPS, 1),
        (LEVEL, LEVEL, 0, STEPS, 1),
        (FILL, FILL, FILLS.start, FILLS[-1], FILLS.step),
    ]
    values = {**dict(zip("xyz", first["start"], strict=True)), **look}
    parts = [
        f'<div class="slider"><label for="{identity}-{name}">{words}</label><input type="range" '
        f'id="{identity}-{name}" name="{name}" min="{low}" max="{top}" step="{step}" {OWN_KEYS} '
        f'value="{values[name]}"><output for="{identity}-{name}"></output></div>'
        for name, words, low, top, step in sliders
    ]
    ticks = "".join(
        f'<label><input type="checkbox" name="{name}" checked> {name}</label>'
        for name in (TRUTH, PREDICTION)
    )
    return (
        f'<div class="sliders" data-live hidden>{"".join(parts)}</div>'
        f'<div class="ticks" data-live hidden>{ticks}</div>'
    )
