"""A small picture of a notebook for the index: the figure that shows most of the scans.

A chart says nothing when it is an inch wide; a scan does. So the figure with the richest colours is
taken, and of its panels the richest one: a scan fills its card in light and dark alike. Where there
are only charts the `first-figure` is taken, or else the first one. A notebook that is told apart by
another figure has the tag `thumbnail` on its cell.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence

import numpy as np
from nbformat import NotebookNode
from PIL import Image
from scipy import ndimage
from scipy.stats import entropy

from ssl_lib.notebook.files import cell_tags
from ssl_lib.reports.outputs import picture_uri

SIZE = (640, 400)  # pixels, shown at half of it
MAX_CHARACTERS = 60_000
CHART_BITS = 3.0  # a figure with less colour entropy has no scan in it
PANEL_SHARE = 0.03  # of the figure; smaller parts are no panels

_EMBEDDED = re.compile(r"""<img\b[^>]*?src=["'](data:image/(?:png|jpeg|webp);base64,[^"']+)""")
_RASTER = re.compile(r"data:image/(?:png|jpeg|webp);base64,(.+)", re.DOTALL)


def thumbnail(notebook: NotebookNode) -> str:
    """A data URI below `MAX_CHARACTERS`; empty for a notebook without a picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    first = [cell for cell in cells if "first-figure" in cell_tags(cell)]
    chosen = [cell for cell in cells if "thumbnail" in cell_tags(cell)]
    pictures = [uri for cell in chosen for uri in _pictures(cell)]
    return most_telling(pictures or [uri for cell in (*first, *cells) for uri in _pictures(cell)])


def most_telling(pictures: Sequence[str]) -> str:
    """The richest of some pictures (data URIs), or the first if all are charts, made small."""
    bits = {uri: colour_entropy(uri) for uri in dict.fromkeys(pictures)}
    best = max(bits, key=lambda uri: bits[uri], default="")
    if bits.get(best, 0.0) >= CHART_BITS:
        return _shrunk(best, panel_only=True) or _shrunk(best)
    return next(filter(None, map(_shrunk, pictures)), "")


def colour_entropy(uri: str) -> float:
    """Bits of colour in a picture: few for a chart on white, many for a scan; 0 if unreadable."""
    match = _RASTER.match(uri)
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(match.group(1)))) if match else None
    except (OSError, ValueError):
        picture = None
    if picture is None:
        return 0.0
    return _entropy(picture)


def richest_panel(picture: Image.Image) -> Image.Image:
    """The panel with the most colours: of the parts that white parts from each other, those that
    fill their rectangle; the whole picture if there is none."""
    dark = np.asarray(picture.convert("L")) < 245
    places = ndimage.find_objects(ndimage.label(dark)[0])
    sizes = [[side.stop - side.start for side in place] for place in places]
    panels = [
        picture.crop((columns.start, rows.start, columns.stop, rows.stop))
        for (rows, columns), (height, width) in zip(places, sizes, strict=True)
        if height * width >= PANEL_SHARE * dark.size and dark[rows, columns].mean() > 0.9
    ]
    return max(panels, key=_entropy, default=picture)


def _as_wide_as_a_card(picture: Image.Image) -> Image.Image:
    """The middle of the picture, in the card's 16 to 9."""
    height = min(picture.height, picture.width * 9 // 16)
    width, top = height * 16 // 9, (picture.height - height) // 2
    left = (picture.width - width) // 2
    return picture.crop((left, top, left + width, top + height)).resize(
        (SIZE[0], SIZE[0] * 9 // 16)
    )


def _entropy(picture: Image.Image) -> float:
    small = np.asarray(picture.convert("RGB").resize((160, 120))) >> 4
    colours = small.reshape(-1, 3).astype(int) @ (256, 16, 1)
    return float(entropy(np.bincount(colours), base=2))


def _pictures(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        picture = picture_uri(output)
        if picture:
            yield picture[0]
        yield from _EMBEDDED.findall(output.get("data", {}).get("text/html", ""))


def _shrunk(uri: str, *, panel_only: bool = False) -> str:
    match = _RASTER.match(uri)
    if match is None:
        return uri if len(uri) < MAX_CHARACTERS else ""
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(match.group(1)))).convert("RGBA")
    except OSError:
        return ""
    picture = _as_wide_as_a_card(richest_panel(picture)) if panel_only else picture
    picture.thumbnail(SIZE)
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(picture, mask=picture)
    for quality in (85, 70, 50, 30, 10):
        file = io.BytesIO()
        paper.save(file, "JPEG", quality=quality, optimize=True)
        small = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
        if len(small) < MAX_CHARACTERS:
            return small
    return ""
