"""The frames of a figure with sliders in one picture, and one of them taken out again."""

from __future__ import annotations

import io
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

MAX_SIDE, MAX_PIXELS = 16_383, 16_000_000
"""Of a picture: the format's limit, and what a telephone's browser shows in full."""

PICTURE_STYLE = "width:100%;height:auto;margin:0;border-radius:6px;background:white"


@dataclass(frozen=True)
class Sheet:
    """Frames of one size in one picture, row by row."""

    image: Image.Image
    columns: int
    rows: int


def frames_in_one(frames: Sequence[Image.Image]) -> Sheet | None:
    """The frames below each other, in as few columns as the format allows; None where the picture
    would be too large."""
    width, height = (max(sizes) for sizes in zip(*(frame.size for frame in frames), strict=True))
    columns = math.ceil(len(frames) / (MAX_SIDE // height))
    rows = math.ceil(len(frames) / columns)
    if columns * width > MAX_SIDE or columns * width * rows * height > MAX_PIXELS:
        return None
    image = Image.new("RGB", (columns * width, rows * height), "white")
    for place, frame in enumerate(frames):
        row, column = divmod(place, columns)
        image.paste(frame, (column * width, row * height))
    return Sheet(image, columns, rows)


def start_frame(html: str) -> str:
    """The picture of the start alone, as an `img` element, from a figure's HTML."""
    found = re.search(r'<img src="data:image/webp;base64,([^"]+)" (alt="[^"]*") ([^>]*)>', html)
    if found is None:
        return ""
    columns, rows, place = (
        int(value) for value in re.findall(r'data-(?:columns|rows|place)="(\d+)"', found[3])
    )
    sheet = Image.open(io.BytesIO(b64decode(found[1])))
    width, height = sheet.width // columns, sheet.height // rows
    row, column = divmod(place, columns)
    left, top = column * width, row * height
    uri = webp(sheet.crop((left, top, left + width, top + height)), None)
    return f'<img src="{uri}" {found[2]} style="{PICTURE_STYLE}">'


def webp(image: Image.Image, quality: int | None) -> str:
    """A picture as a data URI; without loss unless a quality (0 to 100) is given."""
    buffer = io.BytesIO()
    if quality is None:
        image.save(buffer, format="WEBP", lossless=True, quality=80, method=4)
    else:
        image.save(buffer, format="WEBP", quality=quality, method=5, use_sharp_yuv=True)
    return f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"
