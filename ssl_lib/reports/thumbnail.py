"""A small picture of a notebook for the index: its `first-figure`, or else its first figure."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator

from nbformat import NotebookNode
from PIL import Image

from ssl_lib.notebook_files import cell_tags
from ssl_lib.reports.outputs import picture_uri

SIZE = (640, 400)  # pixels, shown at half of it
MAX_CHARACTERS = 60_000

_EMBEDDED = re.compile(r"""<img\b[^>]*?src=["'](data:image/(?:png|jpeg|webp);base64,[^"']+)""")
_RASTER = re.compile(r"data:image/(?:png|jpeg|webp);base64,(.+)", re.DOTALL)


def thumbnail(notebook: NotebookNode) -> str:
    """A data URI below `MAX_CHARACTERS`; empty for a notebook without a picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    chosen = [cell for cell in cells if "first-figure" in cell_tags(cell)]
    for cell in (*chosen, *cells):
        for uri in _pictures(cell):
            small = _shrunk(uri)
            if small:
                return small
    return ""


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
