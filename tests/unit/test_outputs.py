"""Pictures on a page: as small as they can be without a difference that is seen."""

from __future__ import annotations

import io
from base64 import b64decode, b64encode

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from ssl_lib.reports.outputs import LARGE, lighter


def as_png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


def pixels(uri: str) -> np.ndarray:
    content = uri.partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(b64decode(content))).convert("RGB")).astype(float)


def test_a_picture_of_scans_is_lighter_and_looks_the_same():
    noise = np.random.default_rng(0).random((600, 700))
    scan = as_png(Image.fromarray((400 * gaussian_filter(noise, 2) % 255).astype(np.uint8)))
    found = lighter(scan)
    assert found.startswith("data:image/webp;base64,") and len(found) < 2 / 3 * len(scan)
    assert np.abs(pixels(found) - pixels(scan)).mean() < 2.5


def test_a_chart_and_a_small_picture_stay_as_they_are():
    chart = Image.new("RGB", (900, 900), "white")
    pen = ImageDraw.Draw(chart)
    for step in range(0, 900, 9):
        pen.line([(0, step), (900, 900 - step)], fill=(0, 114, 178), width=2)
    small = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    for uri in (as_png(chart), as_png(small)):
        assert lighter(uri) == uri


@pytest.mark.parametrize("uri", ["data:image/svg+xml;base64," + "A" * LARGE, "", "x.png"])
def test_what_is_no_png_stays_as_it_is(uri):
    assert lighter(uri) == uri


def test_a_damaged_picture_is_left_to_the_browser():
    uri = "data:image/png;base64," + b64encode(b"no picture" * LARGE).decode()
    assert lighter(uri) == uri
