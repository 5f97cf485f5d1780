"""A small picture of a notebook for the index: the figure that shows most of the scans.

A chart says nothing when it is an inch wide; a scan does. So the figure with the richest colours is
taken, and where there are only charts the `first-figure`, or else the first one.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence

import numpy as np
from nbformat import NotebookNode
from PIL import Image
from scipy.stats import entropy

from ssl_lib.notebook.files import cell_tags
from ssl_lib.reports.outputs import picture_uri

SIZE = (640, 400)  # pixels, shown at half of it
MAX_CHARACTERS = 60_000
CHART_BITS = 3.0  # a figure with less colour entropy has no scan in it

_EMBEDDED = re.compile(r"""<img\b[^>]*?src=["'](data:image/(?:png|jpeg|webp);base64,[^"']+)""")
_RASTER = re.compile(r"data:image/(?:png|jpeg|webp);base64,(.+)", re.DOTALL)


def thumbnail(notebook: NotebookNode) -> str:
    """A data URI below `MAX_CHARACTERS`; empty for a notebook without a picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    chosen = [cell for cell in cells if "first-figure" in cell_tags(cell)]
    return most_telling([uri for cell in (*chosen, *cells) for uri in _pictures(cell)])


def most_telling(pictures: Sequence[str]) -> str:
    """The richest of some pictures (data URIs), or the first if all are charts, made small."""
    bits = {uri: colour_entropy(uri) for uri in dict.fromkeys(pictures)}
    best = max(bits, key=bits.get, default="")
    if bits.get(best, 0.0) >= CHART_BITS:
        pictures = (best, *pictures)
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
    small = np.asarray(picture.convert("RGB").resize((160, 120))) >> 4
    colours = small.reshape(-1, 3).astype(int) @ (256, 16, 1)
    return float(entropy(np.bincount(colours), base=2))


def _pictures(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        picture = picture_uri(output)
        if picture:
            yield picture[0]
        yield from _EMBEDDED.findall(output.get("data", {}).get("text/html", ""))


def _shrunk(uri: str) -> str:
    match = _RASTER.match(uri)
    if match is None:
        return uri if len(uri) < MAX_CHARACTERS else ""
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(match.group(1)))).convert("RGBA")
    except OSError:
        return ""
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
